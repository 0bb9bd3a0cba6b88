"""The core of every convolution, of one to three spatial axes: y = W · columns(x) and its two transposes.

Each window of an image is one column, each filter one row of W. The columns are as many times larger than the image as
the kernel has taps, so those of a whole batch are never built: a few small images are taken at a time, or one large.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cnnlib.geometry import Geometry
from cnnlib.ops_numpy._windows import patches, scatter_patches

COLUMNS = 2**19  # values in the columns of the images taken together, 2 MiB of float32: they stay in the cache


def _few(images: int, depth: int, geometry: Geometry) -> Iterator[slice]:
    """Cut the batch into slices of as many images as have COLUMNS values in their columns, but at least one."""
    count = max(1, COLUMNS // (depth * math.prod(geometry.output_size)))
    return (slice(start, start + count) for start in range(0, images, count))


def _columns(windows: np.ndarray, groups: int) -> np.ndarray:
    """Turn windows (N, C, *output_size, *kernel_size) into (N, groups, C/groups · taps, positions)."""
    rank = windows.ndim // 2 - 1
    positions, taps = range(2, 2 + rank), range(2 + rank, 2 + 2 * rank)
    N, C = windows.shape[:2]
    depth = C // groups * math.prod(windows.shape[2 + rank :])
    return windows.transpose(0, 1, *taps, *positions).reshape(N, groups, depth, math.prod(windows.shape[2 : 2 + rank]))


def _maps(values: np.ndarray, groups: int) -> np.ndarray:
    """Flatten the spatial axes of (N, C, *size) and split its channels: (N, groups, C/groups, positions)."""
    N, C, *size = values.shape
    return values.reshape(N, groups, C // groups, math.prod(size))


def _filters(weight: np.ndarray, groups: int) -> np.ndarray:
    """Return the filters as rows, (groups, C_out/groups, C/groups · taps)."""
    return weight.reshape(groups, weight.shape[0] // groups, math.prod(weight.shape[1:]))


def correlate(x: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int) -> np.ndarray:
    """Return W · columns(x): (N, C, *input_size) → (N, C_out, *output_size)."""
    windows, filters = patches(x, geometry), _filters(weight, groups)
    y = np.empty((len(x), len(weight), *geometry.output_size), x.dtype)
    for few in _few(len(x), weight[0].size * groups, geometry):
        np.matmul(filters, _columns(windows[few], groups), out=_maps(y[few], groups))
    return y


def correlate_adjoint(
    grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int, input_size: tuple[int, ...]
) -> np.ndarray:
    """Return the gradient of `correlate` in x, (N, C, *input_size): the columns Wᵀ · grad_output, put back in place."""
    filters, channels = _filters(weight, groups), weight.shape[1] * groups
    grad_x = np.empty((len(grad_output), channels, *input_size), grad_output.dtype)
    for few in _few(len(grad_output), weight[0].size * groups, geometry):
        columns = filters.swapaxes(1, 2) @ _maps(grad_output[few], groups)  # (few, groups, C/groups · taps, positions)
        windows = columns.reshape(-1, channels, *geometry.kernel_size, *geometry.output_size)
        grad_x[few] = scatter_patches(windows, geometry, input_size)
    return grad_x


def correlate_weight(
    grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, groups: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Return the gradient of `correlate` in the weight, of this shape: grad_output · columns(x)ᵀ."""
    windows, grad_weight = patches(x, geometry), np.zeros(shape, x.dtype)
    for few in _few(len(x), math.prod(shape[1:]) * groups, geometry):
        products = _maps(grad_output[few], groups) @ _columns(windows[few], groups).swapaxes(2, 3)
        grad_weight += products.sum(axis=0).reshape(shape)  # every image of the batch used the same weights
    return grad_weight
