"""The networks of the course, one family a file, as plain `torch.nn` modules.

Every constructor takes `num_classes`, `in_channels` and `seed` by name: the seed decides the weights, and torch's
global generator is left as it was. Images go in as (N, C, H, W), already normalised; logits come out.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cnnlib.models.alexnet import alexnet, alexnet_2014, alexnet_one_tower
from cnnlib.models.allconv import all_cnn_c, cnn_c, convpool_cnn_c, strided_cnn_c
from cnnlib.models.coatnet import coatnet, coatnet_cifar
from cnnlib.models.googlenet import googlenet, googlenet_with_heads
from cnnlib.models.lenet import lenet5, lenet5_1998
from cnnlib.models.mlp import mlp
from cnnlib.models.mobilenet import mobilenet
from cnnlib.models.pattern import digits_cnn, pattern, vanilla
from cnnlib.models.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from cnnlib.models.resnet_cifar import (
    plain_network,
    residual_network,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)
from cnnlib.models.vgg import vgg11, vgg13, vgg16, vgg19
from cnnlib.models.vit import vit, vit_b16, vit_cifar
from cnnlib.models.wong_kolter import wong_kolter
from cnnlib.models.zfnet import zfnet

NAMED: dict[str, Callable[..., nn.Module]] = {
    constructor.__name__: constructor
    for constructor in (
        *(digits_cnn, lenet5, lenet5_1998, wong_kolter),
        *(alexnet, alexnet_one_tower, alexnet_2014, zfnet, vgg11, vgg13, vgg16, vgg19, googlenet, mobilenet),
        *(resnet18, resnet34, resnet50, resnet101, resnet152, vit_b16),
        *(resnet20, resnet32, resnet44, resnet56, resnet110, vit_cifar, coatnet_cifar),
        *(cnn_c, strided_cnn_c, convpool_cnn_c, all_cnn_c),
    )
}


def build(name: str, *, num_classes: int, in_channels: int, seed: int = 0) -> nn.Module:
    """Return the network of that name in its usual form; raises ValueError for an unknown name.

    >>> import torch
    >>> build("lenet5", num_classes=10, in_channels=1)(torch.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 10])
    """
    if name not in NAMED:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(map(repr, NAMED))}")
    return NAMED[name](num_classes=num_classes, in_channels=in_channels, seed=seed)


__all__ = [
    "NAMED",
    "alexnet",
    "alexnet_2014",
    "alexnet_one_tower",
    "all_cnn_c",
    "build",
    "cnn_c",
    "coatnet",
    "coatnet_cifar",
    "convpool_cnn_c",
    "digits_cnn",
    "googlenet",
    "googlenet_with_heads",
    "lenet5",
    "lenet5_1998",
    "mlp",
    "mobilenet",
    "pattern",
    "plain_network",
    "residual_network",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "strided_cnn_c",
    "vanilla",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vit",
    "vit_b16",
    "vit_cifar",
    "wong_kolter",
    "zfnet",
]
