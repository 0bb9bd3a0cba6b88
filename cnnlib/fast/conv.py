"""`conv2d` and its backward, as in `cnnlib.ops_numpy`, by the algorithm that `dispatch` names."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

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


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
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


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
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
    layer = _checked(grad_output, x, weight, stride, padding, dilation, groups)
    if layer.is_readable:
        return ops_numpy.conv2d_backward(grad_output, x, weight, **layer.options())
    grad_x = _gradient_of_x(grad_output, x, weight, layer)
    return grad_x, _gradient_of_weight(grad_output, x, weight, layer), bias_gradient(grad_output)


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def conv2d_backward_parameters(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (grad_weight, grad_bias) of `conv2d_backward`: what the first layer of a network asks for.

    >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> conv2d_backward_parameters(np.ones((1, 1, 2, 2)), x, weight)
    (array([[[[4., 4.],
             [4., 4.]]]]), array([4.]))
    """
    layer = _checked(grad_output, x, weight, stride, padding, dilation, groups)
    if layer.is_readable:
        return ops_numpy.conv2d_backward(grad_output, x, weight, **layer.options())[1:]
    return _gradient_of_weight(grad_output, x, weight, layer), bias_gradient(grad_output)


class Layer(NamedTuple):
    """A convolution whose operands are checked, and the algorithms of its gradients."""

    geometry: Geometry
    groups: int
    names: dispatch.Choice
    is_readable: bool

    def options(self) -> dict[str, Any]:
        """Return the options that `ops_numpy` takes."""
        geometry = self.geometry
        return {
            "stride": geometry.stride,
            "padding": geometry.padding,
            "dilation": geometry.dilation,
            "groups": self.groups,
        }


def _checked(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    stride: IntOrTuple,
    padding: Padding,
    dilation: IntOrTuple,
    groups: int,
) -> Layer:
    groups = conv_operands(2, x, weight, None, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    shaped("grad_output", grad_output, (x.shape[0], weight.shape[0], *geometry.output_size), np.ndarray)
    like("grad_output", grad_output, "x", x)
    names = dispatch.choose(len(x), x.shape[1], weight.shape[0], x.shape[2:], geometry, groups)
    is_local = set(names) <= set(dispatch.LOCAL)
    is_readable = "readable" in names or not (is_local or _moderate(grad_output, x, weight))
    return Layer(geometry, groups, names, is_readable)


def _gradient_of_x(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, layer: Layer) -> np.ndarray:
    gradient = ALGORITHMS[layer.names.grad_x].grad_x
    if layer.groups == 1 or layer.names.grad_x == "depthwise":
        return gradient(grad_output, weight, layer.geometry, x.shape[2:])
    grad_x = empty_channels_last(x.shape, x.dtype)
    for inner, outer in _groups(x.shape[1], weight.shape[0], layer.groups):
        grad_x[:, inner] = gradient(grad_output[:, outer], weight[outer], layer.geometry, x.shape[2:])
    return grad_x


def _gradient_of_weight(grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, layer: Layer) -> np.ndarray:
    gradient = ALGORITHMS[layer.names.grad_weight].grad_weight
    if layer.groups == 1 or layer.names.grad_weight == "depthwise":
        return gradient(grad_output, x, layer.geometry, weight.shape)
    grad_weight = np.empty(weight.shape, weight.dtype)
    for inner, outer in _groups(x.shape[1], weight.shape[0], layer.groups):
        grad_weight[outer] = gradient(grad_output[:, outer], x[:, inner], layer.geometry, weight[outer].shape)
    return grad_weight


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
