"""Residual networks for images of 224 × 224 pixels, 18 to 152 layers deep.

He et al. (2016), Table 1, https://arxiv.org/abs/1512.03385. A 7 × 7 convolution and a max pooling, both of stride 2;
four stages of blocks whose output is main(x) + x; the mean over each plane; a linear layer. In the first block of a
stage, where x has not the shape of main(x), a 1 × 1 convolution projects it (option B). Blocks have two 3 × 3
convolutions up to 34 layers; beyond, a 1 × 1 down to a quarter of the channels, a 3 × 3, and a 1 × 1 back up.

Stages 2 to 4 halve the sides, and the paper's bottleneck has its stride of 2 in the first 1 × 1 convolution, which thus
never sees three quarters of its input. `stride_in="3x3"` moves it to the 3 × 3 convolution: what libraries ship and
call v1.5. The weights are the same in number and name, the multiply–adds a few more; the paper prints 1.8, 3.6, 3.8,
7.6 and 11.3 billion. Parameters have torchvision's names, so that weights trained there (from 50 layers on in v1.5) can
be loaded.

The weights of convolutions are drawn from N(0, 2 / fan-out), those of the last layer from N(0, 2 / fan-in), its biases
are zero (He et al., 2015, https://arxiv.org/abs/1502.01852); scale and shift of batch normalisation begin at 1 and 0.
Not in the paper, and not here: a last scale of each block that begins at 0. Any size of image is taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import takes_images
from cnnlib.models.seeding import seeded


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if (in_channels, stride) == (out_channels, 1):
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions: (N, in_channels, H, W) to (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1: the costly one on a quarter of `out_channels`. Shapes as of `BasicBlock`."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, stride_in: str) -> None:
        super().__init__()
        width = out_channels // 4
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu3(y + self.downsample(x))


def _stage(
    block: Callable[[int, int, int], nn.Module], count: int, in_channels: int, out_channels: int, stride: int
) -> nn.Sequential:
    rest = [block(out_channels, out_channels, 1) for _ in range(count - 1)]
    return nn.Sequential(block(in_channels, out_channels, stride), *rest)


def _network(
    block: Callable[[int, int, int], nn.Module],
    widths: tuple[int, int, int, int],
    counts: tuple[int, int, int, int],
    num_classes: int,
    in_channels: int,
    seed: int,
) -> nn.Sequential:
    """Return a network whose stages have `counts` blocks of `widths` output channels each."""
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        classifier = nn.Linear(widths[3], classes)  # after (N, widths[3]), the means over 7 × 7
        layers = OrderedDict(
            conv1=nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False),  # (N, 64, 112, 112) of 224 pixels
            bn1=nn.BatchNorm2d(64),
            relu=nn.ReLU(),
            maxpool=nn.MaxPool2d(3, stride=2, padding=1),  # (N, 64, 56, 56)
            layer1=_stage(block, counts[0], 64, widths[0], 1),
            layer2=_stage(block, counts[1], widths[0], widths[1], 2),  # (N, widths[1], 28, 28)
            layer3=_stage(block, counts[2], widths[1], widths[2], 2),
            layer4=_stage(block, counts[3], widths[2], widths[3], 2),  # (N, widths[3], 7, 7)
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=classifier,
        )
        model = nn.Sequential(layers)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.kaiming_normal_(classifier.weight, nonlinearity="relu")
        nn.init.zeros_(classifier.bias)
    takes_images(model, channels)
    return model


def _basic(counts: tuple[int, int, int, int], num_classes: int, in_channels: int, seed: int) -> nn.Sequential:
    return _network(BasicBlock, (64, 128, 256, 512), counts, num_classes, in_channels, seed)


def _bottleneck(
    counts: tuple[int, int, int, int], stride_in: str, num_classes: int, in_channels: int, seed: int
) -> nn.Sequential:
    if stride_in not in ("1x1", "3x3"):
        raise ValueError(f"stride_in is {stride_in!r}; expected '1x1', as in the paper, or '3x3', version 1.5")
    block = partial(Bottleneck, stride_in=stride_in)
    return _network(block, (256, 512, 1024, 2048), counts, num_classes, in_channels, seed)


def resnet18(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 18 layers; 11,689,512 parameters.

    Raises ValueError where an argument is not a positive integer, or the input not (N, in_channels, H, W).

    >>> sum(p.numel() for p in resnet18().parameters())
    11689512
    """
    return _basic((2, 2, 2, 2), num_classes, in_channels, seed)


def resnet34(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 34 layers; 21,797,672 parameters. Raises ValueError as `resnet18`."""
    return _basic((3, 4, 6, 3), num_classes, in_channels, seed)


def resnet50(*, stride_in: str = "1x1", num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 50 layers; 25,557,032 parameters.

    `stride_in` is "1x1" (the paper's; 3.86 G multiply–adds at 224 pixels, a receptive field of 483) or "3x3" (version
    1.5; 4.09 G and 427). Raises ValueError as `resnet18`, and for another `stride_in`.

    >>> with torch.device("meta"):  # shapes without memory
    ...     [sum(p.numel() for p in net().parameters()) for net in (resnet50, resnet101, resnet152)]
    [25557032, 44549160, 60192808]
    """
    return _bottleneck((3, 4, 6, 3), stride_in, num_classes, in_channels, seed)


def resnet101(*, stride_in: str = "1x1", num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 101 layers; 44,549,160 parameters. Options and errors as of `resnet50`."""
    return _bottleneck((3, 4, 23, 3), stride_in, num_classes, in_channels, seed)


def resnet152(*, stride_in: str = "1x1", num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the residual network of 152 layers; 60,192,808 parameters. Options and errors as of `resnet50`."""
    return _bottleneck((3, 8, 36, 3), stride_in, num_classes, in_channels, seed)
