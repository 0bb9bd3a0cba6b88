"""GoogLeNet: modules that look at several scales at once, 22 layers deep, in seven million parameters.

Szegedy et al. (2015), Table 1, Figure 3 and section 5, https://arxiv.org/abs/1409.4842, for images of 224 × 224 pixels.
`googlenet` is the network. For training, the paper hangs two small classifiers on its middle, whose losses count 0.3
and which are then thrown away: `googlenet_with_heads` returns the network between them, so that what a module returns
never depends on its mode: `.network` is what remains.

What Table 1 prints agrees with what its own columns make (weights without biases, K = 1,024) within 2 % of the weights
and 1 % of the multiply–adds, but for three rows. The 2.7K and 34 M of the first convolution are those of a separable
one, eight 7 × 7 filters for each colour and then 1 × 1: 2,712 weights. Figure 3 and the networks rebuilt from it have a
full one, as here: 9,408 and 118 M. The 463K of module 4c should be 498K; its 100 M are right. The 1,072K and 54 M of
module 5a are not its 1,018K and 51 M; 48 channels before the 5 × 5 filters, as in 5b, would make the 54 M.

Deviations: where Figure 3 pads the first convolution 2 before and 3 after ("S"), three zeros stand on each side. The
constants of local response normalisation, which the paper does not give, are AlexNet's. The weights are drawn from
N(0, 2 / fan-in) (He et al., 2015, https://arxiv.org/abs/1502.01852), biases are zero; the paper does not say. Unlike
what libraries ship under this name, the 5 × 5 branches have 5 × 5 filters and there is no batch normalisation.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import he_normal, takes_images
from cnnlib.models.seeding import seeded

INCEPTIONS = {  # 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool proj: Table 1
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Inception(nn.Module):
    """Four branches over the same (N, in_channels, H, W), side by side along the channels; Figure 2(b)."""

    def __init__(self, in_channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, three_reduce, three, five_reduce, five, pool_projection = widths
        self.branch1 = nn.Sequential(nn.Conv2d(in_channels, one, 1), nn.ReLU())
        self.branch3 = nn.Sequential(
            nn.Conv2d(in_channels, three_reduce, 1),
            nn.ReLU(),
            nn.Conv2d(three_reduce, three, 3, padding=1),
            nn.ReLU(),
        )
        self.branch5 = nn.Sequential(
            nn.Conv2d(in_channels, five_reduce, 1),
            nn.ReLU(),
            nn.Conv2d(five_reduce, five, 5, padding=2),
            nn.ReLU(),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(in_channels, pool_projection, 1), nn.ReLU()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.branch_pool(x)], dim=1)


def _pool() -> nn.MaxPool2d:
    """Halve the sides; the last window hangs over the end, as the figure's "S" has it."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _normalisation() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)  # torch divides alpha by 5, AlexNet does not


def _network(num_classes: int, in_channels: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, 64, 7, stride=2, padding=3),  # (N, 64, 112, 112)
        relu1=nn.ReLU(),
        pool1=_pool(),  # (N, 64, 56, 56)
        norm1=_normalisation(),
        conv2_reduce=nn.Conv2d(64, 64, 1),
        relu2_reduce=nn.ReLU(),
        conv2=nn.Conv2d(64, 192, 3, padding=1),  # (N, 192, 56, 56)
        relu2=nn.ReLU(),
        norm2=_normalisation(),
        pool2=_pool(),  # (N, 192, 28, 28)
    )
    channels = 192
    for name, widths in INCEPTIONS.items():
        if name in ("4a", "5a"):
            layers[f"pool{int(name[0]) - 1}"] = _pool()  # to 14 × 14, then to 7 × 7
        layers[f"inception{name}"] = Inception(channels, widths)
        channels = widths[0] + widths[2] + widths[4] + widths[5]
    layers |= OrderedDict(
        pool5=nn.AvgPool2d(7, stride=1),  # (N, 1024, 1, 1)
        flatten=nn.Flatten(),
        dropout=nn.Dropout(0.4),
        fc=nn.Linear(1024, num_classes),
    )
    return nn.Sequential(layers)


def googlenet(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the network for images (N, in_channels, 224, 224), without auxiliary heads; 6,998,552 parameters.

    Raises ValueError where an argument is not a positive integer, or the input of another shape.

    >>> sum(p.numel() for p in googlenet().parameters())
    6998552
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        model = _network(classes, channels)
        he_normal(model)
    takes_images(model, channels, 224, 224)
    return model


class HeadLogits(NamedTuple):
    """The logits (N, num_classes) of the network and of its heads at modules 4a and 4d."""

    logits: torch.Tensor
    head4a: torch.Tensor
    head4d: torch.Tensor


def _head(in_channels: int, num_classes: int) -> nn.Sequential:
    """Return an auxiliary classifier of (N, in_channels, 14, 14); section 5."""
    return nn.Sequential(
        OrderedDict(
            pool=nn.AvgPool2d(5, stride=3),  # (N, in_channels, 4, 4)
            conv=nn.Conv2d(in_channels, 128, 1),
            relu_conv=nn.ReLU(),
            flatten=nn.Flatten(),
            fc1=nn.Linear(128 * 4 * 4, 1024),
            relu1=nn.ReLU(),
            dropout=nn.Dropout(0.7),
            fc2=nn.Linear(1024, num_classes),
        )
    )


class GoogLeNetWithHeads(nn.Module):
    """A network, and the two classifiers that look at it from modules 4a and 4d."""

    def __init__(self, network: nn.Sequential, num_classes: int) -> None:
        super().__init__()
        self.network = network
        self.head4a, self.head4d = _head(512, num_classes), _head(528, num_classes)

    def forward(self, x: torch.Tensor) -> HeadLogits:  # noqa: D102
        seen = {}
        for name, layer in self.network.named_children():
            x = seen[name] = layer(x)
        return HeadLogits(x, self.head4a(seen["inception4a"]), self.head4d(seen["inception4d"]))


def googlenet_with_heads(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> GoogLeNetWithHeads:
    """Return the network to be trained as in the paper: it returns `HeadLogits`; 13,378,280 parameters.

    Its `.network` is `googlenet` of the same seed, weight for weight. Raises ValueError as that.

    >>> sum(p.numel() for p in googlenet_with_heads().parameters())
    13378280
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        network = _network(classes, channels)
        he_normal(network)
        model = GoogLeNetWithHeads(network, classes)
        he_normal(model.head4a)
        he_normal(model.head4d)
    for module in (network, model):
        takes_images(module, channels, 224, 224)
    return model


def loss_with_heads(outputs: HeadLogits, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the network and 0.3 times that of each head, for labels (N,).

    >>> same = torch.zeros(1, 2)
    >>> loss_with_heads(HeadLogits(same, same, same), torch.tensor([0]))  # 1.6 ln 2
    tensor(1.1090)
    """
    final, first, second = (nn.functional.cross_entropy(logits, labels) for logits in outputs)
    return final + 0.3 * (first + second)
