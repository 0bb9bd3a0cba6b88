"""A multilayer perceptron on pixels: every unit sees all of the image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cnnlib.geometry import IntOrTuple, as_int, as_ints
from cnnlib.models.building import he_normal, positive_ints, takes_images
from cnnlib.models.seeding import seeded


def mlp(
    *,
    image_size: IntOrTuple,
    in_channels: int = 1,
    hidden: Sequence[int] = (128,),
    num_classes: int = 10,
    seed: int = 0,
) -> nn.Sequential:
    """Return a perceptron with hidden layers of `hidden` units, ReLU between them, for images of `image_size`.

    `image_size` is a side or (height, width). The first layer has a weight for each pixel and unit: 256 × 256 grey
    pixels and 1,000 units already need 65 million, where a convolution with 1,000 kernels of 5 × 5 would share
    25,000. Weights N(0, 2 / fan-in), biases zero: He et al. (2015), https://arxiv.org/abs/1502.01852.

    Raises ValueError where an argument is not made of positive integers, or the input is of another shape.

    >>> import torch
    >>> with torch.device("meta"):
    ...     model = mlp(image_size=256, hidden=(1000,))
    >>> model[1].weight.numel()
    65536000
    """
    height, width = as_ints("image_size", image_size, 2, 1)
    channels = as_int("in_channels", in_channels, 1)
    units = positive_ints("hidden", hidden)
    with seeded(seed):
        layers: list[nn.Module] = [nn.Flatten()]
        features = channels * height * width
        for number in units:
            layers += [nn.Linear(features, number), nn.ReLU()]
            features = number
        model = nn.Sequential(*layers, nn.Linear(features, as_int("num_classes", num_classes, 1)))
        he_normal(model)
    takes_images(model, channels, height, width)
    return model
