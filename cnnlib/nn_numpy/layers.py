"""Layers that compute something, each keeping from its forward what its backward needs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnlib import fast, ops_numpy
from cnnlib.geometry import IntOrTuple, Padding, as_groups, as_int, as_ints
from cnnlib.nn_numpy.base import Layer


class Conv2d(Layer):
    """`fast.conv2d` with a weight (out_channels, in_channels // groups, kh, kw) and, unless told not to, a bias.

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
        bias: bool = True,
        generator: np.random.Generator,
    ) -> None:
        super().__init__()
        as_groups(in_channels, out_channels, groups)
        self.options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        shape = (out_channels, in_channels // groups, *as_ints("kernel_size", kernel_size, 2, 1))
        self._parameters = {"weight": he_normal(shape, generator)}
        if bias:
            self._parameters["bias"] = np.zeros(out_channels)

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        return fast.conv2d(x, self._parameters["weight"], self._parameters.get("bias"), **self.options)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        weight = self._parameters["weight"]
        grad_x, *gradients = fast.conv2d_backward(grad_output, self.x, weight, **self.options)
        self._keep(*gradients)
        return grad_x

    def backward_parameters(self, grad_output: np.ndarray) -> None:  # noqa: D102
        weight = self._parameters["weight"]
        self._keep(*fast.conv2d_backward_parameters(grad_output, self.x, weight, **self.options))

    def _keep(self, grad_weight: np.ndarray, grad_bias: np.ndarray) -> None:
        gradients = {"weight": grad_weight, "bias": grad_bias}
        self._gradients = {name: gradients[name] for name in self._parameters}


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
        return ops_numpy.linear(x, **self._parameters)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        grad_x, grad_weight, grad_bias = ops_numpy.linear_backward(grad_output, self.x, self._parameters["weight"])
        self._gradients = {"weight": grad_weight, "bias": grad_bias}
        return grad_x


class ReLU(Layer):
    """`fast.relu`. It keeps y, which the next layer keeps too, instead of x: y > 0 exactly where x > 0."""

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.y = fast.relu(x)
        return self.y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return fast.relu_backward(grad_output, self.y)


class MaxPool2d(Layer):
    """`fast.max_pool2d_values`: x and y say where the maxima stood, so no indices are kept."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        self.y = fast.max_pool2d_values(x, self.kernel_size, stride=self.stride, padding=self.padding)
        return self.y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return fast.max_pool2d_values_backward(
            grad_output, self.x, self.y, self.kernel_size, stride=self.stride, padding=self.padding
        )


class AvgPool2d(Layer):
    """`ops_numpy.avg_pool2d`."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.input_size = x.shape[2:]
        return ops_numpy.avg_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return ops_numpy.avg_pool2d_backward(
            grad_output, self.kernel_size, input_size=self.input_size, stride=self.stride, padding=self.padding
        )


class GlobalAvgPool2d(Layer):
    """The mean of every channel's plane, (N, C, H, W) → (N, C): Lin et al. (2014), https://arxiv.org/abs/1312.4400."""

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.shape = x.shape
        return x.mean(axis=(2, 3))

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        pixels = self.shape[2] * self.shape[3]
        return np.broadcast_to((grad_output / pixels)[:, :, None, None], self.shape)


class BatchNorm2d(Layer):
    """`fast.batch_norm` with a weight and a bias per channel, and running statistics as buffers.

    In training each channel is normalised by its own mean and variance over the batch, in use by the running ones.
    Ioffe and Szegedy (2015), https://arxiv.org/abs/1502.03167.

    >>> layer = BatchNorm2d(1)
    >>> layer.forward(np.array([1.0, 3.0]).reshape(2, 1, 1, 1)).ravel().round(3)
    array([-1.,  1.])
    >>> layer.buffers["running_mean"]
    array([0.2])
    """

    def __init__(self, num_features: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        C = as_int("num_features", num_features, 1)
        self.momentum, self.eps = momentum, eps
        self._parameters = {"weight": np.ones(C), "bias": np.zeros(C)}
        self._buffers = {"running_mean": np.zeros(C), "running_var": np.ones(C)}

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x: np.ndarray = x
        self.moments: tuple[np.ndarray, np.ndarray] | None = None
        weight, bias = self._parameters["weight"], self._parameters["bias"]
        if not self.training:
            return fast.batch_norm(x, *self._running(), weight, bias, eps=self.eps)[0]
        y, mean, variance = fast.batch_norm_saving(x, weight, bias, eps=self.eps)
        self.moments = mean, variance
        m = x.size // len(mean)
        if m:  # an empty batch says nothing
            for name, value in (("running_mean", mean), ("running_var", variance * m / (m - 1))):
                self._buffers[name] += self.momentum * (value - self._buffers[name])
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        weight = self._parameters["weight"]
        if self.moments is None:
            grads = fast.batch_norm_backward(grad_output, self.x, *self._running(), weight, eps=self.eps)
        else:
            grads = fast.batch_norm_saving_backward(grad_output, self.x, *self.moments, weight, eps=self.eps)
        grad_x, self._gradients["weight"], self._gradients["bias"] = grads
        return grad_x

    def _running(self) -> tuple[np.ndarray, np.ndarray]:
        return self._buffers["running_mean"], self._buffers["running_var"]


class Dropout(Layer):
    """`ops_numpy.dropout`: in training each number is kept with probability 1 − p, in use all are.

    >>> Dropout(0.5, generator=np.random.default_rng(0)).eval().forward(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p: float, *, generator: np.random.Generator) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p!r}; expected a probability, from 0 to 1")
        self.p, self.generator = p, generator

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.mask = self.generator.random(x.shape) >= self.p if self.training else None
        return x if self.mask is None else ops_numpy.dropout(x, self.mask, p=self.p)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return grad_output if self.mask is None else ops_numpy.dropout_backward(grad_output, self.mask, p=self.p)


class PadChannels(Layer):
    """Every `stride`-th pixel, with zero channels before and after: the parameter-free shortcut of He et al. (2016).

    (N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉); option A of section 3.3. The paper leaves
    open where the new channels go; as in most implementations half of them come first, the rest last.

    >>> PadChannels(1, 3, stride=2).forward(np.arange(4.0).reshape(1, 1, 2, 2)).ravel()
    array([0., 0., 0.])
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        extra = as_int("out_channels", out_channels, as_int("in_channels", in_channels, 1)) - in_channels
        self.channels = (extra // 2, extra - extra // 2)
        self.stride = as_int("stride", stride, 1)

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.shape = x.shape
        return np.pad(x[:, :, :: self.stride, :: self.stride], ((0, 0), self.channels, (0, 0), (0, 0)))

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        grad_x = np.zeros(self.shape, grad_output.dtype)
        first = self.channels[0]
        grad_x[:, :, :: self.stride, :: self.stride] = grad_output[:, first : first + self.shape[1]]
        return grad_x


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
