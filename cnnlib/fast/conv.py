"""`conv2d` and its backward, as in `cnnlib.ops_numpy`, by the algorithm that `dispatch` names."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from cnnlib import ops_numpy
from cnnlib.checks import like, shaped
from cnnlib.checks.conv import conv_operands
from cnnlib.fast import depthwise, dispatch, fft, gemm, im2col, mec, toeplitz, winograd
from cnnlib.fast.layout import channels_last, empty_channels_last
from cnnlib.geometry import Geometry, IntOrTuple, Padding, conv_geometry


class Algorithm(NamedTuple):
    """One way to compute a convolution of one group, and its two large gradients."""

    forward: Callable[..., np.ndarray]  # (x, weight, bias, geometry)
    grad_x: Callable[..., np.ndarray]  # (grad_output, weight, geometry, input_size)
    grad_weight: Callable[..., np.ndarray]  # (grad_output, x, geometry, weight.shape)


def _algorithm(module: ModuleType, **options: int) -> Algorithm:
    return Algorithm(*(functools.partial(getattr(module, name), **options) for name in Algorithm._fields))


ALGORITHMS = {
    "depthwise": _algorithm(depthwise),
    "fft": _algorithm(fft),
    "gemm": _algorithm(gemm),
    "im2col": _algorithm(im2col),
    "mec": Algorithm(mec.forward, toeplitz.grad_x, mec.grad_weight),
    "toeplitz": _algorithm(toeplitz),
    "winograd2": _algorithm(winograd, m=2),
    "winograd4": _algorithm(winograd, m=4),
}
_kept_geometry = functools.lru_cache(conv_geometry)
SMALL = 20_000  # numbers that may be added one by one
ROOM = 1e6  # by how much an intermediate value may exceed the product of the operands' norms


def _geometry(
    input_size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: IntOrTuple,
    padding: Padding,
    dilation: IntOrTuple,
) -> Geometry:
    """Return `conv_geometry`, kept where the options are plain integers: a small layer takes no longer than that."""
    plain = type(stride) is type(padding) is type(dilation) is int
    compute = _kept_geometry if plain else conv_geometry
    return compute(input_size, kernel_size, stride=stride, padding=padding, dilation=dilation)


def norm(x: np.ndarray) -> float:
    """Return ‖x‖, or inf or nan where x is not finite or the sum of its squares overflows: one pass, in BLAS."""
    last = channels_last(x) if x.ndim == 4 else x
    flat = last.reshape(-1) if last.flags.c_contiguous else x.reshape(-1)
    with np.errstate(all="ignore"):
        return math.sqrt(abs(float(np.dot(flat, flat))))


def _moderate(*operands: np.ndarray) -> bool:
    """Say whether all are finite, and no product of two of them comes near the largest number there is.

    By Cauchy and Schwarz |⟨a, b⟩| ≤ ‖a‖·‖b‖, which also bounds, up to ROOM, every sum in between.
    """
    total = sum(map(norm, operands))
    return total * max(1.0, total) * ROOM < float(np.finfo(operands[0].dtype).max)  # false of nan and of inf


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> np.ndarray:
    """Compute `cnnlib.ops_numpy.conv2d`, which says all; the result has its channels together in memory.

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    groups = conv_operands(2, x, weight, bias, groups, np.ndarray)
    geometry = _geometry(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    name = dispatch.choose(len(x), x.shape[1], weight.shape[0], x.shape[2:], geometry, groups).forward
    if name == "readable" or not (name in dispatch.LOCAL or _moderate(x, weight)):
        return ops_numpy.conv2d(
            x, weight, bias, stride=geometry.stride, padding=geometry.padding, dilation=geometry.dilation, groups=groups
        )
    if groups == 1 or name == "depthwise":
        return ALGORITHMS[name].forward(x, weight, bias, geometry)
    y = empty_channels_last((x.shape[0], weight.shape[0], *geometry.output_size), x.dtype)
    for inner, outer in _groups(x.shape[1], weight.shape[0], groups):
        y[:, outer] = ALGORITHMS[name].forward(
            x[:, inner], weight[outer], None if bias is None else bias[outer], geometry
        )
    return y


def conv2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute `cnnlib.ops_numpy.conv2d_backward`: (grad_x, grad_weight, grad_bias).

    >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> conv2d_backward(np.ones((1, 1, 2, 2)), x, weight)[2]
    array([4.])
    """
    groups = conv_operands(2, x, weight, None, groups, np.ndarray)
    geometry = _geometry(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    shaped("grad_output", grad_output, (x.shape[0], weight.shape[0], *geometry.output_size), np.ndarray)
    like("grad_output", grad_output, "x", x)
    names = dispatch.choose(len(x), x.shape[1], weight.shape[0], x.shape[2:], geometry, groups)
    if "readable" in names or not (set(names) <= set(dispatch.LOCAL) or _moderate(grad_output, x, weight)):
        return ops_numpy.conv2d_backward(
            grad_output,
            x,
            weight,
            stride=geometry.stride,
            padding=geometry.padding,
            dilation=geometry.dilation,
            groups=groups,
        )
    grad_x, grad_weight = _gradients(names, grad_output, x, weight, geometry, groups)
    return grad_x, grad_weight, bias_gradient(grad_output)


def _gradients(
    names: dispatch.Choice, grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    of_x, of_weight = ALGORITHMS[names.grad_x].grad_x, ALGORITHMS[names.grad_weight].grad_weight
    if groups == 1 or names.forward == "depthwise":
        grad_x = of_x(grad_output, weight, geometry, x.shape[2:])
        return grad_x, of_weight(grad_output, x, geometry, weight.shape)
    grad_x, grad_weight = empty_channels_last(x.shape, x.dtype), np.empty(weight.shape, weight.dtype)
    for inner, outer in _groups(x.shape[1], weight.shape[0], groups):
        grad_x[:, inner] = of_x(grad_output[:, outer], weight[outer], geometry, x.shape[2:])
        grad_weight[outer] = of_weight(grad_output[:, outer], x[:, inner], geometry, weight[outer].shape)
    return grad_x, grad_weight


def _groups(channels: int, filters: int, groups: int) -> list[tuple[slice, slice]]:
    """Return the channels and the filters of each group."""
    inner, outer = channels // groups, filters // groups
    return [(slice(g * inner, (g + 1) * inner), slice(g * outer, (g + 1) * outer)) for g in range(groups)]


def bias_gradient(grad_output: np.ndarray) -> np.ndarray:
    """Return the sum of grad_output (N, F, H, W) over images and pixels, (F,), wherever its channels lie.

    The last sum, over images, is taken in float64: gradients of either sign cancel, and their rounding does not.
    """
    last = channels_last(grad_output)
    N, H, W, F = last.shape
    if last.size < SMALL or not last.flags.c_contiguous:
        return grad_output.sum(axis=(0, 2, 3), dtype=np.float64).astype(grad_output.dtype)
    images = np.ones((1, H * W), last.dtype) @ last.reshape(N, H * W, F)
    return images.sum(axis=(0, 1), dtype=np.float64).astype(grad_output.dtype)
