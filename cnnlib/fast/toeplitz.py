"""Toeplitz rows: r neighbouring outputs share one row of a matrix product, and so do their gradients.

Of a row of the input, r neighbouring outputs see almost the same columns. Written side by side, their filters are a
small Toeplitz matrix, the filter shifted by the stride from one output to the next, zeros elsewhere. The zeros are
multiplied too; in return fewer and wider windows are copied, which wins where a filter bank is thin (LeNet's six).
With r = 1 there are no zeros, and what remains is `lowering`.

The gradients are its exact adjoints. In grad_weight the transposed matrices multiply, and the copies of a filter are
added along the diagonals. In grad_x the matrix is written the other way: s neighbouring pixels, s the stride, read the
same gradients whichever window they lie in, so they are a group, and nothing is ever added back.
Gray, "Toeplitz and Circulant Matrices" (2006), https://doi.org/10.1561/0100000006.
"""

from __future__ import annotations

import numpy as np

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import channels_last, empty_channels_last, gather_channels
from cnnlib.fast.lowering import Reading, as_pixels, windows
from cnnlib.fast.products import STACK, multiply
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

PER_NANOSECOND = 20  # multiply-adds, roughly: is a batch worth sharing?
NARROW = 16  # numbers of an output group that fill a vector
LEAST_ROWS = 64  # of a product, below which packing the matrix costs as much as multiplying
THIN = 64  # numbers of a group of pixels, below which all its row phases are computed at once
TINY = 32  # bytes; pixels that are smaller are copied several at once


