"""All that a training needs to go on as if it had never stopped, in one file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnnlib.files import write_whole

FORMAT = 2


def save(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Mapping[str, Any]) -> None:
    """Write weights, optimiser and progress; a file that is there is replaced only when the new one is complete.

    Raises OSError, naming the file, where it cannot be written: then the old one is still there.
    """
    content = io.BytesIO()  # in memory first: a disk that is full in the middle of it would confuse torch.save
    states = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save({"format": FORMAT, **states, **progress}, content)
    write_whole(path, content.getvalue())


def load(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put a checkpoint's weights and optimiser in place; return the rest of it.

    Raises ValueError, with nothing changed, where the file is damaged, was written by a model of other parameters, or
    with other `settings` than these: what it would go on with is then not what was begun.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if member := archive.testzip():  # torch.load would not notice: it compares no checksums
                raise zipfile.BadZipFile(f"{member} is not what was written")
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        written, weights, states, begun = (stored.pop(key) for key in ("format", "model", "optimiser", "settings"))
    except Exception as error:  # a damaged file can make a reader raise nearly anything
        raise ValueError(f"{path} is no checkpoint, or is damaged ({error}); move it away to begin anew") from error
    if written != FORMAT:
        raise ValueError(f"{path} is a checkpoint of format {written!r}; expected {FORMAT}, that of this version")
    _same_parameters(path, model, weights)
    for name in [*settings, *sorted(begun.keys() - settings.keys())]:
        if begun.get(name) != settings.get(name):
            raise ValueError(
                f"{path} was begun with {name} {begun.get(name)!r}; expected {settings.get(name)!r}, as asked for now: "
                "go on as it was begun, or keep the new training elsewhere"
            )
    model.load_state_dict(weights)
    optimiser.load_state_dict(states)
    return stored


def what_data(images: torch.Tensor, labels: torch.Tensor) -> str:
    """Return the shape and a checksum of images and labels.

    >>> what_data(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
    '(2, 1, 8, 8), CRC-32 e2d03368'
    """
    crc = 0
    for values in (images, labels):
        crc = zlib.crc32(values.detach().cpu().contiguous().view(torch.uint8).numpy().data, crc)
    return f"{tuple(images.shape)}, CRC-32 {crc:08x}"


def what_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return an optimiser's kind, and the options of its groups but for the learning rate.

    >>> options = what_optimiser(torch.optim.SGD([torch.zeros(1)], momentum=0.9))
    >>> options["optimiser"], options["momentum of group 0"], options["parameters of group 0"]
    ('SGD', 0.9, 1)
    """
    options: dict[str, Any] = {"optimiser": type(optimiser).__name__}
    for index, group in enumerate(optimiser.param_groups):
        options[f"parameters of group {index}"] = len(group["params"])
        kept = {key: value for key, value in group.items() if key not in ("params", "lr")}
        options |= {f"{key} of group {index}": value for key, value in kept.items()}
    return options


def what_schedule(schedule: Callable[[int], float], epochs: int, steps: int) -> dict[str, float]:
    """Return the learning rate with which each epoch, of so many steps, begins, to twelve digits."""
    return {f"learning rate of epoch {epoch + 1}": float(f"{schedule(epoch * steps):.12g}") for epoch in range(epochs)}


def _same_parameters(path: Path, model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    own, theirs = (
        {name: f"{value.dtype} {tuple(value.shape)}".removeprefix("torch.") for name, value in state.items()}
        for state in (model.state_dict(), weights)
    )
    for name in sorted(own.keys() | theirs.keys()):
        if own.get(name) != theirs.get(name):
            found, wanted = theirs.get(name, "missing"), own.get(name, "nothing of that name")
            raise ValueError(f"{path} is of another model: {name} is {found}; expected {wanted}")
