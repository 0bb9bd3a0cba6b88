"""Networks of convolutions alone, and those with max pooling that they are compared with.

Springenberg, Dosovitskiy, Brox and Riedmiller (2015), https://arxiv.org/abs/1412.6806, model C of table 1 and its
three relatives of table 2, for 32 × 32 images. Each has two stages of 3 × 3 convolutions, on 96 and 192 channels,
which end in half the size; then a 3 × 3 and two 1 × 1 convolutions and the mean of each class's plane. Every
convolution has a ReLU, the last one too. Dropout of 0.2 on the image and 0.5 after each stage.

Deviations. The paper does not give its padding: here one row of zeros around, in pooling too, keeps 32, 16 and 8
pixels a side, and the last 3 × 3 convolution has none, so that the mean is over the paper's 6 × 6. Weights N(0, 2 /
fan-in), biases zero: He et al. (2015), https://arxiv.org/abs/1502.01852. There is no dense layer: from 9 × 9 on,
images of any size will do.

Table 3 has 1.4 million parameters for the two networks with a third convolution, as here, and 1.3 million for the other
two, whose layers in tables 1 and 2 make 0.95 million.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import he_normal, takes_images
from cnnlib.models.seeding import seeded

Stage = Callable[[int, int], list[nn.Module]]


def cnn_c(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return model C: two convolutions and max pooling of 3 × 3 with stride 2 make a stage; 954,730 parameters.

    >>> sum(p.numel() for p in cnn_c().parameters())
    954730
    """
    return _network(lambda c, n: [*_conv(c, n), *_conv(n, n), _pool()], num_classes, in_channels, seed)


def strided_cnn_c(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return model C without pooling: its second convolution has stride 2 instead; 954,730 parameters.

    >>> sum(p.numel() for p in strided_cnn_c().parameters())
    954730
    """
    return _network(lambda c, n: [*_conv(c, n), *_conv(n, n, stride=2)], num_classes, in_channels, seed)


def convpool_cnn_c(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return model C with a third convolution before each pooling, the peer of `all_cnn_c`; 1,369,738 parameters.

    >>> sum(p.numel() for p in convpool_cnn_c().parameters())
    1369738
    """
    return _network(lambda c, n: [*_conv(c, n), *_conv(n, n), *_conv(n, n), _pool()], num_classes, in_channels, seed)


def all_cnn_c(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return All-CNN-C: a convolution with stride 2 stands where model C has pooling; 1,369,738 parameters.

    >>> sum(p.numel() for p in all_cnn_c().parameters())
    1369738
    """
    return _network(lambda c, n: [*_conv(c, n), *_conv(n, n), *_conv(n, n, stride=2)], num_classes, in_channels, seed)


def _network(stage: Stage, num_classes: int, in_channels: int, seed: int) -> nn.Sequential:
    """Return the network whose stages `stage(in_channels, out_channels)` makes."""
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        model = nn.Sequential(
            nn.Dropout(0.2),
            *stage(channels, 96),  # (N, 96, 16, 16)
            nn.Dropout(0.5),
            *stage(96, 192),  # (N, 192, 8, 8)
            nn.Dropout(0.5),
            nn.Conv2d(192, 192, 3),  # (N, 192, 6, 6)
            nn.ReLU(),
            nn.Conv2d(192, 192, 1),
            nn.ReLU(),
            nn.Conv2d(192, classes, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        he_normal(model)
    takes_images(model, channels)
    return model


def _conv(in_channels: int, out_channels: int, *, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1), nn.ReLU()]


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, stride=2, padding=1)
