"""Mean pooling in torch, on any device: the twins of `cnnlib.ops_numpy.avg_pool`, which explains the options."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_int, as_ints, pool_divisors, pool_geometry
from cnnlib.ops_torch._axes import padded_to_reach, scatter_axis

POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _divisors(
    like: torch.Tensor,
    geometry: Geometry,
    input_size: Sequence[int],
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> int | torch.Tensor:
    """Return what each window's sum is divided by: a number, or a tensor of the output's size."""
    if divisor_override is not None:
        return as_int("divisor_override", divisor_override, 1)
    divisors = like.new_ones(())
    for counts in pool_divisors(geometry, input_size, count_include_pad):
        divisors = divisors[..., None] * like.new_tensor(counts)
    return divisors


def _avg_pool(x: torch.Tensor, geometry: Geometry, divisors: int | torch.Tensor) -> torch.Tensor:
    means = POOLS[x.ndim - 2](padded_to_reach(x, geometry, 0.0), geometry.kernel_size, geometry.stride)
    return means * (math.prod(geometry.kernel_size) / divisors)


def _avg_pool_backward(
    grad_output: torch.Tensor, geometry: Geometry, input_size: tuple[int, ...], divisors: int | torch.Tensor
) -> torch.Tensor:
    checks.shaped("grad_output", grad_output, (*grad_output.shape[:2], *geometry.output_size), torch.Tensor)
    shares = grad_output / divisors
    for axis, pixels in enumerate(input_size, 2):  # along one axis, then the next: a box is their product
        span, step, before = geometry.span[axis - 2], geometry.stride[axis - 2], geometry.padding[axis - 2][0]
        last = step * (shares.shape[axis] - 1)
        shape = (*shares.shape[:axis], max(before + pixels, last + span), *shares.shape[axis + 1 :])
        reached, along = shares.new_zeros(shape), [slice(None)] * shares.ndim
        for tap in range(span):
            along[axis] = slice(tap, tap + last + 1, step)
            reached[tuple(along)] += shares
        shares = reached.narrow(axis, before, pixels)
    return shares.contiguous()


def avg_pool1d(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> torch.Tensor:
    """Return the mean of every window: the twin of `cnnlib.ops_numpy.avg_pool1d`, which says all.

    >>> avg_pool1d(torch.tensor([[[1.0, 3.0, 5.0, 9.0]]]), 2)
    tensor([[[2., 7.]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, L")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool(x, geometry, _divisors(x, geometry, x.shape[2:], count_include_pad))


def avg_pool1d_backward(
    grad_output: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    input_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> torch.Tensor:
    """Spread each gradient evenly over its window.

    >>> avg_pool1d_backward(torch.tensor([[[4.0, 8.0]]]), 2, input_size=4)
    tensor([[[2., 2., 4., 4.]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, L_out")
    size = as_ints("input_size", input_size, 1, 1)
    geometry = pool_geometry(size, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool_backward(grad_output, geometry, size, _divisors(grad_output, geometry, size, count_include_pad))


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
    """Return the mean of every window: the twin of `cnnlib.ops_numpy.avg_pool2d`, which says all.

    >>> avg_pool2d(torch.tensor([[[[1.0, 3.0, 5.0, 9.0]]]]), (1, 2))
    tensor([[[[2., 7.]]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool(x, geometry, _divisors(x, geometry, x.shape[2:], count_include_pad, divisor_override))


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
    """Spread each gradient evenly over its window; overlapping windows add up.

    >>> avg_pool2d_backward(torch.tensor([[[[4.0, 8.0]]]]), (1, 2), input_size=(1, 4))
    tensor([[[[2., 2., 4., 4.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    size = as_ints("input_size", input_size, 2, 1)
    geometry = pool_geometry(size, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    divisors = _divisors(grad_output, geometry, size, count_include_pad, divisor_override)
    return _avg_pool_backward(grad_output, geometry, size, divisors)


def avg_pool3d(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor:
    """Return the mean of every window: the twin of `cnnlib.ops_numpy.avg_pool3d`, which says all.

    >>> avg_pool3d(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    3.5
    """
    checks.floating("x", x, torch.Tensor, "N, C, D, H, W")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool(x, geometry, _divisors(x, geometry, x.shape[2:], count_include_pad, divisor_override))


def avg_pool3d_backward(
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
    """Spread each gradient evenly over its window.

    >>> avg_pool3d_backward(torch.full((1, 1, 1, 1, 1), 8.0), (1, 2, 2), input_size=(1, 2, 2))
    tensor([[[[[2., 2.],
               [2., 2.]]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, D_out, H_out, W_out")
    size = as_ints("input_size", input_size, 3, 1)
    geometry = pool_geometry(size, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    divisors = _divisors(grad_output, geometry, size, count_include_pad, divisor_override)
    return _avg_pool_backward(grad_output, geometry, size, divisors)


def adaptive_avg_pool2d(x: torch.Tensor, output_size: int | Sequence[int | None]) -> torch.Tensor:
    """Return as many means as asked for: the twin of `cnnlib.ops_numpy.adaptive_avg_pool2d`, which says all.

    >>> adaptive_avg_pool2d(torch.tensor([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]]), (None, 2))
    tensor([[[[2., 4.]]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    rows, columns = checks.pool.adaptive_windows(x.shape[2:], output_size)
    return F.adaptive_avg_pool2d(x, (len(rows), len(columns)))


def adaptive_avg_pool2d_backward(grad_output: torch.Tensor, *, input_size: IntOrTuple) -> torch.Tensor:
    """Spread each gradient evenly over its window; overlapping windows add up.

    >>> adaptive_avg_pool2d_backward(torch.tensor([[[[3.0, 6.0]]]]), input_size=(1, 5))
    tensor([[[[1., 1., 3., 2., 2.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    size = as_ints("input_size", input_size, 2, 1)
    windows = checks.pool.adaptive_windows(size, grad_output.shape[2:])
    heights, widths = (grad_output.new_tensor([end - start for start, end in extents]) for extents in windows)
    grad = grad_output / (heights[:, None] * widths)
    for axis, (extents, pixels) in enumerate(zip(windows, size, strict=True), 2):
        covered = [(window, pixel) for window, (start, end) in enumerate(extents) for pixel in range(start, end)]
        origins, positions = torch.tensor(covered, device=grad.device).T
        grad = scatter_axis(grad.index_select(axis, origins), axis, positions, pixels)
    return grad
