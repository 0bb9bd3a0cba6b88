"""Lower an image for matrix products, along its rows alone: k times its size, where im2col makes k² times.

Lowered, every column of the image is the k pixels that a window sees of it, side by side:
Z[n, i, j, u] = x[n, i·s + u − top, j − left]. A window is then k neighbouring columns of Z, without a gap in memory,
and the windows of one column of the output, for all rows and images, are a matrix whose rows lie one row of Z apart.
The matrices of neighbouring columns overlap, and BLAS does not mind. It is Cho and Brand's MEC (see `mec`) with rows
and columns exchanged; https://arxiv.org/abs/1706.06873.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import gather_channels

BLOCK = 3 << 19  # bytes of a lowered block, which is to stay near the second cache


class Reading(NamedTuple):
    """How a row and a group of columns of the output read the input, which has zeros around it."""

    rows: int  # output rows
    groups: int  # of output columns, each group one row of a matrix
    taps: int  # input rows that an output row sees
    row_step: int  # input rows from one output row to the next
    top: int  # zeros above; negative to begin inside
    span: int  # input columns that a group sees
    step: int  # input columns from one group to the next
    left: int  # zeros to the left; negative to begin inside
    wide: int  # columns that are copied as one; divides span and step

    @property
    def width(self) -> int:
        """Columns of the lowered image, in copies of `wide`."""
        return ((self.groups - 1) * self.step + self.span) // self.wide


def as_pixels(image: np.ndarray) -> np.ndarray:
    """Return (…, C), contiguous in C, as (…) of pixels that NumPy moves whole, twice as fast as number by number."""
    size = image.shape[-1] * image.itemsize
    return image[..., 0] if image.shape[-1] == 1 else image.view(np.dtype(f"V{size}"))[..., 0]


def reach(count: int, step: int, offset: int, size: int) -> tuple[int, int]:
    """Return the range of i < count for which i·step + offset lies in range(size).

    >>> reach(5, 2, -1, 6)
    (1, 4)
    """
    first = min(count, max(0, -(offset // step)))
    return first, max(first, min(count, -((offset - size) // step)))


def padded(image: np.ndarray, reading: Reading, first: int, last: int, buffers: Workspace) -> np.ndarray:
    """Copy what the output rows first … last − 1 read of image (n, H, W, C), with its zeros, contiguously."""
    n, H, W, C = image.shape
    above = first * reading.row_step - reading.top  # the first input row, perhaps of zeros
    height, width = (last - first - 1) * reading.row_step + reading.taps, reading.width * reading.wide
    copy = buffers.take("padded", (n, height, width, C), image.dtype)
    (top, bottom), (left, right) = reach(height, 1, above, H), reach(width, 1, -reading.left, W)
    copy[:, :top], copy[:, bottom:], copy[:, :, :left], copy[:, :, right:] = 0, 0, 0, 0
    inside = image[:, above + top : above + bottom, left - reading.left : right - reading.left]
    gather_channels(inside, copy[:, top:bottom, left:right])
    return copy


def _fill(Z: np.ndarray, image: np.ndarray, reading: Reading, above: int, left: int) -> None:
    """Write Z (n, rows, width, taps, C) from image (n, H, W, C); beyond the image lie zeros."""
    rows, width = Z.shape[1:3]
    H, W = image.shape[1:3]
    pixels, lowered = as_pixels(image), as_pixels(Z)
    first, last = reach(width, 1, -left, W)
    Z[:, :, :first], Z[:, :, last:] = 0, 0
    for u in range(reading.taps):
        low, high = reach(rows, reading.row_step, above + u, H)
        Z[:, :low, first:last, u], Z[:, high:, first:last, u] = 0, 0
        if low < high:
            start = low * reading.row_step + above + u
            seen = slice(start, start + (high - low - 1) * reading.row_step + 1, reading.row_step)
            lowered[:, low:high, first:last, u] = pixels[:, seen, first - left : last - left]


def _lowered(image: np.ndarray, reading: Reading, first: int, last: int, buffers: Workspace) -> np.ndarray:
    """Return the windows of output rows first … last − 1 of image (n, H, W, C), as `windows` yields them."""
    n, _, _, C = image.shape
    above, left = first * reading.row_step - reading.top, reading.left
    if reading.wide > 1 or (C > 1 and image.strides[3] != image.itemsize):
        image = padded(image, reading, first, last, buffers)
        image = image.reshape(n, image.shape[1], reading.width, reading.wide * C)
        above, left = 0, 0
    shape = (n, last - first, reading.width, reading.taps, reading.wide * C)
    Z = buffers.take("lowered", shape, image.dtype)
    _fill(Z, image, reading, above, left)
    column, row = Z.strides[2] * (reading.step // reading.wide), Z.strides[1]
    depth = reading.span * reading.taps * C
    return np.ndarray((reading.groups, n * (last - first), depth), Z.dtype, Z, 0, (column, row, Z.itemsize))


def blocks(images: int, rows: int, row_bytes: int, most: int = BLOCK) -> Iterator[tuple[slice, slice]]:
    """Cut a batch into blocks of at most `most` bytes, or a row: of whole images, or of rows of one, as even as may be.

    >>> list(blocks(1, 2, row_bytes=10, most=4))
    [(slice(0, 1, None), slice(0, 1, None)), (slice(0, 1, None), slice(1, 2, None))]
    """
    together = max(1, most // (rows * row_bytes))
    pieces = 1 if together > 1 else min(rows, math.ceil(rows * row_bytes / most))
    for k in range(batches := math.ceil(images / together)):
        part = slice(images * k // batches, images * (k + 1) // batches)
        yield from ((part, slice(rows * j // pieces, rows * (j + 1) // pieces)) for j in range(pieces))


def windows(
    image: np.ndarray, reading: Reading, buffers: Workspace, least: int = 1
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Yield the windows of image (n, H, W, C) block by block: ((images, output rows), overlapping matrices).

    The matrices are (groups, images · rows, span · taps · C), their rows ordered (column // wide, tap, column % wide,
    channel). The next block takes the same memory. Blocks have at
    `least` so many rows where the batch has.
    """
    row_bytes = reading.width * reading.wide * reading.taps * image.shape[3] * image.itemsize
    for part, rows in blocks(image.shape[0], reading.rows, row_bytes, max(BLOCK, least * row_bytes)):
        yield (part, rows), _lowered(image[part], reading, rows.start, rows.stop, buffers)
