"""Wong and Kolter's network for MNIST: small, without pooling, and a usual subject of defences."""

from __future__ import annotations

from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import he_normal, takes_images
from cnnlib.models.seeding import seeded


def wong_kolter(*, num_classes: int = 10, in_channels: int = 1, seed: int = 0) -> nn.Sequential:
    """Return two convolutions and two linear layers, for images (N, in_channels, 28, 28); 166,406 parameters.

    Wong and Kolter (2018), https://arxiv.org/abs/1711.00851, proved bounds for it, and Wong, Rice and Kolter (2020),
    https://arxiv.org/abs/2001.03994, trained it against attacks; kernels and padding are those of their programs. The
    convolutions halve the image themselves, so nothing is pooled. Weights N(0, 2 / fan-in), biases zero: He et al.
    (2015), https://arxiv.org/abs/1502.01852.

    Raises ValueError where an argument is not a positive integer, or the input of another shape.

    >>> sum(p.numel() for p in wong_kolter().parameters())
    166406
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        model = nn.Sequential(
            nn.Conv2d(channels, 16, 4, stride=2, padding=1),  # (N, 16, 14, 14)
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),  # (N, 32, 7, 7)
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1568, 100),
            nn.ReLU(),
            nn.Linear(100, classes),
        )
        he_normal(model)
    takes_images(model, channels, 28, 28)
    return model
