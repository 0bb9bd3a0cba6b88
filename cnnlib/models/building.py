"""What the families share: how weights are drawn, a dense head, and a refusal of images that cannot be taken."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from math import sqrt
from typing import Any

from torch import nn

from cnnlib.geometry import as_int


def he_normal(model: nn.Module) -> None:
    """Draw every convolution's and linear layer's weights from N(0, 2 / fan-in) and set the biases to zero.

    He et al. (2015), https://arxiv.org/abs/1502.01852. What `nn_numpy` does too.

    >>> model = nn.Linear(2, 1)
    >>> he_normal(model)
    >>> model.bias.item()
    0.0
    """
    for layer in _weighted(model):
        _normal(layer, sqrt(2 / layer.weight[0].numel()))


def normal(model: nn.Module, *, std: float) -> None:
    """Draw every convolution's and linear layer's weights from N(0, std²) and set the biases to zero.

    >>> model = nn.Linear(100, 100)
    >>> normal(model, std=0.01)
    >>> 0.009 < model.weight.std() < 0.011
    tensor(True)
    """
    for layer in _weighted(model):
        _normal(layer, std)


def _weighted(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def _normal(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def dense_head(in_features: int, num_classes: int) -> OrderedDict[str, nn.Module]:
    """Return the three dense layers that AlexNet, ZFNet and VGG end in: 4,096, 4,096 and one for each class.

    Dropout of one half follows the ReLU of the two hidden ones; `flatten` comes first.

    >>> list(dense_head(9216, 1000))
    ['flatten', 'fc6', 'relu6', 'drop6', 'fc7', 'relu7', 'drop7', 'fc8']
    """
    return OrderedDict(
        flatten=nn.Flatten(),  # (N, C, H, W) to (N, C · H · W)
        fc6=nn.Linear(in_features, 4096),
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, num_classes),
    )


def positive_ints(name: str, values: Sequence[int]) -> list[int]:
    """Return a list of positive integers, or raise a ValueError that names what it is.

    >>> positive_ints("hidden", 128)
    Traceback (most recent call last):
    ...
    ValueError: hidden is 128; expected a sequence of positive integers
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"{name} is {values!r}; expected a sequence of positive integers")
    return [as_int(name, value, 1) for value in values]


def takes_images(model: nn.Module, in_channels: int, height: int | None = None, width: int | None = None) -> None:
    """Let `model` refuse, with a ValueError, whatever is not (N, in_channels, height, width); None allows any size.

    The check is a hook that runs before `forward`, so that a plain `nn.Sequential` stays one, and so does its slice.

    >>> model = nn.Flatten()
    >>> takes_images(model, 1, 28, 28)
    >>> import torch
    >>> model(torch.zeros(5, 1, 32, 32))
    Traceback (most recent call last):
    ...
    ValueError: x has shape (5, 1, 32, 32); expected (N, 1, 28, 28)
    """
    hook = partial(_refuse_others, expected=(in_channels, height, width))
    model.register_forward_pre_hook(hook, with_kwargs=True)


def _refuse_others(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *, expected: tuple[int, int | None, int | None]
) -> None:
    x, *_ = *args, *kwargs.values()
    shape, (channels, height, width) = tuple(x.shape), expected
    if len(shape) != 4 or any(n is not None and n != found for n, found in zip(expected, shape[1:], strict=True)):
        raise ValueError(f"x has shape {shape}; expected (N, {channels}, {height or 'H'}, {width or 'W'})")
