"""All that a training needs to go on as if it had never stopped, in one file."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnnlib.files import whole


def save(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Mapping[str, Any]) -> None:
    """Write weights, optimiser and progress; a file that is there is replaced only when the new one is complete."""
    with whole(path) as file:
        torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), **progress}, file)


def load(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put a checkpoint's weights and optimiser in place; return the rest of it.

    Raises ValueError, with nothing changed, where the file is damaged, was written by a model of other parameters, or
    with other `settings` than these: what it would go on with is then not what was begun.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        weights, begun = stored.pop("model"), stored["settings"]
    except (
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(f"{path} is no checkpoint, or is damaged: {error}; move it away to begin anew") from error
    _same_parameters(path, model, weights)
    for name, value in settings.items():
        if begun.get(name) != value:
            raise ValueError(f"{path} was begun with {name} {begun.get(name)!r}; expected {value!r}, as asked for now")
    model.load_state_dict(weights)
    optimiser.load_state_dict(stored.pop("optimiser"))
    return stored


def _same_parameters(path: Path, model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in weights.items()}
    if own == theirs:
        return
    for name in sorted(own.keys() | theirs.keys()):
        if own.get(name) != theirs.get(name):
            found, wanted = theirs.get(name, "missing"), own.get(name, "nothing of that name")
            raise ValueError(f"{path} is of another model: {name} is {found}; expected {wanted}")
