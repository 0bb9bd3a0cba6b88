"""Pooling in torch, on any device: the twin of `cnnlib.ops_numpy.pool`, which explains the options."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_int, as_ints, pool_divisors, pool_geometry
from cnnlib.ops_torch.conv import _correlate_adjoint


def _padded(x: torch.Tensor, geometry: Geometry, fill: float) -> torch.Tensor:
    """Pad x to exactly what the windows reach, also where they overhang in ceil mode."""
    pads: list[int] = []
    for i in (1, 0):
        before = geometry.padding[i][0]
        reach = geometry.stride[i] * (geometry.output_size[i] - 1) + geometry.span[i]
        pads += [before, reach - before - x.shape[2 + i]]  # a negative amount crops what no window covers
    return F.pad(x, pads, value=fill)


def max_pool2d(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the maximum of every window, and where it stood in its H × W plane: the first on ties, the last NaN.

    >>> y, indices = max_pool2d(torch.tensor([[[[1.0, 5.0, 5.0, 2.0]]]]), (1, 2))
    >>> y[0, 0], indices[0, 0]
    (tensor([[5., 5.]]), tensor([[1, 2]]))
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    H, W = x.shape[2:]
    geometry = pool_geometry(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    padded = _padded(x, geometry, -torch.inf)
    y, indices = F.max_pool2d(padded, geometry.kernel_size, geometry.stride, 0, geometry.dilation, return_indices=True)
    (top, _), (left, _) = geometry.padding
    width = padded.shape[3]
    row, column = indices.div(width, rounding_mode="floor") - top, indices % width - left
    outside = (row < 0) | (row >= H) | (column < 0) | (column >= W)  # a window of −∞ ties with its padding
    rows, columns = (_first_real(geometry, axis, x.device) for axis in (0, 1))
    return y, torch.where(outside, rows[:, None] * W + columns, row * W + column)


def _first_real(geometry: Geometry, axis: int, device: torch.device) -> torch.Tensor:
    """Return, for each window along an axis, its first position that is not padding."""
    d = geometry.dilation[axis]
    starts = torch.arange(geometry.output_size[axis], device=device) * geometry.stride[axis]
    starts = starts - geometry.padding[axis][0]
    return torch.where(starts < 0, starts % d, starts)


def max_pool2d_backward(grad_output: torch.Tensor, indices: torch.Tensor, *, input_size: IntOrTuple) -> torch.Tensor:
    """Send each gradient to the pixel that won its window; a pixel that won several gets their sum.

    >>> max_pool2d_backward(torch.tensor([[[[1.0, 10.0]]]]), torch.tensor([[[[1, 1]]]]), input_size=(1, 3))
    tensor([[[[ 0., 11.,  0.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    H, W = as_ints("input_size", input_size, 2, 1)
    checks.integers("indices", indices, tuple(grad_output.shape), torch.Tensor)
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < H * W:
        raise ValueError(f"indices runs from {int(indices.min())} to {int(indices.max())}; expected 0 to {H * W - 1}")
    N, C = grad_output.shape[:2]
    grad_x = grad_output.new_zeros(N, C, H * W)
    return grad_x.scatter_add(2, indices.flatten(2).long(), grad_output.flatten(2)).reshape(N, C, H, W)


def avg_pool2d(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor:
    """Return the mean of every window.

    >>> avg_pool2d(torch.tensor([[[[1.0, 3.0, 5.0, 9.0]]]]), (1, 2))
    tensor([[[[2., 7.]]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    totals = F.avg_pool2d(_padded(x, geometry, 0.0), geometry.kernel_size, geometry.stride, divisor_override=1)
    return totals / _divisor(geometry, x, x.shape[2:], count_include_pad, divisor_override)


def avg_pool2d_backward(
    grad_output: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    input_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor:
    """Spread each gradient evenly over its window: a transposed convolution with a kernel of ones.

    >>> avg_pool2d_backward(torch.tensor([[[[4.0, 8.0]]]]), (1, 2), input_size=(1, 4))
    tensor([[[[2., 2., 4., 4.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    H, W = as_ints("input_size", input_size, 2, 1)
    geometry = pool_geometry((H, W), kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    N, C = grad_output.shape[:2]
    checks.shaped("grad_output", grad_output, (N, C, *geometry.output_size), torch.Tensor)
    shares = grad_output / _divisor(geometry, grad_output, (H, W), count_include_pad, divisor_override)
    ones = shares.new_ones(1, 1, *geometry.kernel_size)
    grad_x = _correlate_adjoint(shares.reshape(N * C, 1, *geometry.output_size), ones, geometry, 1, (H, W))
    return grad_x.reshape(N, C, H, W)


def _divisor(geometry, like, input_size, count_include_pad, divisor_override):
    """Return what each window's sum is divided by: a number, or a tensor (H_out, W_out)."""
    if divisor_override is not None:
        return as_int("divisor_override", divisor_override, 1)
    heights, widths = (like.new_tensor(n) for n in pool_divisors(geometry, input_size, count_include_pad))
    return heights[:, None] * widths
