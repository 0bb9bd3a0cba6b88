"""Max pooling in torch, on any device: the twins of `cnnlib.ops_numpy.max_pool`, which explains the options."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_ints, pool_geometry
from cnnlib.ops_torch._axes import padded_to_reach

POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def _max_pool(x: torch.Tensor, geometry: Geometry) -> tuple[torch.Tensor, torch.Tensor]:
    """Pool the padded input, and look up which pixel of the input each index that torch returns is."""
    rank, size = len(geometry.kernel_size), x.shape[2:]
    padded = padded_to_reach(x, geometry, -torch.inf)
    y, found = POOLS[rank](padded, geometry.kernel_size, geometry.stride, 0, geometry.dilation, return_indices=True)
    numbers = torch.arange(math.prod(size), device=x.device).reshape(1, 1, *size)
    indices = padded_to_reach(numbers, geometry, -1).flatten()[found]
    first = torch.zeros((), dtype=torch.int64, device=x.device)
    for axis in range(rank):
        first = first[..., None] * size[axis] + _first_real(geometry, axis, x.device)
    return y, torch.where(indices < 0, first, indices)  # a window of −∞ ties with its padding


def _first_real(geometry: Geometry, axis: int, device: torch.device) -> torch.Tensor:
    """Return, for each window along an axis, its first position that is not padding."""
    starts = torch.arange(geometry.output_size[axis], device=device) * geometry.stride[axis]
    starts = starts - geometry.padding[axis][0]
    return torch.where(starts < 0, starts % geometry.dilation[axis], starts)


def _max_pool_backward(grad_output: torch.Tensor, indices: torch.Tensor, input_size: Sequence[int]) -> torch.Tensor:
    _check_indices(indices, tuple(grad_output.shape), input_size, grad_output)
    N, C = grad_output.shape[:2]
    grad_x = grad_output.new_zeros(N, C, math.prod(input_size))
    return grad_x.scatter_add(2, indices.flatten(2).long(), grad_output.flatten(2)).reshape(N, C, *input_size)


def _check_indices(indices: torch.Tensor, shape: tuple[int, ...], size: Sequence[int], like: torch.Tensor) -> None:
    checks.pool.plane_indices(indices, shape, size, torch.Tensor)
    if indices.device != like.device:
        raise ValueError(f"indices is on {indices.device}; expected {like.device}")


def max_pool1d(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each window's maximum, and where it stood: the twin of `cnnlib.ops_numpy.max_pool1d`, which says all.

    >>> max_pool1d(torch.tensor([[[1.0, 5.0, 5.0, 2.0]]]), 2)
    (tensor([[[5., 5.]]]), tensor([[[1, 2]]]))
    """
    checks.floating("x", x, torch.Tensor, "N, C, L")
    return _max_pool(
        x,
        pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode),
    )


def max_pool1d_backward(grad_output: torch.Tensor, indices: torch.Tensor, *, input_size: IntOrTuple) -> torch.Tensor:
    """Send each gradient to the position that won its window.

    >>> max_pool1d_backward(torch.tensor([[[1.0, 10.0]]]), torch.tensor([[[1, 1]]]), input_size=3)
    tensor([[[ 0., 11.,  0.]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, L_out")
    return _max_pool_backward(grad_output, indices, as_ints("input_size", input_size, 1, 1))


def max_pool2d(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each window's maximum, and where it stood: the twin of `cnnlib.ops_numpy.max_pool2d`, which says all.

    >>> y, indices = max_pool2d(torch.tensor([[[[1.0, 5.0, 5.0, 2.0]]]]), (1, 2))
    >>> y[0, 0], indices[0, 0]
    (tensor([[5., 5.]]), tensor([[1, 2]]))
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    return _max_pool(
        x,
        pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode),
    )


def max_pool2d_backward(grad_output: torch.Tensor, indices: torch.Tensor, *, input_size: IntOrTuple) -> torch.Tensor:
    """Send each gradient to the pixel that won its window; a pixel that won several gets their sum.

    >>> max_pool2d_backward(torch.tensor([[[[1.0, 10.0]]]]), torch.tensor([[[[1, 1]]]]), input_size=(1, 3))
    tensor([[[[ 0., 11.,  0.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    return _max_pool_backward(grad_output, indices, as_ints("input_size", input_size, 2, 1))


def max_pool3d(
    x: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each window's maximum, and where it stood: the twin of `cnnlib.ops_numpy.max_pool3d`, which says all.

    >>> y, indices = max_pool3d(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    >>> y.item(), indices.item()
    (7.0, 7)
    """
    checks.floating("x", x, torch.Tensor, "N, C, D, H, W")
    return _max_pool(
        x,
        pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode),
    )


def max_pool3d_backward(grad_output: torch.Tensor, indices: torch.Tensor, *, input_size: IntOrTuple) -> torch.Tensor:
    """Send each gradient to the voxel that won its window.

    >>> grad_output, indices = torch.full((1, 1, 1, 1, 1), 5.0), torch.full((1, 1, 1, 1, 1), 3)
    >>> max_pool3d_backward(grad_output, indices, input_size=(1, 2, 2))
    tensor([[[[[0., 0.],
               [0., 5.]]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, D_out, H_out, W_out")
    return _max_pool_backward(grad_output, indices, as_ints("input_size", input_size, 3, 1))


def max_unpool2d(
    x: torch.Tensor,
    indices: torch.Tensor,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    output_size: IntOrTuple | None = None,
) -> torch.Tensor:
    """Put every value back to where `max_pool2d` found it: the twin of `cnnlib.ops_numpy.max_unpool2d`, which says all.

    Each pixel fetches the last value put there, so that the result is the same on every device and every run.

    >>> max_unpool2d(torch.tensor([[[[5.0, 7.0]]]]), torch.tensor([[[[1, 2]]]]), (1, 2))
    tensor([[[[0., 5., 7., 0.]]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    H, W = checks.pool.unpool_size(x.shape[2:], kernel_size, stride, padding, output_size)
    _check_indices(indices, tuple(x.shape), (H, W), x)
    N, C = x.shape[:2]
    places, values = indices.flatten(2).long(), x.flatten(2)
    order = torch.arange(values.shape[2], device=x.device).expand_as(places)
    last = places.new_full((N, C, H * W), -1).scatter_reduce(2, places, order, "amax")  # −1: nothing was put here
    fetched = values.gather(2, last.clamp(min=0))
    return torch.where(last < 0, torch.zeros_like(fetched), fetched).reshape(N, C, H, W)


def max_unpool2d_backward(grad_output: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Fetch each value's gradient from where it was put.

    >>> max_unpool2d_backward(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), torch.tensor([[[[1, 2]]]]))
    tensor([[[[2., 3.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    shape = checks.pool.unpooled_shape(indices, grad_output)
    _check_indices(indices, shape, grad_output.shape[2:], grad_output)
    return grad_output.flatten(2).gather(2, indices.flatten(2).long()).reshape(shape)
