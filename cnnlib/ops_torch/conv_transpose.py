"""Transposed convolution in torch, on any device: the twin of `cnnlib.ops_numpy.conv_transpose`."""

from __future__ import annotations

from typing import Any

import torch

from cnnlib.checks import like, shaped
from cnnlib.checks.conv import conv_transpose_operands
from cnnlib.geometry import IntOrTuple, Padding, conv_transpose_geometry
from cnnlib.ops_torch._correlation import correlate, correlate_adjoint, correlate_weight


def _conv_transpose(
    rank: int, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: int, **layout: Any
) -> torch.Tensor:
    groups = conv_transpose_operands(rank, x, weight, bias, groups, torch.Tensor)
    geometry, output_size = conv_transpose_geometry(x.shape[2:], weight.shape[2:], **layout)
    y = correlate_adjoint(x, weight, geometry, groups, output_size)
    return y if bias is None else y + bias.reshape(-1, *[1] * rank)


def _conv_transpose_backward(
    rank: int, grad_output: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, groups: int, **layout: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    groups = conv_transpose_operands(rank, x, weight, None, groups, torch.Tensor)
    geometry, output_size = conv_transpose_geometry(x.shape[2:], weight.shape[2:], **layout)
    shaped("grad_output", grad_output, (x.shape[0], weight.shape[1] * groups, *output_size), torch.Tensor)
    like("grad_output", grad_output, "x", x)
    grad_x = correlate(grad_output, weight, geometry, groups)
    grad_weight = correlate_weight(x, grad_output, geometry, groups, tuple(weight.shape))
    return grad_x, grad_weight, grad_output.sum(dim=(0, *range(2, 2 + rank)))


def conv_transpose1d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> torch.Tensor:
    """Apply the transpose of `conv1d`: the twin of `cnnlib.ops_numpy.conv_transpose1d`, which says all.

    >>> conv_transpose1d(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 10.0]]]), stride=2, output_padding=1)
    tensor([[[ 1., 10.,  2., 20.,  0.]]])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose(1, x, weight, bias, groups, **layout)


def conv_transpose1d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `conv_transpose1d`.

    >>> x, weight = torch.ones(1, 1, 2), torch.tensor([[[1.0, 10.0]]])
    >>> conv_transpose1d_backward(torch.tensor([[[1.0, 2.0, 3.0]]]), x, weight)[0]
    tensor([[[21., 32.]]])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose_backward(1, grad_output, x, weight, groups, **layout)


def conv_transpose2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> torch.Tensor:
    """Apply the transpose of a convolution: the twin of `cnnlib.ops_numpy.conv_transpose2d`, which says all.

    >>> conv_transpose2d(torch.tensor([[[[1.0, 2.0]]]]), torch.ones(1, 1, 1, 3), stride=2)
    tensor([[[[1., 1., 3., 2., 2.]]]])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose(2, x, weight, bias, groups, **layout)


def conv_transpose2d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `conv_transpose2d`.

    >>> x, weight = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3)
    >>> [tuple(g.shape) for g in conv_transpose2d_backward(torch.ones(1, 1, 5, 5), x, weight, stride=2)]
    [(1, 1, 2, 2), (1, 1, 3, 3), (1,)]
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose_backward(2, grad_output, x, weight, groups, **layout)


def conv_transpose3d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> torch.Tensor:
    """Apply the transpose of `conv3d`: the twin of `cnnlib.ops_numpy.conv_transpose3d`, which says all.

    >>> conv_transpose3d(torch.ones(1, 1, 2, 1, 1), torch.ones(1, 1, 2, 1, 1))[0, 0, :, 0, 0]
    tensor([1., 2., 1.])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose(3, x, weight, bias, groups, **layout)


def conv_transpose3d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `conv_transpose3d`.

    >>> x, weight = torch.ones(1, 1, 2, 1, 1), torch.ones(1, 1, 2, 1, 1)
    >>> conv_transpose3d_backward(torch.ones(1, 1, 3, 1, 1), x, weight)[0][0, 0, :, 0, 0]
    tensor([2., 2.])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose_backward(3, grad_output, x, weight, groups, **layout)
