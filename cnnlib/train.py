"""One plain loop that trains a network; as a command, ``python -m cnnlib.train``.

Everything random in an epoch follows from the seed and the epoch's number. So a training that was stopped, whatever
stopped it, goes on from its last checkpoint to the very weights that it would have had.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from cnnlib import checkpoints, distributed
from cnnlib.divergence import check_epoch, check_losses
from cnnlib.evaluate import autocast, check_images, check_logits, device_of, evaluate, modes_kept, unit_floats
from cnnlib.geometry import as_int
from cnnlib.history import History, epochs_without_gain, sentence, write_log

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
Adversary = Callable[[nn.Module, torch.Tensor, torch.Tensor, torch.Generator, int], torch.Tensor]


def train(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    optimiser: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    epochs: int,
    batch_size: int,
    augment: Augment | None = None,
    adversary: Adversary | None = None,
    label_smoothing: float = 0.0,
    validation: tuple[torch.Tensor, torch.Tensor] | None = None,
    patience: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    channels_last: bool = False,
    checkpoint: Path | None = None,
    log: Path | None = None,
    each_epoch: Callable[[int], None] | None = None,
    progress: bool = False,
) -> History:
    """Train a model on images (N, C, H, W) and labels (N,) with cross-entropy; return one row of numbers an epoch.

    images are floats, or bytes, which become numbers from 0 to 1; they are moved to the device of the model's
    parameters. `schedule(step)` is the learning rate of step 0, 1, …; see `cnnlib.schedules`. Each epoch takes the
    images in a new order, `batch_size` at a time, and drops the few that fill no batch. `augment(x, generator)` changes
    a batch before its step; then `adversary(model, x, labels, generator, step)` may change it with the model in view,
    as `defend.Adversary` does. A `precision` other than "float32" is torch's automatic mixed precision.

    With a `checkpoint` every epoch ends in that file, and a training that finds it goes on from there: on a processor,
    with as many threads and processes, to the same bytes. `log` is a CSV file of the rows so far. With `patience` and
    validation data the training stops when the validation loss has not fallen for so many epochs, and the model gets
    the weights of the best epoch. `each_epoch(epoch)` is called when an epoch, counted from 1, is done, and again if
    the training is stopped before the checkpoint is written. `progress` is shown on standard error. Under torchrun
    each process computes its share of every batch, and all end with the same model; process 0 writes the files.

    Raises ValueError for images and labels that do not belong together, a batch larger than the data or not divisible
    by the number of processes, and a checkpoint of something else or damaged; `divergence.Diverged`, with the step and
    the likely cause, when the loss is not finite: the checkpoint of the epoch before is still there; OSError where a
    file cannot be written; `distributed.ProcessLost` where another process stopped. The model stays in the memory
    layout of the training and has no gradients; its modes and torch's global generators are afterwards as they were.

    >>> x, y = torch.eye(2).repeat(8, 1).view(16, 2, 1, 1), torch.arange(16) % 2
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> sgd = torch.optim.SGD(model.parameters())
    >>> history = train(model, x, y, optimiser=sgd, schedule=lambda step: 1.0, epochs=20, batch_size=4)
    >>> len(history), history[-1]["train_accuracy"], history[-1]["train_loss"] < 0.1
    (20, 1.0, True)
    """
    check_images(images, labels)
    settings: dict[str, Any] = {
        "epochs": as_int("epochs", epochs, 0),
        "batch_size": as_int("batch_size", batch_size, 1),
        "seed": as_int("seed", seed, 0),
        "precision": precision,
        "channels_last": bool(channels_last),
        "label_smoothing": _fraction("label_smoothing", label_smoothing),
        "patience": None if patience is None else as_int("patience", patience, 1),
        "augment": _named(augment),
        "adversary": _named(adversary),
    }
    steps = _steps_per_epoch(len(images), batch_size)
    if patience and validation is None:
        raise ValueError(f"patience is {patience} and validation is None; expected validation data to judge by")
    scaler = torch.amp.GradScaler(device_of(model).type, enabled=precision == "float16")
    state: dict[str, Any] = {"history": [], "best": None, "scaler": scaler.state_dict()}
    if checkpoint:
        settings["images"] = checkpoints.what_data(images, labels)
        settings["validation"] = validation and checkpoints.what_data(*validation)
        settings |= checkpoints.what_optimiser(optimiser) | checkpoints.what_schedule(schedule, epochs, steps)
        if checkpoint.exists():
            state = checkpoints.load(checkpoint, model, optimiser, settings)
            scaler.load_state_dict(state["scaler"])
    history: History = state["history"]
    images, labels = images.to(device_of(model)), labels.to(device_of(model))
    with _as_found(model), distributed.explained():
        distributed.check_equal("the number of epochs in the checkpoint", len(history))
        model.to(memory_format=_layout(channels_last))  # type: ignore[call-overload]
        network = distributed.parallel(model)
        while len(history) < epochs and not (patience and epochs_without_gain(history) >= patience):
            start = time.perf_counter()
            row = _epoch(
                network.train(),
                images,
                labels,
                epoch=len(history),
                batches=steps,
                batch_size=batch_size,
                optimiser=optimiser,
                schedule=schedule,
                augment=augment,
                adversary=adversary and partial(adversary, model),
                label_smoothing=label_smoothing,
                seed=seed,
                precision=precision,
                channels_last=channels_last,
                scaler=scaler,
                bar=_bar(steps, f"epoch {len(history) + 1}/{epochs}", progress),
            )
            distributed.share_buffers(model)
            if validation is not None:
                result = evaluate(model, *validation, precision=precision)
                row["validation_loss"], row["validation_accuracy"] = distributed.agreed(result[:2])
            check_epoch(model, row.get("validation_loss", 0.0), step=(len(history) + 1) * steps - 1, lr=row["lr"])
            history.append({**row, "seconds": round(time.perf_counter() - start, 3)})
            if patience and not epochs_without_gain(history):
                state["best"] = {name: value.clone() for name, value in model.state_dict().items()}
            if each_epoch:
                each_epoch(len(history))
            if checkpoint and not distributed.rank():
                state |= {"settings": settings, "scaler": scaler.state_dict()}
                checkpoints.save(checkpoint, model, optimiser, state)
            if log and not distributed.rank():
                write_log(log, history)
            if progress and not distributed.rank():
                tqdm.write(sentence(history[-1]), file=sys.stderr)
    if state["best"] is not None:
        model.load_state_dict(state["best"])
    if log and not distributed.rank():
        write_log(log, history)  # once more: the last time it may have been stopped before
    return history


def _epoch(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    epoch: int,
    batches: int,
    batch_size: int,
    optimiser: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    augment: Augment | None,
    adversary: Callable[[torch.Tensor, torch.Tensor, torch.Generator, int], torch.Tensor] | None,
    label_smoothing: float,
    seed: int,
    precision: str,
    channels_last: bool,
    scaler: torch.amp.GradScaler,
    bar: tqdm,
) -> dict[str, Any]:
    """Take every step of one epoch; return its number, its last learning rate, and the mean loss and accuracy."""
    device = images.device
    generator, torch_seed = _draws(seed, epoch)
    order = torch.randperm(len(images), generator=generator)
    losses, correct, lr = torch.zeros(batches, device=device), torch.zeros((), device=device), 0.0
    rank, processes = distributed.rank(), distributed.count()
    with drawing_from(torch_seed + rank, device), bar:
        for batch in range(batches):
            chosen = order[batch * batch_size : (batch + 1) * batch_size].to(device)
            x, target = unit_floats(images[chosen]), labels[chosen]
            if augment:
                x = augment(x, generator)
            x, target = x[rank::processes].contiguous(memory_format=_layout(channels_last)), target[rank::processes]
            if adversary:  # each process draws its own numbers, as for the dropout of its share
                x = adversary(x, target, torch.default_generator, epoch * batches + batch)
            lr = float(schedule(epoch * batches + batch))
            for group in optimiser.param_groups:
                group["lr"] = lr
            with autocast(device, precision):
                logits = network(x)
                if not batch:
                    check_logits(logits, len(x), labels)
                loss = F.cross_entropy(logits.float(), target, label_smoothing=label_smoothing)
            optimiser.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
            losses[batch] = loss.detach()
            correct += (logits.detach().argmax(1) == target).sum()
            if device.type == "cpu" or batch % 50 == 49 or batch == batches - 1:  # to ask a GPU is to wait for it
                check_losses(
                    losses[: batch + 1],
                    first_step=epoch * batches,
                    schedule=schedule,
                    images=images,
                    batch=x,
                    precision=precision,
                )
            bar.update()
    mean_loss = distributed.total(losses.mean()) / processes
    accuracy = distributed.total(correct) / (batches * batch_size)
    return {"epoch": epoch + 1, "lr": lr, "train_loss": mean_loss.item(), "train_accuracy": accuracy.item()}


def _steps_per_epoch(images: int, batch_size: int) -> int:
    if batch_size > images:
        raise ValueError(f"batch_size is {batch_size}; expected at most {images}, the number of images")
    if batch_size % distributed.count():
        raise ValueError(f"batch_size is {batch_size}; expected a multiple of {distributed.count()}, the processes")
    return images // batch_size


def _named(function: Callable[..., torch.Tensor] | None) -> str | None:
    """Return the name of what changes a batch, or of a dataclass all that it says of itself."""
    described = repr(function) if is_dataclass(function) else type(function).__name__
    return None if function is None else getattr(function, "__qualname__", described)


def _fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value!r}; expected a number from 0 to 1")
    return float(value)


def _layout(channels_last: bool) -> torch.memory_format:
    return torch.channels_last if channels_last else torch.contiguous_format


def _bar(steps: int, what: str, progress: bool) -> tqdm:
    """Return a progress bar on standard error, if that is a terminal, for process 0."""
    shown = progress and distributed.rank() == 0 and sys.stderr.isatty()
    return tqdm(total=steps, desc=what, leave=False, disable=not shown)


def _draws(seed: int, epoch: int) -> tuple[torch.Generator, int]:
    """Return the generator of an epoch's order and augmentation, and the seed of what layers draw."""
    ours, layers = np.random.SeedSequence((seed, epoch)).generate_state(2)
    return torch.Generator().manual_seed(int(ours)), int(layers)


@contextmanager
def drawing_from(seed: int, device: torch.device) -> Iterator[None]:
    """Let torch's global generators of the CPU and of a device follow from a seed; then give them back.

    >>> with drawing_from(0, torch.device("cpu")):
    ...     a = torch.rand(3)
    >>> with drawing_from(0, torch.device("cpu")):
    ...     torch.equal(a, torch.rand(3))
    True
    """
    with torch.random.fork_rng([device.index] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(seed)
        yield


@contextmanager
def _as_found(model: nn.Module) -> Iterator[None]:
    """Let a model be trained, whether gradients were wanted outside or not; then it has its modes, and no gradients."""
    with modes_kept(model), torch.enable_grad():
        try:
            yield
        finally:
            model.zero_grad()


if __name__ == "__main__":
    from cnnlib.command import train_command

    train_command()
