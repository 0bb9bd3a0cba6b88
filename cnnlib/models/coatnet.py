"""Convolution first, attention later: hybrids in the manner of CoAtNet.

Dai et al. (2021), https://arxiv.org/abs/2106.04803: a stem of convolutions (S0), two stages of inverted residual blocks
with a depthwise convolution (S1, S2), two of transformer blocks (S3, S4), the mean over positions, a linear layer. The
attention is relative, equation 3: to how well a key answers a query a learned number is added that depends on where
the one lies seen from the other, so that attention knows of neighbours, as convolution does, and no position is
absolute. Blocks are normalised before they act: batch norm where they convolve, layer norm where they attend.

Where the paper is silent: squeeze and excitation shrinks to 0.25 of a block's channels, not of the four times as many
in its middle; the last layer norm, after the mean; the first of the stem's convolutions alone has a batch norm and a
GELU behind it; biases of attention begin at zero; the weights are Xavier's uniform ones (Glorot and Bengio, 2010),
biases zero; the keys' answers are divided by √d, which equation 3 leaves out for brevity. Deviations: neither dropout
nor stochastic depth, and the resolution is fixed, as the biases are not interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from cnnlib.geometry import IntOrTuple, as_int, as_ints
from cnnlib.models.building import positive_ints, takes_images
from cnnlib.models.seeding import seeded
from cnnlib.models.vit import Attention, feed_forward, xavier_uniform
from cnnlib.nn_torch import Residual


class RelativeAttention(Attention):
    """Attention over a plane of `size` (height, width) positions, with a bias for each head and relative position.

    `bias` (heads, 2 · height − 1, 2 · width − 1) has in its centre what a position adds to its own score, and above it
    what it adds to that of the position above: w at (key − query).

    >>> attention = RelativeAttention(8, 8, heads=1, size=(1, 3))
    >>> with torch.no_grad():
    ...     _ = attention.bias.copy_(torch.tensor([[[0.0, 9.0, 0.0, 0.0, 0.0]]]))  # look one to the left
    >>> attention.weights(torch.zeros(1, 3, 8))[0, 0].argmax(1).tolist()[1:]
    [0, 1]
    """

    offset: Tensor

    def __init__(self, in_dim: int, dim: int, *, heads: int, size: tuple[int, int]) -> None:
        super().__init__(in_dim, dim, heads=heads)
        height, width = size
        self.bias = nn.Parameter(torch.zeros(heads, 2 * height - 1, 2 * width - 1))
        with torch.device("cpu"):  # what no state holds must have its values even where the rest has none yet
            row, column = torch.arange(height).repeat_interleave(width), torch.arange(width).repeat(height)  # (L,)
        down, right = row - row[:, None] + height - 1, column - column[:, None] + width - 1  # (L, L)
        self.register_buffer("offset", down * (2 * width - 1) + right, persistent=False)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:  # noqa: D102
        return super().scores(query, key) + self.bias.flatten(1)[:, self.offset]  # (N, heads, L, L)


class SqueezeExcitation(nn.Module):
    """Each channel times a number from 0 to 1 that follows from the means of all: (N, C, H, W) → (N, C, H, W).

    Hu et al. (2018), section 3, https://arxiv.org/abs/1709.01507.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Return x itself, or its maxima in windows of `stride`, projected to another number of channels."""
    pool = [nn.MaxPool2d(stride)] if stride > 1 else []
    return nn.Sequential(*pool, *([nn.Conv2d(in_channels, channels, 1)] if in_channels != channels else []))


def mbconv(in_channels: int, channels: int, *, stride: int) -> Residual:
    """Return an inverted residual block: four times as many channels, a depthwise convolution, and back.

    (N, in_channels, H, W) → (N, channels, H // stride, W // stride). Sandler et al. (2018), section 3.3,
    https://arxiv.org/abs/1801.04381; here the norm comes first, and the first convolution has the stride.
    """
    hidden = 4 * channels
    main = nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.Conv2d(in_channels, hidden, 1, stride=stride, bias=False),
        nn.BatchNorm2d(hidden),
        nn.GELU(),
        nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False),
        nn.BatchNorm2d(hidden),
        nn.GELU(),
        SqueezeExcitation(hidden, channels // 4),
        nn.Conv2d(hidden, channels, 1),
    )
    return Residual(main, _shortcut(in_channels, channels, stride))


