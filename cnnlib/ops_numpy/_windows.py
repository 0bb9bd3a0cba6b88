"""The one core under convolution and pooling, for any number of spatial axes: cut windows out, and put them back.

`patches` and `scatter_patches` are adjoint to each other: ⟨patches(x), p⟩ = ⟨x, scatter_patches(p)⟩.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnlib.geometry import Geometry


def patches(x: np.ndarray, geometry: Geometry, fill: float = 0) -> np.ndarray:
    """Return every window of the padded input as a read-only view, (N, C, *output_size, *kernel_size)."""
    spatial = range(2, x.ndim)
    after = [  # windows of ceil mode may overhang the padding
        max(end, s * (o - 1) + span - size - start)
        for (start, end), s, o, span, size in zip(
            geometry.padding, geometry.stride, geometry.output_size, geometry.span, x.shape[2:], strict=True
        )
    ]
    pads = [(start, end) for (start, _), end in zip(geometry.padding, after, strict=True)]
    if any(map(any, pads)):
        x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=fill)
    windows = sliding_window_view(x, geometry.span, axis=tuple(spatial))  # (N, C, *positions, *span)
    every_stride = [slice(0, s * (o - 1) + 1, s) for s, o in zip(geometry.stride, geometry.output_size, strict=True)]
    every_dilation = [slice(None, None, d) for d in geometry.dilation]
    return windows[(slice(None), slice(None), *every_stride, *every_dilation)]


def scatter_patches(columns: np.ndarray, geometry: Geometry, input_size: tuple[int, ...]) -> np.ndarray:
    """Add windows (N, C, *kernel_size, *output_size) to where they were cut from; return (N, C, *input_size)."""
    rank = len(input_size)
    reach = [
        max(size + start + end, s * (o - 1) + span)
        for size, (start, end), s, o, span in zip(
            input_size, geometry.padding, geometry.stride, geometry.output_size, geometry.span, strict=True
        )
    ]
    padded = np.zeros((*columns.shape[:2], *reach), columns.dtype)
    for tap in np.ndindex(geometry.kernel_size):
        landing = [
            slice(t * d, t * d + s * (o - 1) + 1, s)
            for t, d, s, o in zip(tap, geometry.dilation, geometry.stride, geometry.output_size, strict=True)
        ]
        padded[(slice(None), slice(None), *landing)] += columns[(slice(None), slice(None), *tap)]
    inside = [slice(geometry.padding[i][0], geometry.padding[i][0] + input_size[i]) for i in range(rank)]
    return padded[(slice(None), slice(None), *inside)]
