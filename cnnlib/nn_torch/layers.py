"""The layers of `cnnlib.nn_numpy` in torch: autograd functions and modules over `cnnlib.ops_torch`.

Each function hands autograd *our* forward and *our* backward, so that `torch.autograd.gradcheck` can judge them. The
parameters have the names of `cnnlib.nn_numpy`; any optimiser of torch moves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable

from cnnlib import ops_torch as ops
from cnnlib.geometry import IntOrTuple, Padding, as_groups, as_int, as_ints


class Conv2dFunction(torch.autograd.Function):
    """`ops_torch.conv2d` with `ops_torch.conv2d_backward`."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, dilation, groups):  # noqa: D102
        ctx.save_for_backward(x, weight)
        ctx.options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ops.conv2d(x, weight, bias, **ctx.options)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        grads = ops.conv2d_backward(grad_output, *ctx.saved_tensors, **ctx.options)
        return (*grads[:2], grads[2] if ctx.needs_input_grad[2] else None, None, None, None, None)


class LinearFunction(torch.autograd.Function):
    """`ops_torch.linear` with `ops_torch.linear_backward`."""

    @staticmethod
    def forward(ctx, x, weight, bias):  # noqa: D102
        ctx.save_for_backward(x, weight)
        return ops.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        grads = ops.linear_backward(grad_output, *ctx.saved_tensors)
        return (*grads[:2], grads[2] if ctx.needs_input_grad[2] else None)


class ReLUFunction(torch.autograd.Function):
    """`ops_torch.relu` with `ops_torch.relu_backward`."""

    @staticmethod
    def forward(ctx, x):  # noqa: D102
        ctx.save_for_backward(x)
        return ops.relu(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        return ops.relu_backward(grad_output, *ctx.saved_tensors)


class MaxPool2dFunction(torch.autograd.Function):
    """`ops_torch.max_pool2d` with `ops_torch.max_pool2d_backward`; returns (y, indices)."""

    @staticmethod
    def forward(ctx, x, kernel_size, stride, padding):  # noqa: D102
        y, indices = ops.max_pool2d(x, kernel_size, stride=stride, padding=padding)
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        ctx.input_size = tuple(x.shape[2:])
        return y, indices

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output, _):  # noqa: D102
        (indices,) = ctx.saved_tensors
        return ops.max_pool2d_backward(grad_output, indices, input_size=ctx.input_size), None, None, None


class AvgPool2dFunction(torch.autograd.Function):
    """`ops_torch.avg_pool2d` with `ops_torch.avg_pool2d_backward`."""

    @staticmethod
    def forward(ctx, x, kernel_size, stride, padding):  # noqa: D102
        ctx.options = {"stride": stride, "padding": padding}
        ctx.kernel_size, ctx.input_size = kernel_size, tuple(x.shape[2:])
        return ops.avg_pool2d(x, kernel_size, **ctx.options)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        grad_x = ops.avg_pool2d_backward(grad_output, ctx.kernel_size, input_size=ctx.input_size, **ctx.options)
        return grad_x, None, None, None


class CrossEntropyFunction(torch.autograd.Function):
    """`ops_torch.cross_entropy` with `ops_torch.cross_entropy_backward`, the mean over the batch."""

    @staticmethod
    def forward(ctx, logits, target):  # noqa: D102
        ctx.save_for_backward(logits, target)
        return ops.cross_entropy(logits, target)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        return ops.cross_entropy_backward(grad_output, *ctx.saved_tensors), None


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
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        as_groups(in_channels, out_channels, groups)
        self.options = (stride, padding, dilation, groups)
        shape = (out_channels, in_channels // groups, *as_ints("kernel_size", kernel_size, 2, 1))
        self.weight = nn.Parameter(he_normal(shape, generator))
        self.bias = nn.Parameter(torch.zeros(out_channels))

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


Flatten = nn.Flatten
Sequential = nn.Sequential


def he_normal(shape: tuple[int, ...], generator: torch.Generator | None) -> torch.Tensor:
    """Draw weights (fan_out, …) from N(0, 2 / fan-in); without a generator torch's global one is used."""
    return torch.randn(shape, generator=generator) * float(np.sqrt(2 / np.prod(shape[1:])))


def load(model: nn.Module, parameters: Mapping[str, np.ndarray]) -> None:
    """Copy the parameters of a model of `nn_numpy` into its twin, by name; the dtype becomes theirs.

    Raises ValueError where a name is missing or too many, or a shape differs.

    >>> model = Sequential(Linear(1, 1))
    >>> load(model, {"0.weight": np.array([[2.0]]), "0.bias": np.array([1.0])})
    >>> model[0].weight
    Parameter containing:
    tensor([[2.]], dtype=torch.float64, requires_grad=True)
    """
    own = dict(model.named_parameters())
    if own.keys() != parameters.keys():
        raise ValueError(f"parameters has the names {sorted(parameters)}; expected {sorted(own)}")
    for name, value in parameters.items():
        if tuple(own[name].shape) != value.shape:
            raise ValueError(f"parameters[{name!r}] has shape {value.shape}; expected {tuple(own[name].shape)}")
    for name, value in parameters.items():
        own[name].data = torch.tensor(value, device=own[name].device)


def train_step(model: nn.Module, optimiser: Any, x: torch.Tensor, target: torch.Tensor) -> float:
    """Take one step of gradient descent on the cross-entropy of a batch; return the loss before it."""
    loss = CrossEntropyFunction.apply(model(x), target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def digits_cnn(generator: torch.Generator | None = None) -> nn.Sequential:
    """Return the twin of `nn_numpy.digits_cnn`."""
    return Sequential(
        Conv2d(1, 16, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(128, 10, generator=generator),
    )
