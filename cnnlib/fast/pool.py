"""Max pooling that keeps the layout of its input, and needs no indices for its backward.

The indices of a max pooling are twice as large as its float32 output, and cost more than the maxima. A backward that
still has x and y can do without them: the winner of a window is the first of its pixels that equals its maximum.
Padding, windows that overhang, and NaNs are left to `ops_numpy`.
"""

from __future__ import annotations

import math

import numpy as np

from cnnlib import checks, ops_numpy
from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import contiguous_channels_last
from cnnlib.fast.windows import MOST_TAPS, Make, Maxima, Run, Shape, Tiles, Winners, cells, over_blocks, pairs
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_ints, pool_geometry

LEAST_CHANNELS = 8  # below, a pixel's channels are too few bytes to be worth a copy of their own


def max_pool2d(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """`ops_numpy.max_pool2d`, which says all.

    >>> y, indices = max_pool2d(np.array([[[[1.0, 5.0, 5.0, 2.0]]]]), (1, 2))
    >>> y[0, 0], indices[0, 0]
    (array([[5., 5.]]), array([[1, 2]]))
    """
    geometry = _geometry(x, kernel_size, stride, padding, dilation, ceil_mode)
    y = _maxima(x, geometry) if _is_plain(geometry, x) else None
    if y is None or _has_nan(y):
        y, indices = _readable(x, geometry, ceil_mode)
        return _laid_out(y, x), _laid_out(indices, x)
    images, maxima = _images(x, x), _images(y, x)
    W, places = x.shape[3], np.empty(maxima.shape, np.int64)
    first, table = _first_pixels(geometry, W)[..., None], pairs(_offsets(geometry, W))

    def make(shape: Shape, buffers: Workspace) -> Run:
        winners = Winners(shape, x.dtype, geometry, buffers)
        return lambda part: np.add(winners.look_up(table, images[part], maxima[part]), first, out=places[part])

    over_blocks(make, images)
    return y, _restored(places, x)


def max_pool2d_backward(grad_output: np.ndarray, indices: np.ndarray, *, input_size: IntOrTuple) -> np.ndarray:
    """`ops_numpy.max_pool2d_backward`, which says all.

    >>> max_pool2d_backward(np.array([[[[1.0, 10.0]]]]), np.array([[[[1, 1]]]]), input_size=(1, 3))
    array([[[[ 0., 11.,  0.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    H, W = as_ints("input_size", input_size, 2, 1)
    checks.pool.plane_indices(indices, grad_output.shape, (H, W), np.ndarray)
    grads, winners = _images(grad_output, grad_output), _images(indices, grad_output)
    grad_images = np.empty((len(grads), H, W, grads.shape[3]), grads.dtype)

    def make(shape: Shape, buffers: Workspace) -> Run:
        B, _, _, K = shape
        first = H * W * K * np.arange(B)[:, None, None, None] + np.arange(K)  # places of each image's first pixel
        places = buffers.take("places", (B, *grads.shape[1:]), np.intp)

        def run(part: slice) -> None:
            np.multiply(winners[part], K, out=places, casting="unsafe")
            np.add(places, first, out=places)
            _scatter(grads[part], places, grad_images[part])

        return run

    over_blocks(make, grad_images)
    return _restored(grad_images, grad_output)


def max_pool2d_values(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Return the y of `max_pool2d` alone: what `max_pool2d_values_backward` needs, for a fraction of the time.

    >>> max_pool2d_values(np.array([[[[1.0, 5.0, 5.0, 2.0]]]]), (1, 2))
    array([[[[5., 5.]]]])
    """
    geometry = _geometry(x, kernel_size, stride, padding, dilation, ceil_mode)
    if _is_plain(geometry, x):
        return _maxima(x, geometry)
    return _laid_out(_readable(x, geometry, ceil_mode)[0], x)


def max_pool2d_values_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Return the grad_x of `max_pool2d_backward`, given x and the y of `max_pool2d_values` instead of the indices.

    grad_output and y (N, C, H_out, W_out), x (N, C, H, W), and the options of the forward. Each gradient goes to the
    first pixel of its window, row by row, that equals y. Raises ValueError as `max_pool2d` does, and for a y or
    grad_output that does not match; what a y that is not the maximum leads to is not said.

    >>> x = np.array([[[[1.0, 5.0, 5.0, 2.0]]]])
    >>> max_pool2d_values_backward(np.array([[[[1.0, 10.0]]]]), x, max_pool2d_values(x, (1, 2)), (1, 2))
    array([[[[ 0.,  1., 10.,  0.]]]])
    """
    geometry = _geometry(x, kernel_size, stride, padding, dilation, ceil_mode)
    checks.shaped("y", y, (*x.shape[:2], *geometry.output_size), np.ndarray)
    checks.like("y", y, "x", x)
    checks.matching("grad_output", grad_output, "y", y, np.ndarray)
    if not _is_plain(geometry, x) or _has_nan(y):
        indices = _readable(x, geometry, ceil_mode)[1]
        return _laid_out(max_pool2d_backward(grad_output, indices, input_size=x.shape[2:]), x)
    images, maxima, grads = (_images(a, x) for a in (x, y, grad_output))
    grad_images = np.empty_like(images)
    tiled = _is_tiled(geometry)
    route = _route_tiles if tiled and images.shape[3] >= LEAST_CHANNELS else _route_anywhere
    over_blocks(route(images, maxima, grads, grad_images, geometry), images, scratch=1 if tiled else 2)
    return _restored(grad_images, x)


def _route_anywhere(
    images: np.ndarray, maxima: np.ndarray, grads: np.ndarray, grad_images: np.ndarray, geometry: Geometry
) -> Make:
    """Say where in memory the winner of each window lies, and add the gradients there."""
    _, H, W, K = images.shape
    first, table = K * _first_pixels(geometry, W)[..., None] + np.arange(K), pairs(K * _offsets(geometry, W))

    def make(shape: Shape, buffers: Workspace) -> Run:
        winners = Winners(shape, images.dtype, geometry, buffers)
        starts = H * W * K * np.arange(shape[0])[:, None, None, None] + first

        def run(part: slice) -> None:
            places = winners.look_up(table, images[part], maxima[part])
            places += starts
            _scatter(grads[part], places, grad_images[part])

        return run

    return make


def _route_tiles(
    images: np.ndarray, maxima: np.ndarray, grads: np.ndarray, grad_images: np.ndarray, geometry: Geometry
) -> Make:
    """Where windows lie side by side: repeat the gradients over their windows, and keep those of the winners.

    They are multiplied by 1 or 0 as integers, whatever their bits mean: ∞ · 0 would be NaN.
    """
    (kh, kw), (OH, OW), (H, W, K) = geometry.kernel_size, geometry.output_size, images.shape[1:]
    bits = np.dtype(f"i{images.itemsize}")

    def rows(a: np.ndarray) -> np.ndarray:
        return a[:, : OH * kh].reshape(len(a), OH, kh, W, K)[:, :, :, : OW * kw]

    def make(shape: Shape, buffers: Workspace) -> Run:
        tiles = Tiles((shape[0], OH, kh, OW, kw, K), buffers)
        highest, shares = (buffers.take(n, (shape[0], OH, 1, OW, kw, K), bits) for n in ("highest", "shares"))
        lines = (shape[0], OH, 1, OW * kw, K)

        def run(part: slice) -> None:
            for j in range(kw):
                np.copyto(cells(highest)[:, :, 0, :, j], cells(maxima[part].view(bits)))
                np.copyto(cells(shares)[:, :, 0, :, j], cells(grads[part].view(bits)))
            np.equal(rows(images[part]), highest.view(images.dtype).reshape(lines), out=tiles.lines)
            tiles.keep_the_first()
            grad_x = grad_images[part]
            if (OH * kh, OW * kw) != (H, W):
                grad_x.fill(0)
            kept = rows(grad_x.view(bits))
            np.copyto(kept, tiles.lines)
            np.multiply(shares.reshape(lines), kept, out=kept)

        return run

    return make


def _scatter(grads: np.ndarray, places: np.ndarray, grad_images: np.ndarray) -> None:
    """Add each gradient at its place, counted in the memory of `grad_images`, in their order."""
    grad_images.fill(0)
    np.add.at(grad_images.reshape(-1), places.reshape(-1), grads.reshape(-1))


def _geometry(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None,
    padding: Padding,
    dilation: IntOrTuple,
    ceil_mode: bool,
) -> Geometry:
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    return pool_geometry(
        x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )


def _is_plain(geometry: Geometry, x: np.ndarray) -> bool:
    """Say whether all windows lie inside x, and have no more taps than a table holds."""
    ends = [s * (o - 1) + span for s, o, span in zip(geometry.stride, geometry.output_size, geometry.span, strict=True)]
    inside = all(end <= size for end, size in zip(ends, x.shape[2:], strict=True))
    return inside and not any(map(any, geometry.padding)) and math.prod(geometry.kernel_size) <= MOST_TAPS


def _is_tiled(geometry: Geometry) -> bool:
    return geometry.kernel_size == geometry.stride == geometry.span


def _readable(x: np.ndarray, geometry: Geometry, ceil_mode: bool) -> tuple[np.ndarray, np.ndarray]:
    kernel_size, stride, padding, dilation, _ = geometry
    return ops_numpy.max_pool2d(x, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)


def _maxima(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the maximum of every window, none of which leaves x."""
    images = _images(x, x)
    maxima = np.empty((len(images), *geometry.output_size, images.shape[3]), x.dtype)

    def make(shape: Shape, buffers: Workspace) -> Run:
        block = Maxima(shape, x.dtype, geometry, buffers)
        return lambda part: block(images[part], maxima[part])

    over_blocks(make, images)
    if (maxima == 0).any() and _has_negative_zero(images):  # np.maximum(−0, 0) may be either; the first is asked for
        return _laid_out(_readable(x, geometry, ceil_mode=False)[0], x)
    return _restored(maxima, x)


def _has_negative_zero(a: np.ndarray) -> bool:
    integers = a.view(f"i{a.itemsize}")  # −0 has the bits of the least integer
    return bool(integers.min() == np.iinfo(integers.dtype).min)


def _has_nan(y: np.ndarray) -> bool:
    return bool(np.isnan(y.max(initial=-np.inf)))


def _first_pixels(geometry: Geometry, width: int) -> np.ndarray:
    """Return the number of the first pixel of each window, (H_out, W_out), counting a plane row by row."""
    (sh, sw), (OH, OW) = geometry.stride, geometry.output_size
    return np.arange(OH)[:, None] * (sh * width) + np.arange(OW) * sw


def _offsets(geometry: Geometry, width: int) -> np.ndarray:
    """Return how many pixels after the first each tap of a window comes, (kh·kw,)."""
    (kh, kw), (dh, dw) = geometry.kernel_size, geometry.dilation
    return (np.arange(kh)[:, None] * (dh * width) + np.arange(kw) * dw).reshape(-1)


def _channels_lie_together(x: np.ndarray) -> bool:
    return x.strides[1] < x.strides[3]


def _images(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a (N, C, h, w), contiguous and laid out as x: (N, h, w, C), or (N·C, h, w, 1) where channels lie apart."""
    if _channels_lie_together(x):
        return contiguous_channels_last(a)
    return np.ascontiguousarray(a).reshape(a.shape[0] * a.shape[1], *a.shape[2:], 1)


def _restored(images: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return `images` as (N, C, h, w)."""
    if _channels_lie_together(x):
        return images.transpose(0, 3, 1, 2)
    return images.reshape(*x.shape[:2], *images.shape[1:3])


def _laid_out(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a (N, C, h, w) with the layout of x."""
    return _restored(_images(a, x), x)
