"""Normalisation in torch, on any device: the twins of `cnnlib.ops_numpy.norm`, which says what each means.

The forward asks torch. The backward takes the chain rule as Ioffe and Szegedy write it (section 3), through the
variance and the mean one after the other, where the NumPy twin has their sum in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F

from cnnlib.checks import norm as checks

Tensor = torch.Tensor


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return (y, running_mean, running_var): the twin of `cnnlib.ops_numpy.batch_norm`, which says all.

    >>> y, mean, var = batch_norm(torch.tensor([[1.0], [3.0]]), torch.zeros(1), torch.ones(1), training=True)
    >>> y.ravel(), mean, var
    (tensor([-1.0000,  1.0000]), tensor([0.2000]), tensor([1.1000]))
    """
    C, eps = checks.batch_norm_operands(x, running_mean, running_var, training, eps, Tensor)
    checks.per_value(x, (C,), Tensor, weight=weight, bias=bias)
    momentum = checks.number("momentum", momentum)
    if training and running_mean is not None and running_var is not None:
        running_mean, running_var = running_mean.clone(), running_var.clone()  # torch writes into them
    y = F.batch_norm(x, running_mean, running_var, weight, bias, bool(training), momentum, eps)
    return y, running_mean, running_var


def batch_norm_backward(
    grad_output: Tensor,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    *,
    training: bool = False,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (grad_x, grad_weight, grad_bias): the twin of `cnnlib.ops_numpy.batch_norm_backward`, which says all.

    >>> x, grad_output = torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    >>> batch_norm_backward(grad_output, x, torch.zeros(1), torch.ones(1), eps=0.0)[0].ravel()
    tensor([1., 0., 0.])
    """
    C, eps = checks.batch_norm_operands(x, running_mean, running_var, training, eps, Tensor)
    checks.per_value(x, (C,), Tensor, weight=weight)
    checks.upstream(grad_output, x, Tensor)
    axes, grad = _all_but_channels(x), _scaled(grad_output, weight)
    if training:
        grad_x, x_hat = _standardise_backward(grad, x, axes, eps)
    else:
        grad_x, x_hat = _rescale_backward(grad, x, running_mean, running_var, eps)
    return grad_x, (grad_output * x_hat).sum(axes), grad_output.sum(axes)


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample over its last axes: the twin of `cnnlib.ops_numpy.layer_norm`, which says all.

    >>> layer_norm(torch.tensor([[1.0, 3.0], [10.0, 30.0]]), 2)
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    shape, eps = checks.layer_norm_operands(x, normalized_shape, eps, Tensor)
    checks.per_value(x, shape, Tensor, weight=weight, bias=bias)
    return F.layer_norm(x, shape, weight, bias, eps)


def layer_norm_backward(
    grad_output: Tensor,
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    *,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (grad_x, grad_weight, grad_bias): the twin of `cnnlib.ops_numpy.layer_norm_backward`, which says all.

    >>> layer_norm_backward(torch.ones(1, 3), torch.tensor([[1.0, 3.0, 5.0]]), 3)[2]
    tensor([1., 1., 1.])
    """
    shape, eps = checks.layer_norm_operands(x, normalized_shape, eps, Tensor)
    checks.per_value(x, shape, Tensor, weight=weight)
    checks.upstream(grad_output, x, Tensor)
    last = tuple(range(-len(shape), 0))
    grad = grad_output if weight is None else grad_output * weight
    grad_x, x_hat = _standardise_backward(grad, x, last, eps)
    samples = (-1, *shape)  # every sample in one row
    return grad_x, (grad_output * x_hat).reshape(samples).sum(0), grad_output.reshape(samples).sum(0)


def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, *, eps: float = 1e-5
) -> Tensor:
    """Normalise C / num_groups channels of an image at a time: the twin of `cnnlib.ops_numpy.group_norm`.

    >>> group_norm(torch.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    C, groups, eps = checks.group_norm_operands(x, num_groups, eps, Tensor)
    checks.per_value(x, (C,), Tensor, weight=weight, bias=bias)
    return torch.group_norm(x, groups, weight, bias, eps)  # unlike F.group_norm, it takes groups of one value


def group_norm_backward(
    grad_output: Tensor, x: Tensor, num_groups: int, weight: Tensor | None = None, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (grad_x, grad_weight, grad_bias): the twin of `cnnlib.ops_numpy.group_norm_backward`.

    >>> [tuple(g.shape) for g in group_norm_backward(torch.ones(2, 4, 3), torch.ones(2, 4, 3), 2)]
    [(2, 4, 3), (4,), (4,)]
    """
    C, groups, eps = checks.group_norm_operands(x, num_groups, eps, Tensor)
    checks.per_value(x, (C,), Tensor, weight=weight)
    checks.upstream(grad_output, x, Tensor)
    rows = (x.shape[0], groups, prod(x.shape[1:]) // groups)  # every group in one row
    grad_x, x_hat = _standardise_backward(_scaled(grad_output, weight).reshape(rows), x.reshape(rows), (2,), eps)
    axes = _all_but_channels(x)
    return grad_x.reshape(x.shape), (grad_output * x_hat.reshape(x.shape)).sum(axes), grad_output.sum(axes)


def instance_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *, eps: float = 1e-5) -> Tensor:
    """Normalise each channel of each image: the twin of `cnnlib.ops_numpy.instance_norm`, which says all.

    >>> instance_norm(torch.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    C, eps = checks.instance_norm_operands(x, eps, Tensor)
    checks.per_value(x, (C,), Tensor, weight=weight, bias=bias)
    return F.instance_norm(x, weight=weight, bias=bias, eps=eps) if len(x) else x.clone()


def instance_norm_backward(
    grad_output: Tensor, x: Tensor, weight: Tensor | None = None, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (grad_x, grad_weight, grad_bias): the twin of `cnnlib.ops_numpy.instance_norm_backward`.

    >>> instance_norm_backward(torch.ones(1, 1, 3), torch.tensor([[[1.0, 2.0, 4.0]]]))[2]
    tensor([3.])
    """
    C, eps = checks.instance_norm_operands(x, eps, Tensor)
    checks.per_value(x, (C,), Tensor, weight=weight)
    checks.upstream(grad_output, x, Tensor)
    pixels, axes = tuple(range(2, x.ndim)), _all_but_channels(x)
    grad_x, x_hat = _standardise_backward(_scaled(grad_output, weight), x, pixels, eps)
    return grad_x, (grad_output * x_hat).sum(axes), grad_output.sum(axes)


