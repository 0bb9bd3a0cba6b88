"""What the families share: how weights are drawn, and how a network refuses images that it cannot take."""

from __future__ import annotations

from functools import partial
from math import sqrt

from torch import Tensor, nn


def he_normal(model: nn.Module) -> None:
    """Draw every convolution's and linear layer's weights from N(0, 2 / fan-in) and set the biases to zero.

    He et al. (2015), https://arxiv.org/abs/1502.01852. What `nn_numpy` does too.

    >>> model = nn.Linear(2, 1)
    >>> he_normal(model)
    >>> model.bias.item()
    0.0
    """
    for layer in _weighted(model):
        _normal(layer, sqrt(2 / layer.weight[0].numel()))


def normal(model: nn.Module, *, std: float) -> None:
    """Draw every convolution's and linear layer's weights from N(0, std²) and set the biases to zero.

    >>> model = nn.Linear(100, 100)
    >>> normal(model, std=0.01)
    >>> 0.009 < model.weight.std() < 0.011
    tensor(True)
    """
    for layer in _weighted(model):
        _normal(layer, std)


def _weighted(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def _normal(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def takes_images(model: nn.Module, in_channels: int, height: int, width: int) -> None:
    """Let `model` refuse, with a ValueError, whatever is not (N, in_channels, height, width).

    The check is a hook that runs before `forward`, so that a plain `nn.Sequential` stays one.

    >>> model = nn.Flatten()
    >>> takes_images(model, 1, 28, 28)
    >>> import torch
    >>> model(torch.zeros(5, 1, 32, 32))
    Traceback (most recent call last):
    ...
    ValueError: x is of shape (5, 1, 32, 32); expected (N, 1, 28, 28)
    """
    model.register_forward_pre_hook(partial(_refuse_others, expected=(in_channels, height, width)))


def _refuse_others(model: nn.Module, args: tuple[Tensor, ...], *, expected: tuple[int, int, int]) -> None:
    shape = tuple(args[0].shape)
    if len(shape) != 4 or shape[1:] != expected:
        raise ValueError(f"x is of shape {shape}; expected (N, {', '.join(map(str, expected))})")
