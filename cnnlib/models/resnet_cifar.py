"""Residual networks for 32 × 32 images, and the plain networks they are compared with.

He et al. (2016), section 4.2, https://arxiv.org/abs/1512.03385: a 3 × 3 convolution, then three stages of 2n layers on
16, 32 and 64 channels, of 32, 16 and 8 pixels a side, global average pooling and a linear layer: 6n + 2 layers. Where a
stage begins, the first convolution has stride 2, and the shortcut takes every second pixel and fills the new channels
with zeros (option A): a residual network has exactly the parameters of its plain twin. The paper's 0.27 M for
ResNet-20 is 269,722.

Deviation: the zero channels stand half before and half after the old ones, as in `nn_numpy`; the paper does not say.
The weights are drawn from N(0, 2 / fan-in) (He et al., 2015, https://arxiv.org/abs/1502.01852), biases are zero. The
modules have the names of `nn_numpy.resnet20`, so weights move by name.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import he_normal, takes_images
from cnnlib.models.seeding import seeded
from cnnlib.nn_torch import PadChannels, Residual


class GlobalAvgPool2d(nn.Module):
    """The mean over each plane: (N, C, H, W) to (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return x.mean((2, 3))


def _two_layers(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=1 + (in_channels != out_channels), padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def _block(in_channels: int, out_channels: int) -> Residual:
    shortcut = None if in_channels == out_channels else PadChannels(in_channels, out_channels, stride=2)
    return Residual(_two_layers(in_channels, out_channels), shortcut)


def _network(
    block: Callable[[int, int], nn.Module], depth: int, num_classes: int, in_channels: int, seed: int
) -> nn.Sequential:
    """Return a network of `depth` layers; `block(in_channels, out_channels)` makes two of them."""
    if as_int("depth", depth, 8) % 6 != 2:
        raise ValueError(f"depth is {depth}; expected 6n + 2: 8, 14, 20, 32, 44, 56, 110 …")
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    n = (depth - 2) // 6
    widths = [16] + [width for width in (16, 32, 64) for _ in range(n)]
    with seeded(seed):
        stem = [nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        body = [layer for i in range(3 * n) for layer in (block(widths[i], widths[i + 1]), nn.ReLU())]
        model = nn.Sequential(*stem, *body, GlobalAvgPool2d(), nn.Linear(64, classes))
        he_normal(model)
    takes_images(model, channels)
    return model


def residual_network(*, depth: int, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of `depth` = 6n + 2 layers.

    Raises ValueError for another depth, where an argument is not a positive integer, or the input not
    (N, in_channels, H, W).

    >>> [sum(p.numel() for p in residual_network(depth=d).parameters()) for d in (20, 32, 44, 56)]
    [269722, 464154, 658586, 853018]
    """
    return _network(_block, depth, num_classes, in_channels, seed)


def plain_network(*, depth: int, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the plain twin: the same layers, and the same weights for the same seed, without shortcuts.

    Raises ValueError as `residual_network`.

    >>> sum(p.numel() for p in plain_network(depth=20).parameters())
    269722
    """
    return _network(_two_layers, depth, num_classes, in_channels, seed)


def resnet20(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 20 layers, 269,722 parameters."""
    return residual_network(depth=20, num_classes=num_classes, in_channels=in_channels, seed=seed)


def resnet32(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 32 layers, 464,154 parameters."""
    return residual_network(depth=32, num_classes=num_classes, in_channels=in_channels, seed=seed)


def resnet44(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 44 layers, 658,586 parameters."""
    return residual_network(depth=44, num_classes=num_classes, in_channels=in_channels, seed=seed)


def resnet56(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 56 layers, 853,018 parameters."""
    return residual_network(depth=56, num_classes=num_classes, in_channels=in_channels, seed=seed)


def resnet110(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 110 layers, 1,727,962 parameters."""
    return residual_network(depth=110, num_classes=num_classes, in_channels=in_channels, seed=seed)
