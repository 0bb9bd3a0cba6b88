"""One step of training, and weights that move between torch and NumPy by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnlib.nn_torch.functions import CrossEntropyFunction


def train_step(model: nn.Module, optimiser: Any, x: torch.Tensor, target: torch.Tensor) -> float:
    """Take one step of gradient descent on the cross-entropy of a batch; return the loss before it."""
    loss = CrossEntropyFunction.apply(model(x), target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def state(model: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of all parameters and buffers by name, as `cnnlib.nn_numpy.load` takes them.

    >>> sorted(state(nn.Linear(1, 1)))
    ['bias', 'weight']
    """
    return {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}


def load(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Copy the parameters and buffers of a model of `nn_numpy` into its twin, by name; the dtype becomes theirs.

    Raises ValueError where a name is missing or too many, a shape differs, or the model has floats and arrays do not;
    then nothing has changed.

    >>> model = nn.Sequential(nn.Linear(1, 1))
    >>> load(model, {"0.weight": np.array([[2.0]]), "0.bias": np.array([1.0])})
    >>> model[0].weight
    Parameter containing:
    tensor([[2.]], dtype=torch.float64, requires_grad=True)
    """
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if own.keys() != arrays.keys():
        missing, unknown = sorted(own.keys() - arrays.keys()), sorted(arrays.keys() - own.keys())
        raise ValueError(f"arrays lacks {missing} and has {unknown} too many; expected the names of the model")
    for name, value in arrays.items():
        if tuple(own[name].shape) != value.shape:
            raise ValueError(f"arrays[{name!r}] has shape {value.shape}; expected {tuple(own[name].shape)}")
        if own[name].is_floating_point() and value.dtype.kind != "f":
            raise ValueError(f"arrays[{name!r}] has dtype {value.dtype}; expected floating point")
    for name, value in arrays.items():
        own[name].data = torch.tensor(value, device=own[name].device)
