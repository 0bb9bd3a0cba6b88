"""One plain loop that trains a network; as a command, ``python -m cnnlib.train``.

Everything random in an epoch follows from the seed and the epoch's number. So a training that was stopped, whatever
stopped it, goes on from its last checkpoint to the very weights that it would have had.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from cnnlib import checkpoints, distributed
from cnnlib.evaluate import autocast, check_images, check_logits, evaluate, modes_kept, unit_floats
from cnnlib.files import whole
from cnnlib.geometry import as_int

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
History = list[dict[str, Any]]


class Diverged(ArithmeticError):
    """The loss is no longer a finite number."""


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
    a batch before its step. A `precision` other than "float32" is torch's automatic mixed precision.

    With a `checkpoint` every epoch ends in that file, and a training that finds it goes on from there. With `patience`
    and validation data the training stops when the validation loss has not fallen for so many epochs, and the model
    gets the weights of the best epoch. `each_epoch(epoch)` is called when an epoch, counted from 1, is done. Under
    torchrun each process computes its share of every batch.

    Raises ValueError for images and labels that do not belong together, a batch larger than the data or not divisible
    by the number of processes, and a checkpoint of something else; Diverged, with the step and the likely cause, when
    the loss is not finite: the checkpoint of the epoch before is still there. The model's modes and torch's global
    generators are afterwards as they were.

    >>> x, y = torch.eye(2).repeat(8, 1).view(16, 2, 1, 1), torch.arange(16) % 2
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> sgd = torch.optim.SGD(model.parameters())
    >>> history = train(model, x, y, optimiser=sgd, schedule=lambda step: 1.0, epochs=20, batch_size=4)
    >>> len(history), history[-1]["train_accuracy"], history[-1]["train_loss"] < 0.1
    (20, 1.0, True)
    """
    check_images(images, labels)
    steps = _steps_per_epoch(len(images), batch_size)
    if patience is not None and as_int("patience", patience, 1) and validation is None:
        raise ValueError(f"patience is {patience} and validation is None; expected validation data to judge by")
    device = next(model.parameters()).device
    images, labels = images.to(device), labels.to(device)
    settings: dict[str, Any] = {
        "epochs": as_int("epochs", epochs, 0),
        "batch_size": batch_size,
        "label_smoothing": label_smoothing,
    }
    settings |= {"seed": as_int("seed", seed, 0), "precision": precision, "images": len(images)}
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
    state: dict[str, Any] = {"settings": settings, "history": [], "best": None, "scaler": scaler.state_dict()}
    if checkpoint and checkpoint.exists():
        state = checkpoints.load(checkpoint, model, optimiser, settings)
        scaler.load_state_dict(state["scaler"])
    history: History = state["history"]
    distributed.check_equal("the number of epochs in the checkpoint", len(history))
    with modes_kept(model), distributed.explained():
        model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)  # type: ignore[call-overload]
        network = distributed.parallel(model)
        while len(history) < epochs and not (patience and _epochs_without_gain(history) >= patience):
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
                label_smoothing=label_smoothing,
                seed=seed,
                precision=precision,
                channels_last=channels_last,
                scaler=scaler,
                bar=tqdm(total=steps, desc=f"epoch {len(history) + 1}/{epochs}", leave=False, disable=not progress),
            )
            if validation is not None:
                result = evaluate(model, *validation, precision=precision)
                row |= {"validation_loss": result.loss, "validation_accuracy": result.accuracy}
            history.append({**row, "seconds": round(time.perf_counter() - start, 3)})
            if patience and not _epochs_without_gain(history):
                state["best"] = {name: value.clone() for name, value in model.state_dict().items()}
            if each_epoch:
                each_epoch(len(history))
            if checkpoint and distributed.rank() == 0:
                checkpoints.save(checkpoint, model, optimiser, {**state, "scaler": scaler.state_dict()})
            _write_log(log, history)
    optimiser.zero_grad()
    if state["best"] is not None:
        model.load_state_dict(state["best"])
    _write_log(log, history)
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
    label_smoothing: float,
    seed: int,
    precision: str,
    channels_last: bool,
    scaler: torch.amp.GradScaler,
    bar: tqdm,
) -> dict[str, Any]:
    """Take every step of one epoch; return its number, its last learning rate, and the mean loss and accuracy."""
    device = images.device
    layout = torch.channels_last if channels_last else torch.contiguous_format
    generator, torch_seed = _draws(seed, epoch)
    order = torch.randperm(len(images), generator=generator)
    losses, correct, lr = torch.zeros(batches, device=device), torch.zeros((), device=device), 0.0
    rank, processes = distributed.rank(), distributed.count()
    with drawing_from(torch_seed + rank), bar:
        for batch in range(batches):
            chosen = order[batch * batch_size : (batch + 1) * batch_size].to(device)
            x, target = unit_floats(images[chosen]), labels[chosen]
            if augment:
                x = augment(x, generator)
            x, target = x[rank::processes].contiguous(memory_format=layout), target[rank::processes]
            step = epoch * batches + batch
            lr = schedule(step)
            for group in optimiser.param_groups:
                group["lr"] = lr
            with autocast(device, precision):
                logits = network(x)
                if not step:
                    check_logits(logits, target)
                loss = F.cross_entropy(logits.float(), target, label_smoothing=label_smoothing)
            optimiser.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
            losses[batch] = loss.detach()
            correct += (logits.detach().argmax(1) == target).sum()
            if device.type == "cpu" or batch % 50 == 49 or batch == batches - 1:  # to ask a GPU is to wait for it
                _check_finite(losses[: batch + 1], epoch * batches, lr, x, precision)
            bar.update()
    mean_loss = distributed.total(losses.mean()) / processes
    accuracy = distributed.total(correct) / (batches * batch_size)
    return {"epoch": epoch + 1, "lr": lr, "train_loss": mean_loss.item(), "train_accuracy": accuracy.item()}


