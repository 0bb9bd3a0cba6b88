"""Convolution, as networks compute it: cross-correlation, the kernel is not flipped.

True convolution turns the kernel by 180° first: `conv2d(x, weight[:, :, ::-1, ::-1])`. Each backward is derived by
hand: y = W·columns(x) is linear in both factors, so the gradients are products with the transposes, and the transpose
of cutting windows out is adding them back. One core, in `_correlation.py`, serves one to three axes.

`padding="same"` keeps the size at stride 1; where it needs an odd number of zeros, the last one goes *after* the image,
as in torch and as ONNX's SAME_UPPER. ONNX's SAME_LOWER puts it before: give the pairs, such as ((1, 0), (1, 0)) for a
2 × 2 kernel. With a stride, "same" means ⌈size / stride⌉ outputs to ONNX; that too takes pairs: the word is refused, as
in torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnlib.checks import like, shaped
from cnnlib.checks.conv import conv_operands
from cnnlib.geometry import IntOrTuple, Padding, conv_geometry
from cnnlib.ops_numpy._correlation import correlate, correlate_adjoint, correlate_weight


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def _conv(
    rank: int, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, groups: int, **layout: Any
) -> np.ndarray:
    groups = conv_operands(rank, x, weight, bias, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], **layout)
    y = correlate(x, weight, geometry, groups)
    if bias is not None:
        y += bias.reshape(-1, *[1] * rank)
    return y


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def _conv_backward(
    rank: int, grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, groups: int, **layout: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    groups = conv_operands(rank, x, weight, None, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], **layout)
    shaped("grad_output", grad_output, (x.shape[0], weight.shape[0], *geometry.output_size), np.ndarray)
    like("grad_output", grad_output, "x", x)
    grad_x = correlate_adjoint(grad_output, weight, geometry, groups, x.shape[2:])
    grad_weight = correlate_weight(grad_output, x, geometry, groups, weight.shape)
    return grad_x, grad_weight, grad_output.sum(axis=(0, *range(2, 2 + rank)))


def conv1d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> np.ndarray:
    """Correlate sequences with filters: `conv2d` along one axis.

    y[n, f, i] = b[f] + Σ_{c,u} x[n, c, i·s + u·d − p] · w[f, c, u], zeros beyond the ends.

    x (N, C, L), weight (C_out, C // groups, k), bias (C_out,) → (N, C_out, L_out). Options as in
    `torch.nn.functional.conv1d`; `padding` may also be one pair, ((before, after),). Raises ValueError as `conv2d`
    does. Waibel et al. (1989), the time-delay network, https://doi.org/10.1109/29.21701.

    >>> conv1d(np.array([[[1.0, 2.0, 4.0, 8.0]]]), np.array([[[-1.0, 1.0]]]))
    array([[[1., 2., 4.]]])
    """
    return _conv(1, x, weight, bias, groups, stride=stride, padding=padding, dilation=dilation)


def conv1d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `conv1d`, given grad_output (N, C_out, L_out).

    >>> grad_x, _, _ = conv1d_backward(np.ones((1, 1, 3)), np.ones((1, 1, 4)), np.array([[[-1.0, 1.0]]]))
    >>> grad_x
    array([[[-1.,  0.,  0.,  1.]]])
    """
    return _conv_backward(1, grad_output, x, weight, groups, stride=stride, padding=padding, dilation=dilation)


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def conv2d_naive(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> np.ndarray:
    """Compute `conv2d` in plain loops: the definition, and the oracle of every faster way.

    >>> conv2d_naive(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    groups = conv_operands(2, x, weight, bias, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    (sh, sw), (dh, dw), (oh, ow) = geometry.stride, geometry.dilation, geometry.output_size
    (top, _), (left, _) = geometry.padding
    N, _, H, W = x.shape
    C_out, C_group, kh, kw = weight.shape
    y = np.zeros((N, C_out, oh, ow), x.dtype)
    for n, f, i, j in np.ndindex(y.shape):
        first = f // (C_out // groups) * C_group  # the first channel of this filter's group
        total = x.dtype.type(0) if bias is None else bias[f]
        for c, u, v in np.ndindex(C_group, kh, kw):
            row, column = i * sh - top + u * dh, j * sw - left + v * dw
            inside = 0 <= row < H and 0 <= column < W
            pixel = x[n, first + c, row, column] if inside else x.dtype.type(0)  # beyond the border lie zeros
            total = total + pixel * weight[f, c, u, v]
        y[n, f, i, j] = total
    return y


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
    """Correlate images with filters.

    y[n, f, i, j] = b[f] + Σ_{c,u,v} x[n, c, i·s + u·d − p, j·s + v·d − p] · w[f, c, u, v], zeros beyond the border.

    x (N, C, H, W), weight (C_out, C // groups, kh, kw), bias (C_out,) → (N, C_out, H_out, W_out). Options as in
    `torch.nn.functional.conv2d`; `padding` may also be ((top, bottom), (left, right)). A flat pair is (height, width).
    Float32 or float64 in, the same out. Raises ValueError, naming the argument, for anything else, for channels that
    do not match and for a kernel larger than the padded input. LeCun et al. (1998), section II.A,
    https://doi.org/10.1109/5.726791.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.array([[[[1.0, 0.0], [0.0, -1.0]]]]))[0, 0]
    array([[-4., -4.],
           [-4., -4.]])
    """
    return _conv(2, x, weight, bias, groups, stride=stride, padding=padding, dilation=dilation)


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
    """Return (grad_x, grad_weight, grad_bias) of `conv2d`, given grad_output (N, C_out, H_out, W_out).

    Pixels that no window covered get a gradient of zero. Raises ValueError as `conv2d` does, and where `grad_output`
    does not have the shape of its output.

    >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> grad_x, grad_weight, grad_bias = conv2d_backward(np.ones((1, 1, 2, 2)), x, weight)
    >>> grad_x[0, 0]  # how many windows each pixel lies in
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    return _conv_backward(2, grad_output, x, weight, groups, stride=stride, padding=padding, dilation=dilation)


def conv3d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> np.ndarray:
    """Correlate volumes, or clips of film, with filters: `conv2d` along three axes.

    x (N, C, D, H, W), weight (C_out, C // groups, kd, kh, kw), bias (C_out,) → (N, C_out, D_out, H_out, W_out).
    Options as in `torch.nn.functional.conv3d`; `padding` may also be three pairs. Three numbers are (depth, height,
    width). Raises ValueError as `conv2d` does. Tran et al. (2015), https://arxiv.org/abs/1412.0767.

    >>> conv3d(np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 2, 3, 3)))
    array([[[[[18.]],
    <BLANKLINE>
             [[18.]]]]])
    """
    return _conv(3, x, weight, bias, groups, stride=stride, padding=padding, dilation=dilation)


def conv3d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `conv3d`, given grad_output (N, C_out, D_out, H_out, W_out).

    >>> x, weight = np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 2, 3, 3))
    >>> grad_x, _, _ = conv3d_backward(np.ones((1, 1, 2, 1, 1)), x, weight)
    >>> grad_x[0, 0, :, 0, 0]  # the middle slice lies in both windows
    array([1., 2., 1.])
    """
    return _conv_backward(3, grad_output, x, weight, groups, stride=stride, padding=padding, dilation=dilation)
