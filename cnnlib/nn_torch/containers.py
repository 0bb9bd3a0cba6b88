"""Modules made of modules: the twins of `cnnlib.nn_numpy.containers`."""

from __future__ import annotations

import torch
from torch import nn

Sequential = nn.Sequential


class Residual(nn.Module):
    """The twin of `nn_numpy.Residual`: main(x) + shortcut(x).

    >>> Residual(nn.ReLU())(torch.tensor([[-1.0, 2.0]]))
    tensor([[-1.,  4.]])
    """

    def __init__(self, main: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        y, skipped = self.main(x), x if self.shortcut is None else self.shortcut(x)
        if y.shape != skipped.shape:
            raise ValueError(f"main returns {tuple(y.shape)}; expected {tuple(skipped.shape)}, as the shortcut")
        return y + skipped


class Parallel(nn.ModuleList):
    """The twin of `nn_numpy.Parallel`: branches that all see x, side by side along the channels.

    >>> Parallel(nn.ReLU(), nn.MaxPool2d(3, 1, 1))(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 6, 4, 4])
    """

    def __init__(self, *branches: nn.Module) -> None:
        if not branches:
            raise ValueError("branches is empty; expected at least one layer")
        super().__init__(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return torch.cat([branch(x) for branch in self], dim=1)
