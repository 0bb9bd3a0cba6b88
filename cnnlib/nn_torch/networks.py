"""The twins of `cnnlib.nn_numpy.networks`."""

from __future__ import annotations

import torch
from torch import nn

from cnnlib.nn_torch.containers import Residual
from cnnlib.nn_torch.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    PadChannels,
    ReLU,
)


def digits_cnn(generator: torch.Generator | None = None) -> nn.Sequential:
    """Return the twin of `nn_numpy.digits_cnn`."""
    return nn.Sequential(
        Conv2d(1, 16, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(128, 10, generator=generator),
    )


def lenet5(generator: torch.Generator | None = None) -> nn.Sequential:
    """Return the twin of `nn_numpy.lenet5`."""
    return nn.Sequential(
        Conv2d(1, 6, 5, padding=2, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Conv2d(6, 16, 5, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(400, 120, generator=generator),
        ReLU(),
        Linear(120, 84, generator=generator),
        ReLU(),
        Linear(84, 10, generator=generator),
    )


def resnet20(generator: torch.Generator | None = None) -> nn.Sequential:
    """Return the twin of `nn_numpy.resnet20`."""
    layers: list[nn.Module] = [Conv2d(3, 16, 3, padding=1, bias=False, generator=generator), BatchNorm2d(16), ReLU()]
    channels = 16
    for width, stride in ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)):
        layers += [_block(channels, width, stride, generator), ReLU()]
        channels = width
    return nn.Sequential(*layers, GlobalAvgPool2d(), Linear(64, 10, generator=generator))


def _block(in_channels: int, out_channels: int, stride: int, generator: torch.Generator | None) -> Residual:
    main = nn.Sequential(
        Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False, generator=generator),
        BatchNorm2d(out_channels),
        ReLU(),
        Conv2d(out_channels, out_channels, 3, padding=1, bias=False, generator=generator),
        BatchNorm2d(out_channels),
    )
    return Residual(main, None if stride == 1 else PadChannels(in_channels, out_channels, stride=stride))
