"""LeNet-5, as it is taught today."""

from __future__ import annotations

from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import he_normal, takes_images
from cnnlib.models.seeding import seeded


def lenet5(*, num_classes: int = 10, in_channels: int = 1, seed: int = 0) -> nn.Sequential:
    """Return LeNet-5 as it is taught today, for images (N, in_channels, 28, 28); 61,706 parameters.

    The same layers under the same names as `nn_numpy.lenet5`, so that weights move from one to the other. Beside
    `lenet5_1998` it pads the image instead of being given a border, has ReLU for the scaled tanh, max pooling for the
    trainable subsampling, every map connected to every map, and a linear output. Weights N(0, 2 / fan-in), biases zero:
    He et al. (2015), https://arxiv.org/abs/1502.01852.

    Raises ValueError where an argument is not a positive integer, or the input of another shape.

    >>> sum(p.numel() for p in lenet5().parameters())
    61706
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        model = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2),  # (N, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 5, 5)
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )
        he_normal(model)
    takes_images(model, channels, 28, 28)
    return model
