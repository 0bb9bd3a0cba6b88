"""Depthwise convolution: every channel has one filter of its own, so there is nothing to multiply as matrices.

For each tap of the kernel the whole shifted image is scaled, channel by channel, and added up: k² passes over a block
that stays in the cache. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (2017),
https://arxiv.org/abs/1610.02357.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import channels_last, empty_channels_last
from cnnlib.fast.lowering import Reading, blocks, padded
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

PER_NANOSECOND = 2  # multiply-adds
BLOCK = 1 << 18  # bytes of the output of a block


def _reading(geometry: Geometry) -> Reading:
    (rows, columns), (sh, sw), ((top, _), (left, _)) = geometry.output_size, geometry.stride, geometry.padding
    return Reading(rows, columns, geometry.span[0], sh, top, geometry.span[1], sw, left, 1)


def _blocks(images: int, geometry: Geometry, channels: int, itemsize: int) -> Iterator[tuple[slice, slice]]:
    rows, columns = geometry.output_size
    return blocks(images, rows, columns * channels * itemsize, BLOCK)


def _shifts(image: np.ndarray, geometry: Geometry, rows: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield, for each tap (u, v), what it sees of a padded image (n, H, W, C): (n, rows, columns, C)."""
    (sh, sw), (dh, dw), columns = geometry.stride, geometry.dilation, geometry.output_size[1]
    for u, v in np.ndindex(geometry.kernel_size):
        down = slice(u * dh, u * dh + (rows - 1) * sh + 1, sh)
        yield u, v, image[:, down, v * dw : v * dw + (columns - 1) * sw + 1 : sw]


def _tiled(weight: np.ndarray, columns: int) -> np.ndarray:
    """Return the filters (C, 1, kh, kw) as (kh, kw, columns, C): a whole row is then scaled in one go."""
    return np.tile(weight[:, 0].transpose(1, 2, 0)[:, :, None], (1, 1, columns, 1))


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Compute `conv2d` with as many groups as channels, and as many filters."""
    N, C = x.shape[:2]
    tiled, reading = _tiled(weight, geometry.output_size[1]), _reading(geometry)
    y = empty_channels_last((N, C, *geometry.output_size), x.dtype)

    def work(part: slice, buffers: Workspace) -> None:
        image, out = channels_last(x[part]), channels_last(y[part])
        for images, rows in _blocks(out.shape[0], geometry, C, x.itemsize):
            block = out[images, rows]
            block[...] = 0 if bias is None else bias
            scaled = buffers.take("scaled", block.shape, x.dtype)
            copy = padded(image[images], reading, rows.start, rows.stop, buffers)
            for u, v, seen in _shifts(copy, geometry, rows.stop - rows.start):
                block += np.multiply(seen, tiled[u, v], out=scaled)

    over_batch(work, N, y.size * weight[0].size / PER_NANOSECOND)
    return y


def grad_x(grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, input_size: tuple[int, int]) -> np.ndarray:
    """Compute the gradient of x: each tap's share is added to the pixels that the tap saw."""
    (N, C), (H, W) = grad_output.shape[:2], input_size
    tiled, ((top, bottom), (left, right)) = _tiled(weight, geometry.output_size[1]), geometry.padding
    gradient = empty_channels_last((N, C, H, W), grad_output.dtype)

    def work(part: slice, buffers: Workspace) -> None:
        upstream, out = channels_last(grad_output[part]), channels_last(gradient[part])
        for images, rows in _blocks(out.shape[0], geometry, C, out.itemsize):
            block = upstream[images, rows]
            if rows.start == 0:
                height, width = H + top + bottom, W + left + right
                total = buffers.take("total", (block.shape[0], height, width, C), out.dtype)
                total[...] = 0
            scaled = buffers.take("scaled", block.shape, out.dtype)
            reached = total[:, rows.start * geometry.stride[0] :]
            for u, v, seen in _shifts(reached, geometry, rows.stop - rows.start):
                np.add(seen, np.multiply(block, tiled[u, v], out=scaled), out=seen)
            if rows.stop == geometry.output_size[0]:
                out[images] = total[:, top : top + H, left : left + W]

    over_batch(work, N, grad_output.size * weight[0].size / PER_NANOSECOND)
    return gradient


def grad_weight(grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the gradient of the weight: what each tap saw, times the gradients, added up per channel."""
    C, _, kh, kw = shape
    reading = _reading(geometry)

    def work(part: slice, buffers: Workspace) -> np.ndarray:
        image, upstream = channels_last(x[part]), channels_last(grad_output[part])
        total = np.zeros((kh, kw, C), x.dtype)
        for images, rows in _blocks(image.shape[0], geometry, C, x.itemsize):
            block = upstream[images, rows]
            scaled = buffers.take("scaled", block.shape, x.dtype)
            copy = padded(image[images], reading, rows.start, rows.stop, buffers)
            ones = np.ones(scaled[..., 0].size, x.dtype)
            for u, v, seen in _shifts(copy, geometry, rows.stop - rows.start):
                np.multiply(seen, block, out=scaled)
                total[u, v] += ones @ scaled.reshape(-1, C)
        return total

    parts = over_batch(work, x.shape[0], grad_output.size * kh * kw / PER_NANOSECOND)
    return sum(parts[1:], start=parts[0]).transpose(2, 0, 1)[:, None]
