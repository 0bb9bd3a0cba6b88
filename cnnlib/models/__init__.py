"""The networks of the course, one family a file, as plain `torch.nn` modules.

Every constructor takes `num_classes`, `in_channels` and `seed` by name: the seed decides the weights, and torch's
global generator is left as it was. Images go in as (N, C, H, W), already normalised; logits come out.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cnnlib.models.lenet import lenet5
from cnnlib.models.resnet_cifar import (
    plain_network,
    residual_network,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)

NAMED: dict[str, Callable[..., nn.Module]] = {
    function.__name__: function for function in (lenet5, resnet20, resnet32, resnet44, resnet56, resnet110)
}


def build(name: str, *, num_classes: int, in_channels: int, seed: int = 0) -> nn.Module:
    """Return the network of that name; raises ValueError for an unknown one.

    >>> import torch
    >>> build("lenet5", num_classes=10, in_channels=1)(torch.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 10])
    """
    if name not in NAMED:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(map(repr, NAMED))}")
    return NAMED[name](num_classes=num_classes, in_channels=in_channels, seed=seed)


__all__ = [
    "NAMED",
    "build",
    "lenet5",
    "plain_network",
    "residual_network",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
]