def _check_finite(losses: torch.Tensor, first_step: int, lr: float, x: torch.Tensor, precision: str) -> None:
    """Raise Diverged if a loss is not finite: with its step, and what probably made it so."""
    wrong = (~losses.isfinite()).nonzero()
    if not len(wrong):
        return
    at = int(wrong[0])
    if not x.isfinite().all():
        cause = "the images hold NaN or infinity"
    elif first_step + at == 0:
        cause = "the weights were not finite, or far too large, before the first step"
    elif precision == "float16" and not (losses[:at] > 100).any():
        cause = "float16 ends at 65504: try bfloat16"
    else:
        cause = f"the learning rate, {lr:.3g}, is too large"
    raise Diverged(f"the loss is {losses[at].item()} at step {first_step + at}; probably {cause}")


def _steps_per_epoch(images: int, batch_size: int) -> int:
    if as_int("batch_size", batch_size, 1) > images:
        raise ValueError(f"batch_size is {batch_size}; expected at most {images}, the number of images")
    if batch_size % distributed.count():
        raise ValueError(f"batch_size is {batch_size}; expected a multiple of {distributed.count()}, the processes")
    return images // batch_size


def _draws(seed: int, epoch: int) -> tuple[torch.Generator, int]:
    """Return the generator of an epoch's order and augmentation, and the seed of what layers draw."""
    ours, layers = np.random.SeedSequence((seed, epoch)).generate_state(2)
    return torch.Generator().manual_seed(int(ours)), int(layers)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Let torch's global generators, on the CPU and on every GPU, follow from a seed; then give them back."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _epochs_without_gain(history: History) -> int:
    losses = [row["validation_loss"] for row in history]
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


def _write_log(path: Path | None, history: History) -> None:
    if path is None or not history or distributed.rank():
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    with whole(path) as file:
        file.write(text.getvalue().encode())


if __name__ == "__main__":
    from cnnlib.command import train_command

    train_command()
