"""Pixels from 0 to 1 become what a network was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cnnlib.geometry import as_int


class Normalise(nn.Module):
    """(x − mean) / std for each channel, after `padding` rows and columns of black on every side.

    It stands before a network, so that the two together take images (N, C, H, W) with pixels from 0 to 1. Raises
    ValueError where `mean` and `std` are not as many numbers as the images have channels, or a `std` is not positive.

    >>> Normalise([0.5], [0.25])(torch.ones(1, 1, 1, 2))
    tensor([[[[2., 2.]]]])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, padding: int = 0) -> None:
        super().__init__()
        if len(mean) != len(std) or not len(mean):
            raise ValueError(f"std has {len(std)} numbers; expected one for each of the {len(mean)} of mean")
        if not all(value > 0 for value in std):
            raise ValueError(f"std is {std!r}; expected positive numbers")
        self.padding = as_int("padding", padding, 0)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {len(self.mean)}, H, W)")
        if self.padding:
            x = nn.functional.pad(x, (self.padding,) * 4)
        return (x - self.mean) / self.std
