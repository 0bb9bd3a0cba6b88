"""Convolution as a product of matrices, in torch on any device: the twin of `cnnlib.ops_numpy.unfold`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib.checks import floating
from cnnlib.checks.conv import column_operands, matrix_operands
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_ints, conv_geometry
from cnnlib.ops_torch._correlation import crop, flat_pads


def _cut_out(x: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    padded = F.pad(x, flat_pads(geometry.padding))
    return F.unfold(padded, geometry.kernel_size, geometry.dilation, 0, geometry.stride)


def _put_back(columns: torch.Tensor, geometry: Geometry, size: tuple[int, ...]) -> torch.Tensor:
    padded = tuple(before + n + after for n, (before, after) in zip(size, geometry.padding, strict=True))
    full = F.fold(columns, padded, geometry.kernel_size, geometry.dilation, 0, geometry.stride)
    return crop(full, tuple(before for before, _ in geometry.padding), size)


def unfold(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> torch.Tensor:
    """Write every window as a column: the twin of `cnnlib.ops_numpy.unfold`, which says all.

    >>> unfold(torch.tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    tensor([[[1., 2.],
             [2., 3.]]])
    """
    floating("x", x, torch.Tensor, "N, C, H, W")
    geometry = conv_geometry(x.shape[2:], kernel_size, dilation=dilation, padding=padding, stride=stride)
    return _cut_out(x, geometry)


def unfold_backward(
    grad_output: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    input_size: IntOrTuple,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> torch.Tensor:
    """Return grad_x (N, C, *input_size) of `unfold`: `fold`.

    >>> unfold_backward(torch.ones(1, 2, 2), (1, 2), input_size=(1, 3))
    tensor([[[[1., 2., 1.]]]])
    """
    size = as_ints("input_size", input_size, 2, 1)
    geometry = conv_geometry(size, kernel_size, dilation=dilation, padding=padding, stride=stride)
    column_operands("grad_output", grad_output, geometry, torch.Tensor)
    return _put_back(grad_output, geometry, size)


def fold(
    x: torch.Tensor,
    output_size: IntOrTuple,
    kernel_size: IntOrTuple,
    *,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> torch.Tensor:
    """Add columns to where `unfold` cut them from: the twin of `cnnlib.ops_numpy.fold`, which says all.

    >>> fold(torch.tensor([[[1.0, 2.0], [20.0, 30.0]]]), (1, 3), (1, 2))
    tensor([[[[ 1., 22., 30.]]]])
    """
    size = as_ints("output_size", output_size, 2, 1)
    geometry = conv_geometry(size, kernel_size, dilation=dilation, padding=padding, stride=stride)
    column_operands("x", x, geometry, torch.Tensor)
    return _put_back(x, geometry, size)


def fold_backward(
    grad_output: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> torch.Tensor:
    """Return grad_x (N, C · kh · kw, L) of `fold`: `unfold`.

    >>> fold_backward(torch.tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    tensor([[[1., 2.],
             [2., 3.]]])
    """
    floating("grad_output", grad_output, torch.Tensor, "N, C, H, W")
    geometry = conv_geometry(grad_output.shape[2:], kernel_size, dilation=dilation, padding=padding, stride=stride)
    return _cut_out(grad_output, geometry)


def conv2d_matrix(
    weight: torch.Tensor,
    input_size: IntOrTuple,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[int, int]]:
    """Write a convolution as a sparse matrix: the twin of `cnnlib.ops_numpy.conv2d_matrix`, which says all.

    >>> rows, columns, values, shape = conv2d_matrix(torch.ones(1, 1, 1, 2), (1, 3))
    >>> rows, columns, shape
    (tensor([0, 0, 1, 1]), tensor([0, 1, 1, 2]), (2, 3))
    """
    groups = matrix_operands(weight, groups, torch.Tensor)
    H, W = as_ints("input_size", input_size, 2, 1)
    C_out, C_group, kh, kw = weight.shape
    C = C_group * groups
    geometry = conv_geometry((H, W), (kh, kw), stride=stride, padding=padding, dilation=dilation)
    (top, _), (left, _) = geometry.padding
    (sh, sw), (dh, dw), (oh, ow) = geometry.stride, geometry.dilation, geometry.output_size

    def count(size: int, position: int) -> torch.Tensor:
        """Return 0 … size − 1 along one of the seven axes (group, filter, row, column, channel, u, v)."""
        return torch.arange(size, device=weight.device).reshape([-1 if k == position else 1 for k in range(7)])

    g, f, i, j, c, u, v = map(count, (groups, C_out // groups, oh, ow, C_group, kh, kw), range(7))
    row, column = i * sh - top + u * dh, j * sw - left + v * dw  # the pixel that a tap reads
    pixels = ((g * C_group + c) * H + row) * W + column
    outputs = ((g * (C_out // groups) + f) * oh + i) * ow + j
    inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
    taps = weight.reshape(groups, C_out // groups, 1, 1, C_group, kh, kw)
    shape = (groups, C_out // groups, oh, ow, C_group, kh, kw)
    real = inside.expand(shape)
    rows, columns, values = (a.expand(shape)[real] for a in (outputs, pixels, taps))
    return rows, columns, values, (C_out * oh * ow, C * H * W)
