"""The pattern of the first convolutional networks: [(CONV-RELU)·N-POOL]·M-(FC-RELU)·K-FC."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cnnlib.geometry import IntOrTuple, as_int, as_ints
from cnnlib.models.building import he_normal, positive_ints, takes_images
from cnnlib.models.seeding import seeded


def pattern(
    *,
    image_size: IntOrTuple,
    in_channels: int = 1,
    channels: Sequence[int] = (16, 32),
    convolutions: int = 1,
    hidden: Sequence[int] = (),
    num_classes: int = 10,
    seed: int = 0,
) -> nn.Sequential:
    """Return [(CONV-RELU)·N-POOL]·M-(FC-RELU)·K-FC for images of `image_size`, a side or (height, width).

    N is `convolutions`, M the number of `channels`, one for each stage, and K the number of `hidden` layers, given
    by their units. Convolutions are 3 × 3 with one row of zeros around, so that they keep the size; pooling takes
    the maximum of 2 × 2 and halves it, without what is left over. The softmax belongs to the loss. Weights N(0, 2 /
    fan-in), biases zero: He et al. (2015), https://arxiv.org/abs/1502.01852. For images of 8 × 8 the defaults give
    the layers and names of `nn_numpy.digits_cnn`.

    Raises ValueError where an argument is not made of positive integers, the image is too small to be halved M
    times, or the input is of another shape.

    >>> model = pattern(image_size=8)
    >>> [type(layer).__name__ for layer in model]
    ['Conv2d', 'ReLU', 'MaxPool2d', 'Conv2d', 'ReLU', 'MaxPool2d', 'Flatten', 'Linear']
    >>> sum(p.numel() for p in model.parameters())
    6090
    """
    height, width = as_ints("image_size", image_size, 2, 1)
    widths, units = positive_ints("channels", channels), positive_ints("hidden", hidden)
    maps = in_maps = as_int("in_channels", in_channels, 1)
    repeats = as_int("convolutions", convolutions, 1)
    if min(height, width) < 2 ** len(widths):
        halved = f"to be halved {len(widths)} times"
        raise ValueError(f"image_size is {image_size!r}; expected at least {2 ** len(widths)}, {halved}")
    with seeded(seed):
        layers: list[nn.Module] = []
        for number in widths:
            for _ in range(repeats):
                layers += [nn.Conv2d(maps, number, 3, padding=1), nn.ReLU()]
                maps = number
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.Flatten())
        features = maps * (height >> len(widths)) * (width >> len(widths))
        for number in units:
            layers += [nn.Linear(features, number), nn.ReLU()]
            features = number
        model = nn.Sequential(*layers, nn.Linear(features, as_int("num_classes", num_classes, 1)))
        he_normal(model)
    takes_images(model, in_maps, height, width)
    return model


def vanilla(
    *,
    image_size: IntOrTuple,
    in_channels: int = 1,
    subsampling: int = 4,
    width: int = 16,
    hidden: int = 128,
    num_classes: int = 10,
    seed: int = 0,
) -> nn.Sequential:
    """Return the plainest recipe: convolution, bias, ReLU and halving until `subsampling` is reached, then two layers.

    The first stage has `width` channels and each next one twice as many; the classifier has one layer of `hidden` units
    with ReLU, and one that gives the logits. It is a `pattern` with N = 1 and K = 1, and raises what that raises; also
    ValueError where `subsampling` is not a power of two.

    >>> model = vanilla(image_size=28, subsampling=4)
    >>> [tuple(p.shape) for p in model.parameters() if p.ndim > 1]
    [(16, 1, 3, 3), (32, 16, 3, 3), (128, 1568), (10, 128)]
    """
    stages = as_int("subsampling", subsampling, 2).bit_length() - 1
    if subsampling != 2**stages:
        raise ValueError(f"subsampling is {subsampling}; expected a power of two")
    first = as_int("width", width, 1)
    return pattern(
        image_size=image_size,
        in_channels=in_channels,
        channels=[first * 2**stage for stage in range(stages)],
        hidden=(hidden,),
        num_classes=num_classes,
        seed=seed,
    )


def digits_cnn(*, num_classes: int = 10, in_channels: int = 1, seed: int = 0) -> nn.Sequential:
    """Return the pattern with its defaults for digits of 8 × 8, the twin of `nn_numpy.digits_cnn`; 6,090 parameters."""
    return pattern(image_size=8, in_channels=in_channels, num_classes=num_classes, seed=seed)
