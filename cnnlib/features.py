"""Features made by hand: histograms of the directions in which an image's brightness changes.

Both descriptors share one construction. Each pixel has a gradient, of the channel where that is largest; its length is
shared out between the two nearest directions. A window gathers these votes in square cells: a pixel's vote is shared
out between the nearest cells, in each direction linearly, and counts less far from the window's middle, by a Gaussian.
The window's histograms together are divided by their length, clipped at 0.2, and divided by their length again. What
differs: how large the windows are, how far apart, and whether bright to dark is another direction than dark to bright.
"""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnlib.geometry import as_int

_AT_ONCE = 256  # images, so that the votes of all do not have to fit in memory
_CLIP, _EPS = 0.2, 1e-3  # what has less than the length eps, for pixels from 0 to 1, counts less


def hog(images: np.ndarray, *, cell: int = 8, bins: int = 9, block: int = 2) -> np.ndarray:
    """Return histograms of oriented gradients (N, rows, columns, block · block · bins) of images (N, C, H, W).

    Pixels are floats from 0 to 1, or bytes. A descriptor is of `block` × `block` cells of `cell` × `cell` pixels; the
    next block begins one cell further, so that a cell is normalised with several neighbourhoods. The bins share out
    180°: a direction and its opposite are one. Numbers are in the order cell row, cell column, bin; bin 0 is brightness
    that changes from left to right, and later bins turn towards the lower edge of the image. What remains at the right
    and lower border, if the cells do not fill the image, is left out. float32, or float64 as the images.

    Dalal and Triggs (2005), section 6, https://doi.org/10.1109/CVPR.2005.177, with σ half a block; there the bins begin
    at 0°, here they are centred there. Raises ValueError for other images, or smaller than a block.

    >>> edge = np.zeros((1, 1, 16, 16))
    >>> edge[..., 8:] = 1
    >>> hog(edge).shape, hog(edge)[0, 0, 0].reshape(4, 9).sum(0).round(2).tolist()
    ((1, 1, 1, 36), [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """
    cell, bins, block = as_int("cell", cell, 1), as_int("bins", bins, 2), as_int("block", block, 1)
    return _descriptors(images, cell, block, bins, step=cell, turn=pi)


def sift(images: np.ndarray, *, step: int = 8, cell: int = 4, bins: int = 8, cells: int = 4) -> np.ndarray:
    """Return descriptors like SIFT's on a grid, (N, rows, columns, cells · cells · bins), of images (N, C, H, W).

    Pixels are floats from 0 to 1, or bytes. A descriptor is of `cells` × `cells` cells of `cell` × `cell` pixels; the
    next one begins `step` pixels further. The bins share out 360°. Numbers are in the order cell row, cell column, bin;
    bin 0 is brightness that grows from left to right, a quarter of the bins later it grows downwards. float32, or
    float64 as the images.

    Lowe (2004), section 6, https://doi.org/10.1023/B:VISI.0000029664.99615.94: 4 × 4 × 8 numbers, σ half the window.
    His stand at keypoints, at their scale and turned by their direction; these at every step, upright, unblurred,
    and of the channel with the largest gradient. Raises ValueError for other images, or smaller than a window.

    >>> ramp = np.linspace(0, 1, 16).reshape(1, 1, 1, 16) * np.ones((16, 1))
    >>> sift(ramp).shape, sift(ramp)[0, 0, 0].reshape(16, 8).any(0).tolist()
    ((1, 1, 1, 128), [True, False, False, False, False, False, False, False])
    """
    step, cell = as_int("step", step, 1), as_int("cell", cell, 1)
    bins, cells = as_int("bins", bins, 2), as_int("cells", cells, 1)
    return _descriptors(images, cell, cells, bins, step=step, turn=2 * pi)


def _descriptors(images: np.ndarray, cell: int, cells: int, bins: int, *, step: int, turn: float) -> np.ndarray:
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.dtype not in (np.uint8, np.float32, np.float64):
        found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"images is {found}; expected uint8, float32 or float64 of shape (N, C, H, W)")
    if not images.shape[1] or min(images.shape[2:]) < cell * cells:
        least = f"{cell * cells} pixels a side" if images.shape[1] else "one channel"
        raise ValueError(f"images is of shape {images.shape}; expected at least {least}")
    dtype = np.float64 if images.dtype == np.float64 else np.float32
    shares = _shares(cell, cells).astype(dtype)
    rows, columns = ((size - cell * cells) // step + 1 for size in images.shape[2:])
    y = np.empty((len(images), rows, columns, cells * cells * bins), dtype)
    for start in range(0, len(images), _AT_ONCE):
        part = images[start : start + _AT_ONCE]
        pixels = part / dtype(255) if part.dtype == np.uint8 else part
        gathered = _gather(_votes(pixels, bins, turn), shares, step).reshape(len(part), rows, columns, -1)
        clipped = np.minimum(_unit(gathered, _EPS), _CLIP)
        y[start : start + _AT_ONCE] = _unit(clipped, _CLIP)  # which only what was shorter than eps falls short of
    return y


def _votes(x: np.ndarray, bins: int, turn: float) -> np.ndarray:
    """Return (N, bins, H, W): each pixel's gradient, shared out between the two nearest of the directions of a turn."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    length = np.hypot(across, down)
    strongest = length.argmax(1)[:, None]  # the channel; (N, 1, H, W)
    across, down, length = (np.take_along_axis(a, strongest, 1) for a in (across, down, length))
    position = np.arctan2(down, across) * x.dtype.type(bins / turn)
    lower = np.floor(position)
    to_upper = length * (position - lower)
    votes = np.zeros((len(x), bins, *x.shape[2:]), x.dtype)
    first = lower.astype(np.intp)
    np.put_along_axis(votes, first % bins, length - to_upper, 1)
    np.put_along_axis(votes, (first + 1) % bins, to_upper, 1)
    return votes


def _shares(cell: int, cells: int) -> np.ndarray:
    """Return (window, cells): which share of the vote of a pixel goes to each cell, along one axis."""
    window = cell * cells
    middle = np.arange(window) + 0.5
    places = middle[:, None] / cell - 0.5 - np.arange(cells)  # from the middle of each cell, in cells
    gaussian = np.exp(-0.5 * ((middle - window / 2) / (window / 2)) ** 2)
    return np.maximum(0, 1 - np.abs(places)) * gaussian[:, None]


def _gather(votes: np.ndarray, shares: np.ndarray, step: int) -> np.ndarray:
    """Return (N, rows, columns, cells, cells, bins): the votes in the cells of each window."""
    window = len(shares)
    along = sliding_window_view(votes, window, axis=3)[:, :, :, ::step] @ shares  # (N, bins, H, columns, cells)
    both = sliding_window_view(along, window, axis=2)[:, :, ::step] @ shares  # (N, bins, rows, columns, cells, cells)
    return both.transpose(0, 2, 3, 5, 4, 1)


def _unit(x: np.ndarray, least: float) -> np.ndarray:
    """Return x with its last axis divided by its length, or by `least` where that is larger: nothing stays nothing."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), x.dtype.type(least))
