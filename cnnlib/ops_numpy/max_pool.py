"""Max pooling, channel by channel, where its gradients go, and its partial inverse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_ints, pool_geometry
from cnnlib.ops_numpy._windows import patches


def _max_pool(x: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Look at every window's taps in row-major order, and keep what is larger than all before it."""
    size = x.shape[2:]
    numbers = np.arange(math.prod(size), dtype=np.int64).reshape(1, 1, *size)
    windows = patches(x, geometry, fill=-np.inf)  # (N, C, *output_size, *kernel_size)
    pixels = patches(numbers, geometry, fill=-1)  # which pixel each tap reads; −1 is padding
    y = np.full((*x.shape[:2], *geometry.output_size), -np.inf, x.dtype)
    indices = np.full(y.shape, -1, np.int64)
    for tap in np.ndindex(geometry.kernel_size):
        value, pixel = windows[(..., *tap)], pixels[(..., *tap)]
        better = (value > y) | np.isnan(value)  # nothing is larger than a NaN, but another NaN
        better |= indices < 0  # only padding so far: a pixel is better, even if it is −∞
        np.copyto(y, value, where=better)
        np.copyto(indices, pixel, where=better)
    return y, indices


def _places(indices: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return where each index of a plane, or volume, lies in all of them laid end to end."""
    N, C = indices.shape[:2]
    planes = np.arange(N * C).reshape(N, C, *[1] * len(size))
    return (planes * math.prod(size) + indices.astype(np.int64)).ravel()


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def _max_pool_backward(grad_output: np.ndarray, indices: np.ndarray, input_size: Sequence[int]) -> np.ndarray:
    checks.pool.plane_indices(indices, grad_output.shape, input_size, np.ndarray)
    shape = (*grad_output.shape[:2], *input_size)
    grad_x = np.zeros(math.prod(shape), grad_output.dtype)
    np.add.at(grad_x, _places(indices, input_size), grad_output.ravel())
    return grad_x.reshape(shape)


def max_pool1d(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of every window, and where it stood: `max_pool2d` along one axis, x (N, C, L).

    >>> max_pool1d(np.array([[[1.0, 5.0, 5.0, 2.0]]]), 2)
    (array([[[5., 5.]]]), array([[[1, 2]]]))
    """
    checks.floating("x", x, np.ndarray, "N, C, L")
    return _max_pool(
        x,
        pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode),
    )


