"""1 × 1 convolution: every pixel alone, so the whole layer is one matrix product, whichever way the channels lie.

With channels last, pixels (N·H·W, C) times weight (C, F); with channels first, weight (F, C) times each image (C, H·W).
Nothing is copied. Lin et al., "Network In Network" (2013), https://arxiv.org/abs/1312.4400, made such layers common.
"""

from __future__ import annotations

import numpy as np

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import channels_last, contiguous_channels_last, empty_channels_last
from cnnlib.fast.products import multiply, multiply_tall
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

PER_NANOSECOND = 40  # multiply-adds


def _every(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the pixels that are read: all, or one in every stride."""
    down, right = geometry.stride
    return x[:, :, ::down, ::right]


def _pixels(x: np.ndarray) -> np.ndarray:
    """Return x (N, C, H, W) as (N · H · W, C)."""
    return contiguous_channels_last(x).reshape(-1, x.shape[1])


def _mix(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return y[n, f, i, j] = b[f] + Σ_c weight[f, c] x[n, c, i, j], its channels where those of x are."""
    (N, C, H, W), F = x.shape, weight.shape[0]
    first = x.flags.c_contiguous and not channels_last(x).flags.c_contiguous
    weight, across = np.ascontiguousarray(weight), np.ascontiguousarray(weight.T)
    y = np.empty((N, F, H, W), x.dtype) if first else empty_channels_last((N, F, H, W), x.dtype)

    def work(part: slice, _: Workspace) -> None:
        if first:
            multiply(weight, x[part].reshape(-1, C, H * W), y[part].reshape(-1, F, H * W))
        else:
            multiply(_pixels(x[part]), across, channels_last(y[part]).reshape(-1, F))
        if bias is not None:
            y[part] += bias[:, None, None]

    over_batch(work, N, y.size * C / PER_NANOSECOND)
    return y


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Compute `conv2d` of 1 × 1 filters without padding, for one group."""
    return _mix(_every(x, geometry), weight[:, :, 0, 0], bias)


def grad_x(grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, input_size: tuple[int, int]) -> np.ndarray:
    """Compute the gradient of x; pixels that the stride has left out get zero."""
    read = _mix(grad_output, weight[:, :, 0, 0].T, None)
    if geometry.stride == (1, 1):
        return read
    gradient = empty_channels_last((*read.shape[:2], *input_size), read.dtype)
    gradient[...] = 0
    _every(gradient, geometry)[...] = read
    return gradient


def grad_weight(grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the gradient of the weight: products over all pixels, one per image, added up."""
    seen = _every(x, geometry)

    def work(part: slice, _: Workspace) -> np.ndarray:
        return multiply_tall(_pixels(seen[part]), _pixels(grad_output[part]))

    parts = over_batch(work, x.shape[0], grad_output.size * shape[1] / PER_NANOSECOND)
    return sum(parts[1:], start=parts[0]).T.reshape(shape)
