"""Mean pooling, channel by channel: over windows of one size, and over as many as the output asks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product

import numpy as np

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_int, as_ints, pool_divisors, pool_geometry
from cnnlib.ops_numpy._windows import patches, scatter_patches


def _divisors(
    geometry: Geometry, input_size: Sequence[int], count_include_pad: bool, divisor_override: int | None = None
) -> int | np.ndarray:
    """Return what each window's sum is divided by: a number, or an array of the output's size."""
    if divisor_override is not None:
        return as_int("divisor_override", divisor_override, 1)
    return reduce(np.multiply.outer, map(np.array, pool_divisors(geometry, input_size, count_include_pad)))


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def _avg_pool(x: np.ndarray, geometry: Geometry, divisors: int | np.ndarray) -> np.ndarray:
    windows = patches(x, geometry)  # (N, C, *output_size, *kernel_size)
    totals = np.zeros((*x.shape[:2], *geometry.output_size), x.dtype)
    for tap in np.ndindex(geometry.kernel_size):
        totals += windows[(..., *tap)]
    return (totals / divisors).astype(x.dtype, copy=False)


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def _avg_pool_backward(
    grad_output: np.ndarray, geometry: Geometry, input_size: tuple[int, ...], divisors: int | np.ndarray
) -> np.ndarray:
    N, C = grad_output.shape[:2]
    checks.shaped("grad_output", grad_output, (N, C, *geometry.output_size), np.ndarray)
    shares = (grad_output / divisors).astype(grad_output.dtype, copy=False)
    every_tap = shares.reshape(N, C, *[1] * len(input_size), *geometry.output_size)
    columns = np.broadcast_to(every_tap, (N, C, *geometry.kernel_size, *geometry.output_size))
    return scatter_patches(columns, geometry, input_size)


def avg_pool1d(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Return the mean of every window: `avg_pool2d` along one axis, x (N, C, L), without `divisor_override`.

    >>> avg_pool1d(np.array([[[1.0, 3.0, 5.0, 9.0]]]), 2)
    array([[[2., 7.]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, L")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool(x, geometry, _divisors(geometry, x.shape[2:], count_include_pad))


def avg_pool1d_backward(
    grad_output: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    input_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Spread each gradient evenly over its window; grad_x is (N, C, *input_size).

    >>> avg_pool1d_backward(np.array([[[4.0, 8.0]]]), 2, input_size=4)
    array([[[2., 2., 4., 4.]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, L_out")
    size = as_ints("input_size", input_size, 1, 1)
    geometry = pool_geometry(size, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool_backward(grad_output, geometry, size, _divisors(geometry, size, count_include_pad))


def avg_pool2d(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Return the mean of every window: x (N, C, H, W) → (N, C, H_out, W_out).

    `stride` is by default `kernel_size`; with `ceil_mode` a last window may overhang the padding. With
    `count_include_pad` the zeros of the padding count as pixels of the window (what overhangs in ceil mode never
    does); `divisor_override` divides by that number instead. Options as in `torch.nn.functional.avg_pool2d`; `padding`
    may also be ((top, bottom), (left, right)). Raises ValueError as `max_pool2d` does. LeCun et al. (1998), section
    II.B, https://doi.org/10.1109/5.726791, with a trainable scale and bias behind it.

    >>> avg_pool2d(np.array([[[[1.0, 3.0, 5.0, 9.0]]]]), (1, 2))
    array([[[[2., 7.]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool(x, geometry, _divisors(geometry, x.shape[2:], count_include_pad, divisor_override))


def avg_pool2d_backward(
    grad_output: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    input_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Spread each gradient evenly over its window; overlapping windows add up. Returns grad_x (N, C, *input_size).

    >>> avg_pool2d_backward(np.array([[[[4.0, 8.0]]]]), (1, 2), input_size=(1, 4))
    array([[[[2., 2., 4., 4.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    size = as_ints("input_size", input_size, 2, 1)
    geometry = pool_geometry(size, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    divisors = _divisors(geometry, size, count_include_pad, divisor_override)
    return _avg_pool_backward(grad_output, geometry, size, divisors)


def avg_pool3d(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Return the mean of every window: `avg_pool2d` along three axes, x (N, C, D, H, W).

    `torch.nn.functional.avg_pool3d`, unlike the other poolings, refuses a kernel larger than the unpadded input.

    >>> avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    3.5
    """
    checks.floating("x", x, np.ndarray, "N, C, D, H, W")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    return _avg_pool(x, geometry, _divisors(geometry, x.shape[2:], count_include_pad, divisor_override))


def avg_pool3d_backward(
    grad_output: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    input_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Spread each gradient evenly over its window; grad_x is (N, C, *input_size).

    >>> avg_pool3d_backward(np.full((1, 1, 1, 1, 1), 8.0), (1, 2, 2), input_size=(1, 2, 2))
    array([[[[[2., 2.],
              [2., 2.]]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, D_out, H_out, W_out")
    size = as_ints("input_size", input_size, 3, 1)
    geometry = pool_geometry(size, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    divisors = _divisors(geometry, size, count_include_pad, divisor_override)
    return _avg_pool_backward(grad_output, geometry, size, divisors)


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def adaptive_avg_pool2d(x: np.ndarray, output_size: int | Sequence[int | None]) -> np.ndarray:
    """Return means over as many windows as `output_size` asks for: x (N, C, H, W) → (N, C, *output_size).

    `output_size` is an int for both axes or a pair (H_out, W_out), in which None keeps the input's size. Window i runs
    from ⌊i·H/H_out⌋ to before ⌈(i + 1)·H/H_out⌉, as in torch: windows overlap, and differ in size, where H_out does not
    divide H. Raises ValueError, naming the argument, where `output_size` is none of these. `adaptive_avg_pool2d(x, 1)`
    is the global average pooling of Lin, Chen and Yan (2014), section 3.2, https://arxiv.org/abs/1312.4400.

    >>> adaptive_avg_pool2d(np.array([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]]), (None, 2))
    array([[[[2., 4.]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    rows, columns = checks.pool.adaptive_windows(x.shape[2:], output_size)
    y = np.empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for (i, (top, bottom)), (j, (left, right)) in product(enumerate(rows), enumerate(columns)):
        y[:, :, i, j] = x[:, :, top:bottom, left:right].mean(axis=(2, 3))
    return y


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def adaptive_avg_pool2d_backward(grad_output: np.ndarray, *, input_size: IntOrTuple) -> np.ndarray:
    """Spread each gradient evenly over its window; overlapping windows add up. Returns grad_x (N, C, *input_size).

    >>> adaptive_avg_pool2d_backward(np.array([[[[3.0, 6.0]]]]), input_size=(1, 5))
    array([[[[1., 1., 3., 2., 2.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    size = as_ints("input_size", input_size, 2, 1)
    rows, columns = checks.pool.adaptive_windows(size, grad_output.shape[2:])
    grad_x = np.zeros((*grad_output.shape[:2], *size), grad_output.dtype)
    for (i, (top, bottom)), (j, (left, right)) in product(enumerate(rows), enumerate(columns)):
        pixels = (bottom - top) * (right - left)
        grad_x[:, :, top:bottom, left:right] += grad_output[:, :, i : i + 1, j : j + 1] / pixels
    return grad_x
