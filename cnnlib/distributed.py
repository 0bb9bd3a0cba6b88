"""Several processes that train one network: each computes its share of every batch, and the gradients are averaged.

``torchrun --nproc-per-node 2 -m cnnlib.train …`` starts them and tells each, in its environment, which one it is.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = datetime.timedelta(seconds=120)  # how long a process waits for the others


class ProcessLost(RuntimeError):
    """Another process of the training stopped, or could not be reached."""


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, if it did, and leave them at the end.

    They speak through NCCL on GPUs and gloo elsewhere. Raises ProcessLost where they do not all come.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    with explained():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """Return the number of this process; 0 where it is alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """Return how many processes there are; 1 where this is alone."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def local_device(name: str) -> torch.device:
    """Return the device to train on: of several GPUs, each process of a machine takes its own.

    "auto" is a GPU where there is one. Raises ValueError for CUDA where there is none, and for other names.

    >>> local_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if name == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or (":" in name and not index.isdecimal()):
        raise ValueError(f"device is {name!r}; expected 'auto', 'cpu', 'cuda', 'cuda:1' …")
    if not torch.cuda.is_available():
        raise ValueError(f"device is {name!r}, and torch {torch.__version__} sees no GPU here; expected 'cpu'")
    device = torch.device("cuda", int(index or os.environ.get("LOCAL_RANK", "0")))
    if device.index >= torch.cuda.device_count():
        raise ValueError(f"device is {device}; expected an index below {torch.cuda.device_count()}, the GPUs here")
    torch.cuda.set_device(device)
    return device


def parallel(model: nn.Module) -> nn.Module:
    """Return the model to call in the loop: wrapped, where there are several processes, so that gradients are averaged.

    Batch normalisation uses the statistics of each process's own share; what is stored are those of process 0.
    """
    return DistributedDataParallel(model) if count() > 1 else model


def total(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all processes."""
    if count() > 1:
        distributed.all_reduce(values)
    return values


def share_buffers(model: nn.Module) -> None:
    """Give every process the buffers of process 0, after which their models are equal."""
    if count() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def agreed(numbers: Sequence[float]) -> list[float]:
    """Return the numbers of process 0, so that all processes decide alike: other processors round differently."""
    values = torch.tensor(numbers, dtype=torch.float64, device=_device())
    if count() > 1:
        distributed.broadcast(values, 0)
    return values.tolist()


def check_equal(what: str, number: int) -> None:
    """Raise ValueError unless a number is the same in every process: their files may lie on different machines."""
    if count() > 1:
        own = torch.tensor([number], device=_device())
        found = [torch.zeros_like(own) for _ in range(count())]
        distributed.all_gather(found, own)
        if len({value.item() for value in found}) > 1:
            raise ValueError(f"{what} is {[v.item() for v in found]} by process; expected one number for all")


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a collective operation raises when a partner is gone into an error that says so."""
    try:
        yield
    except RuntimeError as error:
        words = ("gloo", "nccl", "connection", "timed out", "timeout")
        if isinstance(error, distributed.DistError) or (count() > 1 and any(w in str(error).lower() for w in words)):
            own, all_ = os.environ.get("RANK", rank()), os.environ.get("WORLD_SIZE", count())
            raise ProcessLost(
                f"process {own} of {all_} lost another one, which stopped or cannot be reached; its own message says "
                f"why. Start the same command again: it goes on from the last checkpoint. ({_first_sentence(error)})"
            ) from error
        raise


def _first_sentence(error: RuntimeError) -> str:
    """Return what torch says happened, without the place in its source and its advice."""
    return re.sub(r"^\[\S+:\d+\] ", "", str(error).strip()).splitlines()[0].partition(". ")[0]


def _device() -> torch.device:
    """Return where the tensors must lie that processes exchange."""
    on_gpu = distributed.is_initialized() and distributed.get_backend() == "nccl"
    return torch.device("cuda" if on_gpu else "cpu")