class TransformerBlock(nn.Module):
    """Attention between all positions, then two linear layers at each, each behind a norm and beside a shortcut.

    (N, in_channels, H, W) → (N, channels, *size), where `size` is (H // stride, W // stride).
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, heads: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(in_channels, eps=1e-6)
        self.pool = nn.MaxPool2d(stride)
        self.attention = RelativeAttention(in_channels, channels, heads=heads, size=size)
        self.shortcut = _shortcut(in_channels, channels, stride)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = feed_forward(channels, 4 * channels)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        pooled = self.pool(self.norm1(x.movedim(1, -1)).movedim(-1, 1))  # (N, in_channels, *size)
        shortcut = self.shortcut(x)
        tokens = shortcut.flatten(2).mT + self.attention(pooled.flatten(2).mT)  # (N, L, channels)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.mT.unflatten(2, shortcut.shape[2:])


class CoAtNet(nn.Module):
    """The network that `coatnet` makes: five stages, s0 to s4."""

    def __init__(self, stages: Sequence[nn.Module], *, channels: int, num_classes: int) -> None:
        super().__init__()
        self.s0, self.s1, self.s2, self.s3, self.s4 = stages
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.s4(self.s3(self.s2(self.s1(self.s0(x)))))
        return self.head(self.norm(x.mean((2, 3))))


def _stem(in_channels: int, channels: int, *, depth: int, stride: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth - 1):
        layers += [nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(channels), nn.GELU()]
        in_channels, stride = channels, 1
    return nn.Sequential(*layers, nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1))


def _convolving(in_channels: int, channels: int, *, depth: int, stride: int) -> nn.Sequential:
    first = mbconv(in_channels, channels, stride=stride)
    return nn.Sequential(first, *(mbconv(channels, channels, stride=1) for _ in range(depth - 1)))


def _attending(
    in_channels: int, channels: int, depth: int, stride: int, heads: int, size: tuple[int, int]
) -> nn.Sequential:
    first = TransformerBlock(in_channels, channels, stride=stride, heads=heads, size=size)
    others = (TransformerBlock(channels, channels, stride=1, heads=heads, size=size) for _ in range(depth - 1))
    return nn.Sequential(first, *others)


def _five(name: str, values: Sequence[int]) -> tuple[int, ...]:
    numbers = positive_ints(name, values)
    if len(numbers) != 5:
        raise ValueError(f"{name} is {values!r}; expected five integers, one for each stage")
    return tuple(numbers)


def coatnet(
    *,
    image_size: IntOrTuple = 224,
    widths: Sequence[int] = (64, 96, 192, 384, 768),
    depths: Sequence[int] = (2, 2, 3, 5, 2),
    strides: Sequence[int] = (2, 2, 2, 2, 2),
    head_dim: int = 32,
    num_classes: int = 1000,
    in_channels: int = 3,
    seed: int = 0,
) -> CoAtNet:
    """Return a hybrid of five stages, for images (N, in_channels, *image_size); unless told otherwise CoAtNet-0.

    Stage i has depths[i] layers or blocks of widths[i] channels, and the first of them takes one position in
    strides[i]. Each head of attention has `head_dim` channels. Raises ValueError, naming the argument, for what is no
    positive integer, strides that do not divide the image's size, a width of s3 or s4 that `head_dim` does not divide,
    or one of s1 or s2 below 4.

    Table 4 has 25 million parameters and 4.2 billion multiply–adds for CoAtNet-0; here they are 4.14 billion and:

    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in coatnet().parameters())
    24446292
    """
    (height, width), widths = as_ints("image_size", image_size, 2, 1), _five("widths", widths)
    depths, strides, head_dim = _five("depths", depths), _five("strides", strides), as_int("head_dim", head_dim, 1)
    if height % prod(strides) or width % prod(strides):
        raise ValueError(f"strides is {strides}; expected that their product divides image_size, {image_size!r}")
    if min(widths[1:3]) < 4 or any(count % head_dim for count in widths[3:]):
        raise ValueError(f"widths is {widths}; expected at least 4 in s1 and s2, multiples of {head_dim} in s3 and s4")
    channels, classes = as_int("in_channels", in_channels, 1), as_int("num_classes", num_classes, 1)
    with seeded(seed):
        stages = [_stem(channels, widths[0], depth=depths[0], stride=strides[0])]
        for i in (1, 2):
            stages.append(_convolving(widths[i - 1], widths[i], depth=depths[i], stride=strides[i]))
        for i in (3, 4):
            grid = height // prod(strides[: i + 1]), width // prod(strides[: i + 1])
            stages.append(_attending(widths[i - 1], widths[i], depths[i], strides[i], widths[i] // head_dim, grid))
        model = CoAtNet(stages, channels=widths[-1], num_classes=classes)
        xavier_uniform(model)
    takes_images(model, channels, height, width)
    return model


def coatnet_cifar(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> CoAtNet:
    """Return a small hybrid for 32 × 32 images: 215,744 parameters, 18.3 million multiply–adds.

    Not of the paper. Attention begins at 8 × 8 positions. A step of training takes one thread of a processor about as
    long as one of ResNet-20, in bfloat16, though that has more than twice the multiply–adds: what depthwise
    convolutions, norms and GELUs cost is less to compute than to move through memory.

    >>> sum(p.numel() for p in coatnet_cifar().parameters())
    215744
    """
    return coatnet(
        image_size=32,
        widths=(16, 32, 48, 64, 64),
        depths=(2, 1, 2, 2, 1),
        strides=(1, 2, 2, 1, 1),
        num_classes=num_classes,
        in_channels=in_channels,
        seed=seed,
    )