def _standardise_backward(grad: Tensor, x: Tensor, axes: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """Return the gradient of x and x̂ itself, given the gradient of x̂ = (x − mean)/√(variance + eps) along `axes`."""
    m = max(1, prod(x.shape[a] for a in axes))  # 1 in an empty batch, where there is nothing to divide
    centred = x - x.sum(axes, keepdim=True) / m
    centred = centred - centred.sum(axes, keepdim=True) / m  # what rounding left of a large mean
    variance = centred.square().sum(axes, keepdim=True) / m
    slope = (variance + eps).rsqrt()
    x_hat = centred * slope
    grad_variance = (grad * x_hat).sum(axes, keepdim=True) * slope.square() / -2  # slope³ alone may underflow
    grad_mean = -(grad * slope).sum(axes, keepdim=True)
    return grad * slope + grad_variance * 2 * centred / m + grad_mean / m, x_hat


def _rescale_backward(grad, x, mean, variance, eps):
    """Return the same two where mean and variance are constants."""
    slope = _along((variance + eps).rsqrt(), x)
    return grad * slope, (x - _along(mean, x)) * slope


def _scaled(grad_output: Tensor, weight: Tensor | None) -> Tensor:
    return grad_output if weight is None else grad_output * _along(weight, grad_output)


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Turn one value per channel (C,) into (C, 1, …), to stand beside x (N, C, …)."""
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _all_but_channels(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))
