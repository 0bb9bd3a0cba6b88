"""The layers of `cnnlib.nn_numpy` as modules, over `cnnlib.ops_torch`; the parameters have the same names."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cnnlib.geometry import IntOrTuple, Padding, as_groups, as_int, as_ints
from cnnlib.nn_torch.functions import (
    AvgPool2dFunction,
    BatchNormFunction,
    Conv2dFunction,
    DropoutFunction,
    LinearFunction,
    MaxPool2dFunction,
    ReLUFunction,
)


class Conv2d(nn.Module):
    """The twin of `nn_numpy.Conv2d`: weight from N(0, 2 / fan-in), bias zero, in the default dtype.

    >>> Conv2d(1, 4, 3, padding=1, generator=torch.Generator().manual_seed(0))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        *,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        as_groups(in_channels, out_channels, groups)
        self.options = (stride, padding, dilation, groups)
        shape = (out_channels, in_channels // groups, *as_ints("kernel_size", kernel_size, 2, 1))
        self.weight = nn.Parameter(he_normal(shape, generator))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return Conv2dFunction.apply(x, self.weight, self.bias, *self.options)


class Linear(nn.Module):
    """The twin of `nn_numpy.Linear`."""

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        shape = (as_int("out_features", out_features, 1), as_int("in_features", in_features, 1))
        self.weight = nn.Parameter(he_normal(shape, generator))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return LinearFunction.apply(x, self.weight, self.bias)


class ReLU(nn.Module):
    """The twin of `nn_numpy.ReLU`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return ReLUFunction.apply(x)


class MaxPool2d(nn.Module):
    """The twin of `nn_numpy.MaxPool2d`."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.options = (kernel_size, stride, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return MaxPool2dFunction.apply(x, *self.options)[0]


class AvgPool2d(nn.Module):
    """The twin of `nn_numpy.AvgPool2d`."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.options = (kernel_size, stride, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return AvgPool2dFunction.apply(x, *self.options)


class GlobalAvgPool2d(nn.Module):
    """The twin of `nn_numpy.GlobalAvgPool2d`, by torch's own mean."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return x.mean(dim=(2, 3))


class BatchNorm2d(nn.Module):
    """The twin of `nn_numpy.BatchNorm2d`.

    >>> sorted(BatchNorm2d(1).state_dict())
    ['bias', 'running_mean', 'running_var', 'weight']
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, num_features: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        C = as_int("num_features", num_features, 1)
        self.momentum, self.eps = momentum, eps
        self.weight, self.bias = nn.Parameter(torch.ones(C)), nn.Parameter(torch.zeros(C))
        self.register_buffer("running_mean", torch.zeros(C))
        self.register_buffer("running_var", torch.ones(C))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        options = {"training": self.training, "momentum": self.momentum, "eps": self.eps}
        y, mean, var = BatchNormFunction.apply(x, self.running_mean, self.running_var, self.weight, self.bias, options)
        if self.training:
            self.running_mean, self.running_var = mean, var
        return y


class Dropout(nn.Module):
    """The twin of `nn_numpy.Dropout`; without a generator torch's global one is used."""

    def __init__(self, p: float, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p!r}; expected a probability, from 0 to 1")
        self.p, self.generator = p, generator

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if not self.training:
            return x
        mask = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.p
        return DropoutFunction.apply(x, mask, self.p)


class PadChannels(nn.Module):
    """The twin of `nn_numpy.PadChannels`."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        extra = as_int("out_channels", out_channels, as_int("in_channels", in_channels, 1)) - in_channels
        self.channels = (extra // 2, extra - extra // 2)
        self.stride = as_int("stride", stride, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.channels))


Flatten = nn.Flatten


def he_normal(shape: tuple[int, ...], generator: torch.Generator | None) -> torch.Tensor:
    """Draw weights (fan_out, …) from N(0, 2 / fan-in); without a generator torch's global one is used."""
    return torch.randn(shape, generator=generator) * float(np.sqrt(2 / np.prod(shape[1:])))