def max_pool1d_backward(grad_output: np.ndarray, indices: np.ndarray, *, input_size: IntOrTuple) -> np.ndarray:
    """Send each gradient to the position that won its window; grad_x is (N, C, *input_size).

    >>> max_pool1d_backward(np.array([[[1.0, 10.0]]]), np.array([[[1, 1]]]), input_size=3)
    array([[[ 0., 11.,  0.]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, L_out")
    return _max_pool_backward(grad_output, indices, as_ints("input_size", input_size, 1, 1))


def max_pool2d(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of every window, and where it stood.

    x (N, C, H, W) → y and indices, both (N, C, H_out, W_out); an index counts the pixels of its H × W plane in
    row-major order. On ties it is the first; where there are NaNs, the last NaN, as in torch. Padding is −∞ and never
    chosen. `stride` is by default `kernel_size`; with `ceil_mode` a last window may overhang the padding. Options as in
    `torch.nn.functional.max_pool2d`, which returns the indices only on request; `padding` may also be
    ((top, bottom), (left, right)). Raises ValueError, naming the argument, for a window larger than the padded input
    (in ceil mode, by a stride or more), for padding of more than half a window, and for windows wholly in the padding.
    Riesenhuber and Poggio (1999), https://doi.org/10.1038/14819.

    >>> y, indices = max_pool2d(np.array([[[[1.0, 5.0, 5.0, 2.0]]]]), (1, 2))
    >>> y[0, 0], indices[0, 0]
    (array([[5., 5.]]), array([[1, 2]]))
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    return _max_pool(
        x,
        pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode),
    )


def max_pool2d_backward(grad_output: np.ndarray, indices: np.ndarray, *, input_size: IntOrTuple) -> np.ndarray:
    """Send each gradient to the pixel that won its window; a pixel that won several gets their sum.

    grad_output and indices (N, C, H_out, W_out), input_size (H, W) → grad_x (N, C, H, W). The indices of `max_pool2d`
    say all, so its options are not needed here. Raises ValueError for indices outside the plane.

    >>> max_pool2d_backward(np.array([[[[1.0, 10.0]]]]), np.array([[[[1, 1]]]]), input_size=(1, 3))
    array([[[[ 0., 11.,  0.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    return _max_pool_backward(grad_output, indices, as_ints("input_size", input_size, 2, 1))


def max_pool3d(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of every window, and where it stood: `max_pool2d` along three axes, x (N, C, D, H, W).

    >>> y, indices = max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    >>> y.item(), indices.item()
    (7.0, 7)
    """
    checks.floating("x", x, np.ndarray, "N, C, D, H, W")
    return _max_pool(
        x,
        pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode),
    )


def max_pool3d_backward(grad_output: np.ndarray, indices: np.ndarray, *, input_size: IntOrTuple) -> np.ndarray:
    """Send each gradient to the voxel that won its window; grad_x is (N, C, *input_size).

    >>> grad_output, indices = np.full((1, 1, 1, 1, 1), 5.0), np.full((1, 1, 1, 1, 1), 3)
    >>> max_pool3d_backward(grad_output, indices, input_size=(1, 2, 2))
    array([[[[[0., 0.],
              [0., 5.]]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, D_out, H_out, W_out")
    return _max_pool_backward(grad_output, indices, as_ints("input_size", input_size, 3, 1))


def max_unpool2d(
    x: np.ndarray,
    indices: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    output_size: IntOrTuple | None = None,
) -> np.ndarray:
    """Put every value back to where `max_pool2d` found it, among zeros: the pooling's partial inverse.

    x and indices (N, C, H, W) → (N, C, *output_size), by default s(H − 1) + k − padding pixels high. Several input
    sizes pool to one: `output_size` (H_out, W_out) chooses among those less than a stride away. Options as in
    `torch.nn.functional.max_unpool2d`. Where an index stands twice, as overlapping windows make it, the last value in
    row-major order stays: torch's on a CPU, while on a GPU any of them may stay in torch (not in its twin here).
    Raises ValueError for indices outside the output and for an output_size that the pooling cannot have had.
    Zeiler and Fergus (2014), section 2.1, https://arxiv.org/abs/1311.2901.

    >>> max_unpool2d(np.array([[[[5.0, 7.0]]]]), np.array([[[[1, 2]]]]), (1, 2))
    array([[[[0., 5., 7., 0.]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    H, W = checks.pool.unpool_size(x.shape[2:], kernel_size, stride, padding, output_size)
    checks.pool.plane_indices(indices, x.shape, (H, W), np.ndarray)
    shape = (*x.shape[:2], H, W)
    y = np.zeros(math.prod(shape), x.dtype)
    y[_places(indices, (H, W))] = x.ravel()  # where places repeat, the last value stays
    return y.reshape(shape)


def max_unpool2d_backward(grad_output: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Fetch each value's gradient from where it was put: grad_x has the shape of indices (N, C, H, W).

    As in torch, a value that another overwrote fetches the gradient of that place too.

    >>> max_unpool2d_backward(np.array([[[[1.0, 2.0, 3.0, 4.0]]]]), np.array([[[[1, 2]]]]))
    array([[[[2., 3.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    shape = checks.pool.unpooled_shape(indices, grad_output)
    checks.pool.plane_indices(indices, shape, grad_output.shape[2:], np.ndarray)
    return grad_output.ravel()[_places(indices, grad_output.shape[2:])].reshape(shape)
