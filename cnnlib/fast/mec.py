"""Memory-efficient convolution: lower an image along its rows, k times its size, where im2col makes k² times.

Lowered, L[n, j, i] is the part of input row i that the windows of output column j see: kw·C numbers, one copy where the
channels lie together. A window is kh such rows, neighbours in L, without a gap. The windows of one output row, for all
columns and images, are a matrix whose rows lie one lowered column apart; the matrices of neighbouring output rows
overlap, and BLAS does not mind. That is Cho and Brand, "MEC: Memory-efficient Convolution for Deep Neural Network"
(2017), https://arxiv.org/abs/1706.06873. `lowering` does the same along the columns, in more and smaller
copies, but its products land where they belong: it is better where pixels are large, and this where they are small.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import channels_last, empty_channels_last
from cnnlib.fast.lowering import Reading, as_pixels, blocks, padded
from cnnlib.fast.products import STACK, multiply
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

PER_NANOSECOND = 20  # multiply-adds

Block = tuple[slice, slice]  # of images, and of output rows


def _lowered(image: np.ndarray, geometry: Geometry, rows: slice, buffers: Workspace) -> np.ndarray:
    """Return the windows of some output rows of image (n, H, W, C), as matrices (rows, n · columns, kh · kw · C)."""
    (kh, kw), (sh, sw), ((top, _), (left, _)) = geometry.kernel_size, geometry.stride, geometry.padding
    n, _, _, C = image.shape
    columns, number = geometry.output_size[1], image.itemsize
    if any(map(any, geometry.padding)) or image.strides[2:] != (C * number, number):
        reading = Reading(geometry.output_size[0], columns, kh, sh, top, kw, sw, left, 1)
        image = padded(image, reading, rows.start, rows.stop, buffers)
    else:
        image = image[:, rows.start * sh : (rows.stop - 1) * sh + kh]
    per_image, down, right, _ = image.strides
    shape = (n, columns, image.shape[1], kw * C)
    L = buffers.take("lowered", shape, image.dtype)
    as_pixels(L)[...] = as_pixels(as_strided(image, shape, (per_image, sw * right, down, number)))
    strides = (sh * L.strides[2], L.strides[1], number)
    return np.ndarray((rows.stop - rows.start, n * columns, kh * kw * C), L.dtype, L, 0, strides)


def _windows(image: np.ndarray, geometry: Geometry, buffers: Workspace) -> Iterator[tuple[Block, np.ndarray]]:
    """Yield the windows of image (n, H, W, C) block by block: ((images, output rows), matrices)."""
    (rows, columns), C = geometry.output_size, image.shape[3]
    row_bytes = columns * geometry.stride[0] * geometry.kernel_size[1] * C * image.itemsize
    for images, some in blocks(image.shape[0], rows, row_bytes):
        yield (images, some), _lowered(image[images], geometry, some, buffers)


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Compute `conv2d` for one group and dilation 1."""
    N, F, columns = x.shape[0], weight.shape[0], geometry.output_size[1]
    matrix = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(-1, F)
    tiled = np.repeat((np.zeros(F, x.dtype) if bias is None else bias)[None], columns, axis=0)
    y = empty_channels_last((N, F, *geometry.output_size), x.dtype)

    def work(part: slice, buffers: Workspace) -> None:
        out = channels_last(y[part])
        for block, seen in _windows(channels_last(x[part]), geometry, buffers):
            by_rows = out[block].swapaxes(0, 1)  # (rows, n, columns, F)
            products = buffers.take("products", by_rows.shape, x.dtype)
            multiply(seen, matrix, products.reshape(len(seen), -1, F))
            np.add(products, tiled, out=by_rows)

    over_batch(work, N, y.size * weight[0].size / PER_NANOSECOND)
    return y


def grad_weight(grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the gradient of the weight, for one group and dilation 1: the adjoint of `forward`."""
    F, C, kh, kw = shape

    def work(part: slice, buffers: Workspace) -> np.ndarray:
        image, gradient = channels_last(x[part]), channels_last(grad_output[part])
        total = np.zeros((kh * kw * C, F), x.dtype)
        for block, seen in _windows(image, geometry, buffers):
            by_rows = gradient[block].swapaxes(0, 1)
            upstream = buffers.take("upstream", by_rows.shape, x.dtype)
            upstream[...] = by_rows
            together = max(1, STACK // total.size)
            for start in range(0, len(seen), together):
                rows = slice(start, start + together)
                products = buffers.take("products", (len(seen[rows]), *total.shape), x.dtype)
                factors = seen[rows].swapaxes(1, 2), upstream[rows].reshape(len(products), -1, F)
                total += multiply(*factors, products).sum(axis=0)
        return total

    parts = over_batch(work, x.shape[0], grad_output.size * C * kh * kw / PER_NANOSECOND)
    return sum(parts[1:], start=parts[0]).reshape(kh, kw, C, F).transpose(3, 2, 0, 1)
