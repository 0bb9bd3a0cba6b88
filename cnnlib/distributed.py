"""Several processes that train one network: each computes its share of every batch, and the gradients are averaged.

``torchrun --nproc-per-node 2 -m cnnlib.train …`` starts them and tells each, in its environment, which one it is.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
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

    They speak through NCCL on GPUs and gloo elsewhere.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
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

    "auto" is a GPU where there is one. Raises ValueError for CUDA where there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device is {name!r}, and torch {torch.__version__} sees no GPU here; expected 'cpu'")
        own = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
        device = torch.device("cuda", own)
        if device.index >= torch.cuda.device_count():
            raise ValueError(f"device is {device}; expected an index below {torch.cuda.device_count()}, the GPUs here")
        torch.cuda.set_device(device)
    return device


def parallel(model: nn.Module) -> nn.Module:
    """Return the model to call in the loop: wrapped, where there are several processes, so that gradients are averaged.

    Batch normalisation keeps the statistics of each process's own share; what is stored are those of process 0.
    """
    return DistributedDataParallel(model) if count() > 1 else model


def total(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all processes."""
    if count() > 1:
        distributed.all_reduce(values)
    return values


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a collective operation raises when a partner is gone into an error that says so."""
    try:
        yield
    except RuntimeError as error:
        if count() > 1 and any(word in str(error).lower() for word in ("gloo", "nccl", "connection", "timed out")):
            raise ProcessLost(
                f"process {rank()} of {count()} lost another one, which stopped or cannot be reached; its own message "
                f"says why. Start the same command again: it goes on from the last checkpoint. ({error})"
            ) from error
        raise


def check_equal(what: str, number: int) -> None:
    """Raise ValueError unless a number is the same in every process: their files may lie on different machines."""
    if count() > 1:
        found = [torch.zeros(1) for _ in range(count())]
        distributed.all_gather(found, torch.tensor([float(number)]))
        if len({value.item() for value in found}) > 1:
            raise ValueError(f"{what} is {[int(v.item()) for v in found]} by process; expected one number for all")
