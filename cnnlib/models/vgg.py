"""VGG: nothing but 3 × 3 convolutions, and how far depth alone carries.

Simonyan and Zisserman (2015), Table 1, configurations A, B, D and E, https://arxiv.org/abs/1409.1556. Five groups of
convolutions, each with ReLU, on 64 to 512 channels; after each group 2 × 2 max pooling halves the sides of 224 pixels,
down to 7; then two hidden layers of 4,096 with dropout, and one of `num_classes`.

The modules have the names by which the layers are spoken of: `conv3_2` is the second convolution of the third group,
`relu3_2` what follows it, `pool3` ends the group, and `fc6` to `fc8` come after the five groups.

Deviations: the paper drew weights from N(0, 0.01), 0.01 being the variance, and began the deeper networks with the
first four convolutions and the last three layers of a trained A, lest learning stall; its authors found later that
Glorot and Bengio's (2010) draw does without. Here every weight is drawn from N(0, 2 / fan-in) (He et al., 2015,
https://arxiv.org/abs/1502.01852), which needs no such help either; biases are zero, as there. Batch
normalisation came after the paper: with it, each convolution keeps its bias, which the normalisation takes away again,
so that a network has the plain one's parameters and two numbers for each channel. The logits stand before the softmax.
Configuration A with LRN and C with 1 × 1 convolutions are left out.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cnnlib.geometry import as_flag, as_int
from cnnlib.models.building import dense_head, he_normal, takes_images
from cnnlib.models.seeding import seeded

WIDTHS = (64, 128, 256, 512, 512)


def _group(group: int, depth: int, in_channels: int, batch_norm: bool) -> OrderedDict[str, nn.Module]:
    """Return `depth` convolutions and a pooling: (N, in_channels, H, W) to (N, WIDTHS[group − 1], H / 2, W / 2)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = WIDTHS[group - 1]
    for i in range(1, depth + 1):
        layers[f"conv{group}_{i}"] = nn.Conv2d(in_channels if i == 1 else width, width, 3, padding=1)
        if batch_norm:
            layers[f"bn{group}_{i}"] = nn.BatchNorm2d(width)
        layers[f"relu{group}_{i}"] = nn.ReLU()
    layers[f"pool{group}"] = nn.MaxPool2d(2)
    return layers


def _network(depths: tuple[int, ...], batch_norm: bool, num_classes: int, in_channels: int, seed: int) -> nn.Sequential:
    """Return the network whose five groups have so many convolutions."""
    batch_norm, classes = as_flag("batch_norm", batch_norm), as_int("num_classes", num_classes, 1)
    channels = as_int("in_channels", in_channels, 1)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    with seeded(seed):
        for group, depth in enumerate(depths, start=1):
            layers |= _group(group, depth, channels if group == 1 else WIDTHS[group - 2], batch_norm)
        model = nn.Sequential(layers | dense_head(WIDTHS[-1] * 7 * 7, classes))
        he_normal(model)
    takes_images(model, channels, 224, 224)
    return model


def vgg11(*, batch_norm: bool = False, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return configuration A for images (N, in_channels, 224, 224): 8 convolutions, 132,863,336 parameters.

    With `batch_norm` there are 132,868,840. Raises ValueError where an argument is not what its type says, or the input
    of another shape.

    >>> import torch
    >>> with torch.device("meta"):  # shapes without memory
    ...     sum(p.numel() for p in vgg11().parameters())
    132863336
    """
    return _network((1, 1, 2, 2, 2), batch_norm, num_classes, in_channels, seed)


def vgg13(*, batch_norm: bool = False, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return configuration B for images (N, in_channels, 224, 224): 10 convolutions, 133,047,848 parameters.

    With `batch_norm` there are 133,053,736. Raises ValueError as `vgg11`.
    """
    return _network((2, 2, 2, 2, 2), batch_norm, num_classes, in_channels, seed)


def vgg16(*, batch_norm: bool = False, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return configuration D for images (N, in_channels, 224, 224): 13 convolutions, 138,357,544 parameters.

    With `batch_norm` there are 138,365,992. 15.47 G multiply–adds an image. Raises ValueError as `vgg11`.
    """
    return _network((2, 2, 3, 3, 3), batch_norm, num_classes, in_channels, seed)


def vgg19(*, batch_norm: bool = False, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return configuration E for images (N, in_channels, 224, 224): 16 convolutions, 143,667,240 parameters.

    With `batch_norm` there are 143,678,248. Raises ValueError as `vgg11`.
    """
    return _network((2, 2, 4, 4, 4), batch_norm, num_classes, in_channels, seed)
