"""Convolution in torch, on any device: the forward by torch's own kernels, the backward as convolutions again.

The twin in `cnnlib.ops_numpy.conv` cuts windows out and adds them back; here the same gradients are written as the
convolutions that they are. Two derivations that agree are worth more than one written twice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_ints, conv_geometry, conv_transpose_geometry


def _pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    """Return ((top, bottom), (left, right)) in the order of `F.pad`: last axis first."""
    return [amount for pair in reversed(padding) for amount in pair]


def _correlate(x: torch.Tensor, weight: torch.Tensor, geometry: Geometry, groups: int) -> torch.Tensor:
    y = F.conv2d(
        F.pad(x, _pads(geometry.padding)), weight, stride=geometry.stride, dilation=geometry.dilation, groups=groups
    )
    oh, ow = geometry.output_size
    return y[:, :, :oh, :ow]


def _correlate_adjoint(
    grad_output: torch.Tensor, weight: torch.Tensor, geometry: Geometry, groups: int, input_size: tuple[int, ...]
) -> torch.Tensor:
    full = F.conv_transpose2d(grad_output, weight, stride=geometry.stride, dilation=geometry.dilation, groups=groups)
    (top, _), (left, _) = geometry.padding
    H, W = input_size
    missing = [0, max(0, left + W - full.shape[3]), 0, max(0, top + H - full.shape[2])]  # what no window covered
    return F.pad(full, missing)[:, :, top : top + H, left : left + W]


def _correlate_weight(
    grad_output: torch.Tensor, x: torch.Tensor, geometry: Geometry, groups: int, shape: tuple[int, ...]
) -> torch.Tensor:
    """Correlate x with grad_output, images in the place of channels; stride and dilation change places too."""
    N, C = x.shape[:2]
    if N == 0:
        return grad_output.new_zeros(shape)
    padded = F.pad(x, _pads(geometry.padding))
    maps = padded.reshape(N, groups, C // groups, *padded.shape[2:]).permute(2, 1, 0, 3, 4)  # (C/g, g, N, H, W)
    products = F.conv2d(
        maps.reshape(C // groups, groups * N, *padded.shape[2:]),
        grad_output.transpose(0, 1),  # (C_out, N, oh, ow)
        stride=geometry.dilation,
        dilation=geometry.stride,
        groups=groups,
    )  # (C/g, C_out, at least kh, at least kw)
    kh, kw = geometry.kernel_size
    return products[:, :, :kh, :kw].transpose(0, 1)


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
    groups = checks.conv_operands(x, weight, bias, groups, torch.Tensor)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    y = _correlate(x, weight, geometry, groups)
    return y if bias is None else y + bias[:, None, None]


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

    grad_x is a full convolution of grad_output, spread out by the stride; grad_weight a correlation of x with it.

    >>> grads = conv2d_backward(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))
    >>> grads[0][0, 0]
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    groups = checks.conv_operands(x, weight, None, groups, torch.Tensor)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    checks.shaped("grad_output", grad_output, (x.shape[0], weight.shape[0], *geometry.output_size), torch.Tensor)
    checks.like("grad_output", grad_output, "x", x)
    grad_x = _correlate_adjoint(grad_output, weight, geometry, groups, x.shape[2:])
    grad_weight = _correlate_weight(grad_output, x, geometry, groups, weight.shape)
    return grad_x, grad_weight, grad_output.sum(dim=(0, 2, 3))


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
    groups = checks.conv_transpose_operands(x, weight, bias, groups, torch.Tensor)
    geometry, output_size = conv_transpose_geometry(
        x.shape[2:],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    y = _correlate_adjoint(x, weight, geometry, groups, output_size)
    return y if bias is None else y + bias[:, None, None]


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
    groups = checks.conv_transpose_operands(x, weight, None, groups, torch.Tensor)
    geometry, output_size = conv_transpose_geometry(
        x.shape[2:],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    shape = (x.shape[0], weight.shape[1] * groups, *output_size)
    checks.shaped("grad_output", grad_output, shape, torch.Tensor)
    checks.like("grad_output", grad_output, "x", x)
    grad_x = _correlate(grad_output, weight, geometry, groups)
    grad_weight = _correlate_weight(x, grad_output, geometry, groups, weight.shape)
    return grad_x, grad_weight, grad_output.sum(dim=(0, 2, 3))


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
    groups = checks.matrix_operands(weight, groups, torch.Tensor)
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
