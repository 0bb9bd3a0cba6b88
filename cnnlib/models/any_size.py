"""How a network that takes images of any size refuses what is no image."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn


def takes_any_size(model: nn.Module, in_channels: int) -> None:
    """Let `model` refuse, with a ValueError, whatever is not (N, in_channels, H, W).

    A hook before `forward`, as in `building.takes_images`: a plain `nn.Sequential` stays one, and so does its slice.

    >>> model = nn.Flatten()
    >>> takes_any_size(model, 3)
    >>> import torch
    >>> model(torch.zeros(3, 32, 32))
    Traceback (most recent call last):
    ...
    ValueError: x is of shape (3, 32, 32); expected (N, 3, H, W)
    """
    model.register_forward_pre_hook(partial(_refuse_others, in_channels=in_channels))


def _refuse_others(model: nn.Module, args: tuple[Tensor, ...], *, in_channels: int) -> None:
    shape = tuple(args[0].shape)
    if len(shape) != 4 or shape[1] != in_channels:
        raise ValueError(f"x is of shape {shape}; expected (N, {in_channels}, H, W)")
