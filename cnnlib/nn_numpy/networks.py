"""Small networks, ready to train."""

from __future__ import annotations

import numpy as np

from cnnlib.nn_numpy.base import Layer
from cnnlib.nn_numpy.containers import Residual, Sequential
from cnnlib.nn_numpy.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    PadChannels,
    ReLU,
)


def digits_cnn(generator: np.random.Generator) -> Sequential:
    """Return a small network for 8 × 8 digits: two convolutions, two poolings, one linear layer; 6,090 parameters.

    >>> model = digits_cnn(np.random.default_rng(0))
    >>> sum(p.size for p in model.parameters.values())
    6090
    """
    return Sequential(
        Conv2d(1, 16, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(128, 10, generator=generator),
    )


def lenet5(generator: np.random.Generator) -> Sequential:
    """Return LeNet-5 as it is taught today, for 28 × 28 digits, with ReLU and max pooling; 61,706 parameters.

    LeCun et al. (1998), section II.B, https://doi.org/10.1109/5.726791, had sigmoids, trainable subsampling, a table of
    connections and radial basis functions.

    >>> sum(p.size for p in lenet5(np.random.default_rng(0)).parameters.values())
    61706
    """
    return Sequential(
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


def resnet20(generator: np.random.Generator) -> Sequential:
    """Return the residual network of 20 layers for 32 × 32 colour images; 269,722 parameters.

    A convolution, nine blocks of two on 16, 32 and 64 channels with parameter-free shortcuts, the mean over each plane,
    a linear layer: He et al. (2016), section 4.2, https://arxiv.org/abs/1512.03385.

    >>> sum(p.size for p in resnet20(np.random.default_rng(0)).parameters.values())
    269722
    """
    layers: list[Layer] = [Conv2d(3, 16, 3, padding=1, bias=False, generator=generator), BatchNorm2d(16), ReLU()]
    channels = 16
    for width, stride in ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)):
        layers += [_block(channels, width, stride, generator), ReLU()]
        channels = width
    return Sequential(*layers, GlobalAvgPool2d(), Linear(64, 10, generator=generator))


def _block(in_channels: int, out_channels: int, stride: int, generator: np.random.Generator) -> Residual:
    main = Sequential(
        Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False, generator=generator),
        BatchNorm2d(out_channels),
        ReLU(),
        Conv2d(out_channels, out_channels, 3, padding=1, bias=False, generator=generator),
        BatchNorm2d(out_channels),
    )
    return Residual(main, None if stride == 1 else PadChannels(in_channels, out_channels, stride=stride))
