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
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, std=sqrt(2 / module.weight[0].numel()))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


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
