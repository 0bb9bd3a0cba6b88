"""Convolution in torch, on any device: the twin of `cnnlib.ops_numpy.conv`, which explains the options.

One core, in `_correlation.py`, serves one to three axes.
"""

from __future__ import annotations

from typing import Any

import torch

from cnnlib.checks import like, shaped
from cnnlib.checks.conv import conv_operands
from cnnlib.geometry import IntOrTuple, Padding, conv_geometry
from cnnlib.ops_torch._correlation import correlate, correlate_adjoint, correlate_weight


def _conv(
    rank: int, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: int, **layout: Any
) -> torch.Tensor:
    groups = conv_operands(rank, x, weight, bias, groups, torch.Tensor)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], **layout)
    y = correlate(x, weight, geometry, groups)
    return y if bias is None else y + bias.reshape(-1, *[1] * rank)


def _conv_backward(
    rank: int, grad_output: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, groups: int, **layout: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    groups = conv_operands(rank, x, weight, None, groups, torch.Tensor)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], **layout)
    shaped("grad_output", grad_output, (x.shape[0], weight.shape[0], *geometry.output_size), torch.Tensor)
    like("grad_output", grad_output, "x", x)
    grad_x = correlate_adjoint(grad_output, weight, geometry, groups, tuple(x.shape[2:]))
    grad_weight = correlate_weight(grad_output, x, geometry, groups, tuple(weight.shape))
    return grad_x, grad_weight, grad_output.sum(dim=(0, *range(2, 2 + rank)))


def conv1d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Correlate sequences with filters: the twin of `cnnlib.ops_numpy.conv1d`, which says all.

    >>> conv1d(torch.tensor([[[1.0, 2.0, 4.0, 8.0]]]), torch.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2., 4.]]])
    """
    return _conv(1, x, weight, bias, groups, stride=stride, padding=padding, dilation=dilation)


def conv1d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `conv1d`.

    >>> conv1d_backward(torch.ones(1, 1, 3), torch.ones(1, 1, 4), torch.tensor([[[-1.0, 1.0]]]))[0]
    tensor([[[-1.,  0.,  0.,  1.]]])
    """
    return _conv_backward(1, grad_output, x, weight, groups, stride=stride, padding=padding, dilation=dilation)


def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Correlate images with filters: the twin of `cnnlib.ops_numpy.conv2d`, which says all.

    >>> conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))[0, 0]
    tensor([[4., 4.],
            [4., 4.]])
    """
    return _conv(2, x, weight, bias, groups, stride=stride, padding=padding, dilation=dilation)


def conv2d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `conv2d`.

    >>> grads = conv2d_backward(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))
    >>> grads[0][0, 0]
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    return _conv_backward(2, grad_output, x, weight, groups, stride=stride, padding=padding, dilation=dilation)


def conv3d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Correlate volumes with filters: the twin of `cnnlib.ops_numpy.conv3d`, which says all.

    >>> conv3d(torch.ones(1, 1, 3, 3, 3), torch.ones(1, 1, 2, 3, 3)).flatten()
    tensor([18., 18.])
    """
    return _conv(3, x, weight, bias, groups, stride=stride, padding=padding, dilation=dilation)


def conv3d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `conv3d`.

    >>> x, weight = torch.ones(1, 1, 3, 3, 3), torch.ones(1, 1, 2, 3, 3)
    >>> conv3d_backward(torch.ones(1, 1, 2, 1, 1), x, weight)[0][0, 0, :, 0, 0]
    tensor([1., 2., 1.])
    """
    return _conv_backward(3, grad_output, x, weight, groups, stride=stride, padding=padding, dilation=dilation)
