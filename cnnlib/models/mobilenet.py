"""MobileNet: convolutions taken apart, into one that looks around and one that mixes channels.

Howard et al. (2017), Table 1, https://arxiv.org/abs/1704.04861. A 3 × 3 convolution, then thirteen blocks of a
depthwise 3 × 3 convolution, one filter for each channel, and a pointwise one, 1 × 1, each with batch normalisation and
ReLU; the mean over each plane; a linear layer. Beside a full 3 × 3 convolution to F channels a block needs 1/F + 1/9 of
the multiply–adds (section 3.1).

Deviations: the table prints a stride of 2 for the last depthwise convolution, but 7 × 7 pixels before and after it: its
stride is 1 here. Any size of image is taken. The weights are drawn from N(0, 2 / fan-in) (He et al., 2015,
https://arxiv.org/abs/1502.01852), the fan-in of a depthwise filter being 9; biases are zero; the paper does not say.
"""

from __future__ import annotations

from collections import OrderedDict
from math import isfinite
from numbers import Real

from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import he_normal, takes_images
from cnnlib.models.seeding import seeded

BLOCKS = (  # output channels and stride of each block
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


def _block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return a depthwise-separable convolution: (N, in_channels, H, W) to (N, out_channels, ⌈H / stride⌉, …)."""
    return nn.Sequential(
        OrderedDict(
            depthwise=nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False),
            bn1=nn.BatchNorm2d(in_channels),
            relu1=nn.ReLU(),
            pointwise=nn.Conv2d(in_channels, out_channels, 1, bias=False),
            bn2=nn.BatchNorm2d(out_channels),
            relu2=nn.ReLU(),
        )
    )


def _width_multiplier(alpha: float) -> float:
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not (isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha is {alpha!r}; expected a positive number")
    return float(alpha)


def mobilenet(
    *, alpha: float = 1.0, first_stride: int = 2, num_classes: int = 1000, in_channels: int = 3, seed: int = 0
) -> nn.Sequential:
    """Return MobileNet; 4,231,976 parameters, 569 M multiply–adds at 224 pixels.

    Every layer has `alpha` times the channels of the table, rounded, and at least one: the paper takes 1, 0.75, 0.5 and
    0.25 (Table 6). Small images keep more of their pixels with a `first_stride` of 1: 32 × 32 then leave 2 × 2 for the
    mean, as against one. Raises ValueError where an argument is out of range, or the input not (N, in_channels, H, W).

    >>> [sum(p.numel() for p in mobilenet(alpha=a).parameters()) for a in (1, 0.5)]
    [4231976, 1331592]
    """
    alpha, classes = _width_multiplier(alpha), as_int("num_classes", num_classes, 1)
    channels, first_stride = as_int("in_channels", in_channels, 1), as_int("first_stride", first_stride, 1)
    first, *widths = [max(1, round(alpha * width)) for width in (32, *(width for width, _ in BLOCKS))]
    with seeded(seed):
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(channels, first, 3, stride=first_stride, padding=1, bias=False),  # (N, 32, 112, 112)
            bn=nn.BatchNorm2d(first),
            relu=nn.ReLU(),
        )
        before = first
        for i, (width, (_, stride)) in enumerate(zip(widths, BLOCKS, strict=True), start=1):
            layers[f"block{i}"] = _block(before, width, stride)
            before = width
        layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(before, classes))
        model = nn.Sequential(layers)
        he_normal(model)
    takes_images(model, channels)
    return model
