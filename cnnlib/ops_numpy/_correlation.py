"""The core of every convolution, of one to three spatial axes: y = W · columns(x) and its two transposes.

Each window of an image is one column, each filter one row of W. The columns are as many times larger than the image as
the kernel has taps, so only those of one image are built at a time.
"""

from __future__ import annotations

import math

import numpy as np

from cnnlib.geometry import Geometry
from cnnlib.ops_numpy._windows import patches, scatter_patches


def _columns(windows: np.ndarray, groups: int) -> np.ndarray:
    """Return one image's windows (C, *output_size, *kernel_size) as (groups, C/groups · taps, positions)."""
    rank = windows.ndim // 2
    positions, taps = range(1, 1 + rank), range(1 + rank, 1 + 2 * rank)
    return windows.transpose(0, *taps, *positions).reshape(groups, -1, math.prod(windows.shape[1 : 1 + rank]))


def _filters(weight: np.ndarray, groups: int) -> np.ndarray:
    """Return the filters as rows, (groups, C_out/groups, C/groups · taps)."""
    return weight.reshape(groups, weight.shape[0] // groups, -1)


def correlate(x: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int) -> np.ndarray:
    """Return W · columns(x): (N, C, *input_size) → (N, C_out, *output_size)."""
    filters = _filters(weight, groups)
    y = np.empty((len(x), *filters.shape[:2], math.prod(geometry.output_size)), x.dtype)
    for image, windows in enumerate(patches(x, geometry)):
        np.matmul(filters, _columns(windows, groups), out=y[image])
    return y.reshape(len(x), len(weight), *geometry.output_size)


def correlate_adjoint(
    grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int, input_size: tuple[int, ...]
) -> np.ndarray:
    """Return the gradient of `correlate` in x, (N, C, *input_size): columns Wᵀ · grad_output, put back in place."""
    stamps = _filters(weight, groups).swapaxes(1, 2)  # (groups, C/groups · taps, C_out/groups)
    channels = weight.shape[1] * groups
    grad_x = np.empty((len(grad_output), channels, *input_size), grad_output.dtype)
    for image, gradient in enumerate(grad_output):
        columns = stamps @ gradient.reshape(groups, len(weight) // groups, -1)
        windows = columns.reshape(1, channels, *geometry.kernel_size, *geometry.output_size)
        grad_x[image] = scatter_patches(windows, geometry, input_size)[0]
    return grad_x


def correlate_weight(
    grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, groups: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Return the gradient of `correlate` in the weight: grad_output · columns(x)ᵀ, summed over the images."""
    grad_weight = np.zeros((groups, shape[0] // groups, math.prod(shape[1:])), x.dtype)
    for gradient, windows in zip(grad_output, patches(x, geometry), strict=True):
        rows = gradient.reshape(groups, shape[0] // groups, -1)
        grad_weight += rows @ _columns(windows, groups).swapaxes(1, 2)  # every image used the same weights
    return grad_weight.reshape(shape)
