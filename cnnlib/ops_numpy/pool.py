"""Pooling: the maximum or the mean of every window, channel by channel, and where their gradients go."""

from __future__ import annotations

import numpy as np

from cnnlib import checks
from cnnlib.geometry import IntOrTuple, Padding, as_int, as_ints, pool_divisors, pool_geometry
from cnnlib.ops_numpy._windows import patches, scatter_patches


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
    chosen. `torch.nn.functional.max_pool2d` returns the indices only on request. Raises ValueError, naming the
    argument, for a window larger than the padded input and for padding of more than half a window.

    >>> y, indices = max_pool2d(np.array([[[[1.0, 5.0, 5.0, 2.0]]]]), (1, 2))
    >>> y[0, 0], indices[0, 0]
    (array([[5., 5.]]), array([[1, 2]]))
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    N, C, H, W = x.shape
    geometry = pool_geometry(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    shape = (N, C, *geometry.output_size, -1)
    taps = int(np.prod(geometry.kernel_size))
    values = patches(x, geometry, fill=-np.inf).reshape(*shape[:-1], taps)  # (N, C, oh, ow, kh·kw)
    pixels = patches(np.arange(H * W).reshape(1, 1, H, W), geometry, fill=-1).reshape(1, 1, *shape[2:-1], taps)
    nan = np.isnan(values)
    chosen = np.where(nan.any(-1), taps - 1 - nan[..., ::-1].argmax(-1), values.argmax(-1))
    indices = np.take_along_axis(pixels, chosen[..., None], -1)[..., 0]
    first_real = np.take_along_axis(pixels, (pixels >= 0).argmax(-1)[..., None], -1)[..., 0]
    indices = np.where(indices < 0, first_real, indices)  # a window of −∞ ties with its padding
    return np.take_along_axis(values, chosen[..., None], -1)[..., 0], indices


def max_pool2d_backward(grad_output: np.ndarray, indices: np.ndarray, *, input_size: IntOrTuple) -> np.ndarray:
    """Send each gradient to the pixel that won its window; a pixel that won several gets their sum.

    grad_output and indices (N, C, H_out, W_out), input_size (H, W) → grad_x (N, C, H, W). The indices of `max_pool2d`
    say all, so its options are not needed here.

    >>> max_pool2d_backward(np.array([[[[1.0, 10.0]]]]), np.array([[[[1, 1]]]]), input_size=(1, 3))
    array([[[[ 0., 11.,  0.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    H, W = as_ints("input_size", input_size, 2, 1)
    checks.integers("indices", indices, grad_output.shape, np.ndarray)
    if indices.size and not 0 <= indices.min() <= indices.max() < H * W:
        raise ValueError(f"indices runs from {indices.min()} to {indices.max()}; expected 0 to {H * W - 1}")
    N, C = grad_output.shape[:2]
    grad_x = np.zeros((N * C, H * W), grad_output.dtype)
    planes = np.arange(N * C)[:, None]
    winners, gradients = (a.reshape(N * C, int(np.prod(a.shape[2:]))) for a in (indices, grad_output))
    np.add.at(grad_x, (planes, winners), gradients)
    return grad_x.reshape(N, C, H, W)


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

    With `count_include_pad` the zeros of the padding count as pixels of the window (what overhangs in ceil mode never
    does); `divisor_override` divides by that number instead. Options as in `torch.nn.functional.avg_pool2d`. Raises
    ValueError as `max_pool2d` does.

    >>> avg_pool2d(np.array([[[[1.0, 3.0, 5.0, 9.0]]]]), (1, 2))
    array([[[[2., 7.]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    totals = patches(x, geometry).sum(axis=(-2, -1))
    return (totals / _divisor(geometry, x.shape[2:], count_include_pad, divisor_override)).astype(x.dtype, copy=False)


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
    checks.shaped("grad_output", grad_output, (*grad_output.shape[:2], *geometry.output_size), np.ndarray)
    shares = grad_output / _divisor(geometry, size, count_include_pad, divisor_override)
    shares = shares.astype(grad_output.dtype, copy=False)
    N, C = shares.shape[:2]
    columns = np.broadcast_to(shares[:, :, None, None], (N, C, *geometry.kernel_size, *geometry.output_size))
    return scatter_patches(columns, geometry, size)


def _divisor(geometry, input_size, count_include_pad, divisor_override):
    """Return what each window's sum is divided by: a number, or an array (H_out, W_out)."""
    if divisor_override is not None:
        return as_int("divisor_override", divisor_override, 1)
    heights, widths = pool_divisors(geometry, input_size, count_include_pad)
    return np.outer(heights, widths)
