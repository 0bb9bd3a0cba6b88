"""Layers that compute something, each keeping from its forward what its backward needs."""

from __future__ import annotations

import math

import numpy as np

from cnnlib import ops_numpy as ops
from cnnlib.geometry import IntOrTuple, Padding, as_groups, as_int, as_ints
from cnnlib.nn_numpy.base import Layer


class Conv2d(Layer):
    """`ops_numpy.conv2d` with a weight (out_channels, in_channels // groups, kh, kw) and a bias.

    Weights are drawn from N(0, 2 / fan-in), biases are zero: He et al. (2015), https://arxiv.org/abs/1502.01852.

    >>> Conv2d(1, 4, 3, padding=1, generator=np.random.default_rng(0)).forward(np.zeros((2, 1, 8, 8))).shape
    (2, 4, 8, 8)
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
        generator: np.random.Generator,
    ) -> None:
        super().__init__()
        as_groups(in_channels, out_channels, groups)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        shape = (out_channels, in_channels // groups, *as_ints("kernel_size", kernel_size, 2, 1))
        self._parameters = {"weight": he_normal(shape, generator), "bias": np.zeros(out_channels)}

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        return ops.conv2d(
            x,
            **self._parameters,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        grad_x, grad_weight, grad_bias = ops.conv2d_backward(
            grad_output,
            self.x,
            self._parameters["weight"],
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        self._gradients = {"weight": grad_weight, "bias": grad_bias}
        return grad_x


class Linear(Layer):
    """`ops_numpy.linear` with a weight (out_features, in_features), drawn as in `Conv2d`, and a bias.

    >>> Linear(64, 10, generator=np.random.default_rng(0)).forward(np.zeros((2, 64))).shape
    (2, 10)
    """

    def __init__(self, in_features: int, out_features: int, *, generator: np.random.Generator) -> None:
        super().__init__()
        shape = (as_int("out_features", out_features, 1), as_int("in_features", in_features, 1))
        self._parameters = {"weight": he_normal(shape, generator), "bias": np.zeros(out_features)}

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        return ops.linear(x, **self._parameters)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        grad_x, grad_weight, grad_bias = ops.linear_backward(grad_output, self.x, self._parameters["weight"])
        self._gradients = {"weight": grad_weight, "bias": grad_bias}
        return grad_x


class ReLU(Layer):
    """`ops_numpy.relu`."""

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        return ops.relu(x)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return ops.relu_backward(grad_output, self.x)


class MaxPool2d(Layer):
    """`ops_numpy.max_pool2d`, without its indices."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.input_size = x.shape[2:]
        y, self.indices = ops.max_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return ops.max_pool2d_backward(grad_output, self.indices, input_size=self.input_size)


class AvgPool2d(Layer):
    """`ops_numpy.avg_pool2d`."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.input_size = x.shape[2:]
        return ops.avg_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return ops.avg_pool2d_backward(
            grad_output, self.kernel_size, input_size=self.input_size, stride=self.stride, padding=self.padding
        )


class Flatten(Layer):
    """(N, C, H, W) → (N, C·H·W)."""

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.shape = x.shape
        return x.reshape(len(x), math.prod(x.shape[1:]))  # also for an empty batch

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return grad_output.reshape(self.shape)


def he_normal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (fan_out, …) from N(0, 2 / fan-in)."""
    return generator.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
