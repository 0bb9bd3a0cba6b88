"""The general way: copy every window to a row of a matrix, in blocks, and multiply.

It asks nothing of kernel, stride, padding or dilation. Whole, the matrix is kh·kw times the input; in blocks of some
megabytes it never leaves the cache, and its memory is used again. A row is ordered (kh, kw, C), so that with channels
last a row of the window is one copy. Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for
Document Processing" (2006), https://inria.hal.science/inria-00112631.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import channels_last, contiguous_channels_last, empty_channels_last
from cnnlib.fast.lowering import Reading, as_pixels, blocks, padded
from cnnlib.fast.products import multiply, multiply_tall
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

PER_NANOSECOND = 20  # multiply-adds

Block = tuple[slice, slice]  # of images, and of output rows


def _reading(geometry: Geometry) -> Reading:
    (rows, columns), (sh, sw), ((top, _), (left, _)) = geometry.output_size, geometry.stride, geometry.padding
    return Reading(rows, columns, geometry.span[0], sh, top, geometry.span[1], sw, left, 1)


def _taps(image: np.ndarray, geometry: Geometry, rows: int) -> np.ndarray:
    """Return a view (n, rows, columns, kh, kw, C) of the windows of a padded image (n, H, W, C)."""
    n, _, _, C = image.shape
    per_image, down, right, number = image.strides
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    shape = (n, rows, geometry.output_size[1], *geometry.kernel_size, C)
    return as_strided(image, shape, (per_image, sh * down, sw * right, dh * down, dw * right, number))


def _blocks(images: int, geometry: Geometry, pixel_bytes: int) -> Iterator[Block]:
    (rows, columns), (kh, kw) = geometry.output_size, geometry.kernel_size
    return blocks(images, rows, columns * kh * kw * pixel_bytes)


def _windows(image: np.ndarray, geometry: Geometry, buffers: Workspace) -> Iterator[tuple[Block, np.ndarray]]:
    """Yield the windows of image (n, H, W, C) block by block, as rows of a matrix (windows, kh · kw · C)."""
    reading, C = _reading(geometry), image.shape[3]
    for images, rows in _blocks(image.shape[0], geometry, C * image.itemsize):
        copy = padded(image[images], reading, rows.start, rows.stop, buffers)
        seen = _taps(copy, geometry, rows.stop - rows.start)
        matrix = buffers.take("windows", seen.shape, image.dtype)
        if geometry.dilation[1] == 1:  # the columns of a window lie together
            runs = (*seen.shape[:4], geometry.kernel_size[1] * C)
            as_pixels(matrix.reshape(runs))[...] = as_pixels(as_strided(seen, runs, (*seen.strides[:4], seen.itemsize)))
        else:
            as_pixels(matrix)[...] = as_pixels(seen)
        yield (images, rows), matrix.reshape(-1, matrix[0, 0, 0].size)


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Compute `conv2d` for one group."""
    N, F = x.shape[0], weight.shape[0]
    matrix = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(-1, F)
    y = empty_channels_last((N, F, *geometry.output_size), x.dtype)

    def work(part: slice, buffers: Workspace) -> None:
        out = channels_last(y[part])
        for block, seen in _windows(channels_last(x[part]), geometry, buffers):
            multiply(seen, matrix, out[block].reshape(-1, F))
            if bias is not None:
                out[block] += bias

    over_batch(work, N, y.size * weight[0].size / PER_NANOSECOND)
    return y


def grad_x(grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, input_size: tuple[int, int]) -> np.ndarray:
    """Compute the gradient of x, for one group: every window's gradient is added back to where it was cut out."""
    N, (F, C, kh, kw), (H, W) = grad_output.shape[0], weight.shape, input_size
    matrix = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(F, -1)
    gradient = empty_channels_last((N, C, H, W), grad_output.dtype)
    ((top, bottom), (left, right)), columns = geometry.padding, geometry.output_size[1]

    def work(part: slice, buffers: Workspace) -> None:
        out = channels_last(gradient[part])
        upstream = contiguous_channels_last(grad_output[part])
        for images, rows in _blocks(out.shape[0], geometry, C * out.itemsize):
            n = images.stop - images.start
            if rows.start == 0:
                total = buffers.take("total", (n, H + top + bottom, W + left + right, C), out.dtype)
                total[...] = 0
            parts = buffers.take("windows", (n, rows.stop - rows.start, columns, kh, kw, C), out.dtype)
            multiply(upstream[images, rows].reshape(-1, F), matrix, parts.reshape(-1, kh * kw * C))
            landing = _taps(total[:, rows.start * geometry.stride[0] :], geometry, rows.stop - rows.start)
            for u, v in np.ndindex(kh, kw):  # windows overlap, the taps of one place in them do not
                landing[:, :, :, u, v] += parts[:, :, :, u, v]
            if rows.stop == geometry.output_size[0]:
                out[images] = total[:, top : top + H, left : left + W]

    over_batch(work, N, grad_output.size * weight[0].size / PER_NANOSECOND)
    return gradient


def grad_weight(grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the gradient of the weight, for one group: windows times the gradients of their outputs."""
    F, C, kh, kw = shape

    def work(part: slice, buffers: Workspace) -> np.ndarray:
        upstream = contiguous_channels_last(grad_output[part])
        total = np.zeros((kh * kw * C, F), x.dtype)
        for block, seen in _windows(channels_last(x[part]), geometry, buffers):
            total += multiply_tall(seen, upstream[block].reshape(-1, F))
        return total

    parts = over_batch(work, x.shape[0], grad_output.size * C * kh * kw / PER_NANOSECOND)
    return sum(parts[1:], start=parts[0]).reshape(kh, kw, C, F).transpose(3, 2, 0, 1)