def group(columns: int, filters: int) -> int:
    """Return r: how many outputs share a row, a divisor of the output's columns; the least that fills a vector.

    >>> group(28, 6), group(32, 16)
    (2, 1)
    """
    enough = -(-NARROW // filters) if filters < 6 else -(-12 // filters)
    return max(r for r in range(1, enough + 1) if columns % r == 0)


def _copied_together(step: int, pixel_bytes: int) -> int:
    """Return how many columns to copy as one: as many as a group moves on by, where pixels are tiny."""
    return step if pixel_bytes < TINY else 1


def _reading(geometry: Geometry, filters: int, pixel_bytes: int) -> tuple[Reading, int]:
    (kh, kw), (sh, sw), (rows, columns) = geometry.kernel_size, geometry.stride, geometry.output_size
    r = group(columns, filters)
    step = r * sw
    wide = _copied_together(step, pixel_bytes)
    span = -(-(kw + step - sw) // wide) * wide
    (top, _), (left, _) = geometry.padding
    return Reading(rows, columns // r, kh, sh, top, span, step, left, wide), r


def toeplitz_matrix(weight: np.ndarray, r: int, stride: int, span: int, wide: int) -> np.ndarray:
    """Write filters (F, C, kh, kw) r times, each shifted by the stride, into a matrix (span · kh · C, r · F).

    >>> toeplitz_matrix(np.array([[[[1.0, 2.0]]]]), 3, 1, 4, 1)
    array([[1., 0., 0.],
           [2., 1., 0.],
           [0., 2., 1.],
           [0., 0., 2.]])
    """
    F, C, kh, kw = weight.shape
    matrix = np.zeros((span, kh, C, r, F), weight.dtype)
    for j in range(r):
        matrix[j * stride : j * stride + kw, :, :, j] = weight.transpose(3, 2, 1, 0)
    return _in_order(matrix, wide)


def _in_order(matrix: np.ndarray, wide: int) -> np.ndarray:
    """Reorder rows (column, tap, channel) as `lowered` has them, and flatten to a matrix."""
    span, taps, C, outputs, F = matrix.shape
    parts = matrix.reshape(span // wide, wide, taps, C, outputs * F).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(span * taps * C, outputs * F))


def toeplitz_adjoint(matrix: np.ndarray, shape: tuple[int, ...], r: int, stride: int, wide: int) -> np.ndarray:
    """Add the r copies of the filters in `toeplitz_matrix` up, along its diagonals; return (F, C, kh, kw)."""
    F, C, kh, kw = shape
    span = matrix.shape[0] // (kh * C)
    parts = matrix.reshape(span // wide, kh, wide, C, r, F).swapaxes(1, 2).reshape(span, kh, C, r, F)
    total = parts[:kw, :, :, 0].copy()
    for j in range(1, r):
        total += parts[j * stride : j * stride + kw, :, :, j]
    return total.transpose(3, 2, 1, 0)


def _grouped(image: np.ndarray, groups: int) -> np.ndarray:
    """Return a view (groups, n · rows, columns / groups · F) of image (n, rows, columns, F), a matrix for each group.

    Where the images do not lie a whole number of rows apart, (n, groups, rows, …).
    """
    n, rows, columns, F = image.shape
    wide = columns // groups * F
    if n == 1 or image.strides[0] == rows * image.strides[1]:
        return image.reshape(n * rows, groups, wide).swapaxes(0, 1)
    return image.reshape(n, rows, groups, wide).swapaxes(1, 2)


def _like_grouped(seen: np.ndarray, grouped: np.ndarray) -> np.ndarray:
    """Split the windows (groups, n · rows, depth) by images where `grouped` is."""
    if grouped.ndim == 3:
        return seen
    return seen.reshape(len(seen), len(grouped), -1, seen.shape[2]).swapaxes(0, 1)


def _into(seen: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
    """Write the product of windows (groups, n · rows, depth) and matrix to out (n, rows, columns, F)."""
    grouped = _grouped(out, seen.shape[0])
    multiply(_like_grouped(seen, grouped), matrix, grouped)


def _gradient_reading(geometry: Geometry, phases: range, size: tuple[int, int]) -> Reading:
    """Say how the pixels of row phases `phases`, by the stride, read grad_output (see `adjoint_matrix`)."""
    (kh, kw), (sh, sw), ((top, _), (left, _)) = geometry.kernel_size, geometry.stride, geometry.padding
    highest, lowest = -((kh - 1 - top - phases[0]) // sh), (phases[-1] + top) // sh
    first, last = -((kw - 1 - left) // sw), (sw - 1 + left) // sw
    rows, groups = -(-(size[0] - phases[0]) // sh), -(-size[1] // sw)
    taps, span = max(1, lowest - highest + 1), max(1, last - first + 1)
    return Reading(rows, groups, taps, 1, -highest, span, 1, -first, 1)


def adjoint_matrix(weight: np.ndarray, geometry: Geometry, phases: range, reading: Reading) -> np.ndarray:
    """Write filters (F, C, kh, kw) as the matrix from grad_output to a group of pixels of grad_x.

    Pixel (a, i) of a group reads grad_output at (t, o) through the tap of the window that stands there,
    (a + top − t·s, i + left − o·s), if there is one. Rows (o, t, F), columns (a, i, C).
    """
    F, C, kh, kw = weight.shape
    (sh, sw), ((top, _), (left, _)) = geometry.stride, geometry.padding
    matrix = np.zeros((reading.span, reading.taps, F, len(phases), sw, C), weight.dtype)
    for index in np.ndindex(reading.span, reading.taps, len(phases), sw):
        o, t, a, i = index
        u, v = phases[a] + top - (t - reading.top) * sh, i + left - (o - reading.left) * sw
        if 0 <= u < kh and 0 <= v < kw:
            matrix[o, t, :, a, i] = weight[:, :, u, v]
    return matrix.reshape(reading.span * reading.taps * F, -1)


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Compute `conv2d` for one group and dilation 1."""
    (N, C), F = x.shape[:2], weight.shape[0]
    reading, r = _reading(geometry, F, C * x.itemsize)
    matrix = toeplitz_matrix(weight, r, geometry.stride[1], reading.span, reading.wide)
    y = empty_channels_last((N, F, *geometry.output_size), x.dtype)
    tiled = None if bias is None else np.repeat(bias[None], geometry.output_size[1], axis=0)

    def work(part: slice, buffers: Workspace) -> None:
        out = channels_last(y[part])
        for block, seen in windows(channels_last(x[part]), reading, buffers, LEAST_ROWS):
            _into(seen, matrix, out[block])
            if tiled is not None:
                out[block] += tiled

    over_batch(work, N, y.size * weight[0].size / PER_NANOSECOND)
    return y


def grad_weight(grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the gradient of the weight, for one group and dilation 1: the adjoint of `forward`."""
    (N, C), F = x.shape[:2], shape[0]
    reading, r = _reading(geometry, F, C * x.itemsize)

    def work(part: slice, buffers: Workspace) -> np.ndarray:
        image, gradient = channels_last(x[part]), channels_last(grad_output[part])
        depth = reading.span * reading.taps * C
        total = np.zeros((depth, r * F), x.dtype)
        for block, seen in windows(image, reading, buffers, LEAST_ROWS):
            upstream = _contiguous(gradient[block], buffers)
            grouped = _grouped(upstream, reading.groups)
            across = _like_grouped(seen, grouped).swapaxes(-1, -2)
            together = max(1, STACK // total.size // (len(grouped) if grouped.ndim == 4 else 1))
            for start in range(0, reading.groups, together):
                some = (..., slice(start, start + together), slice(None), slice(None))
                products = buffers.take("products", (*grouped[some].shape[:-2], depth, r * F), x.dtype)
                total += multiply(across[some], grouped[some], products).reshape(-1, depth, r * F).sum(axis=0)
        return total

    parts = over_batch(work, N, grad_output.size * (C * shape[2] * shape[3]) / PER_NANOSECOND)
    return toeplitz_adjoint(sum(parts[1:], start=parts[0]), shape, r, geometry.stride[1], reading.wide)


def _contiguous(image: np.ndarray, buffers: Workspace) -> np.ndarray:
    """Return image (n, H, W, C) with its channels together: itself, or a copy."""
    if image.strides[2:] == (image.shape[3] * image.itemsize, image.itemsize):
        return image
    copy = buffers.take("contiguous", image.shape, image.dtype)
    gather_channels(image, copy)
    return copy


def grad_x(grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, input_size: tuple[int, int]) -> np.ndarray:
    """Compute the gradient of x, for one group and dilation 1.

    The rows of grad_x that are congruent modulo the stride are read alike; thin ones, all phases at once.
    """
    N, (C, H, W), (sh, sw) = len(grad_output), (weight.shape[1], *input_size), geometry.stride
    gradient = empty_channels_last((N, C, H, W), grad_output.dtype)
    plans = []
    for phases in [range(min(sh, H))] if sh * sw * C <= THIN else [range(a, a + 1) for a in range(min(sh, H))]:
        reading = _gradient_reading(geometry, phases, input_size)
        plans.append((phases, reading, adjoint_matrix(weight, geometry, phases, reading)))

    def work(part: slice, buffers: Workspace) -> None:
        image, out = channels_last(grad_output[part]), channels_last(gradient[part])
        for phases, reading, matrix in plans:
            for (images, rows), seen in windows(image, reading, buffers):
                target = out[images, phases[0] :: sh][:, rows]
                if len(phases) == 1 and W % sw == 0:
                    _into(seen, matrix, target)
                    continue
                groups = buffers.take("phases", (*target.shape[:2], reading.groups, matrix.shape[1]), out.dtype)
                _into(seen, matrix, groups)
                for k, a in enumerate(phases):
                    _place(
                        groups.reshape(*groups.shape[:3], len(phases), sw, C)[:, :, :, k], out[images, a::sh][:, rows]
                    )

    over_batch(work, N, grad_output.size * weight[0].size / PER_NANOSECOND)
    return gradient


def _place(groups: np.ndarray, out: np.ndarray) -> None:
    """Write groups (n, rows, groups, s, C) to out (n, rows or one fewer, columns, C), groups · s columns or fewer."""
    n, rows, columns, C = out.shape
    sw = groups.shape[3]
    whole = columns // sw
    inside = out[:, :, : whole * sw].reshape(n, rows, whole, sw * C)
    as_pixels(inside)[...] = as_pixels(groups.reshape(*groups.shape[:3], -1))[:, :rows, :whole]
    rest = groups[:, :rows, whole:].reshape(n, rows, (groups.shape[2] - whole) * sw, C)
    out[:, :, whole * sw :] = rest[:, :, : columns - whole * sw]
