"""Transposed convolution: the transpose of the matrix of a convolution, not its inverse.

Forward and backward change places with those of `conv.py`: what gives the gradient of the input there is the output
here, and the gradient of the input is a convolution again. It is also called, less aptly, deconvolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnlib.checks import like, shaped
from cnnlib.checks.conv import conv_transpose_operands
from cnnlib.geometry import IntOrTuple, Padding, conv_transpose_geometry
from cnnlib.ops_numpy._correlation import correlate, correlate_adjoint, correlate_weight


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def _conv_transpose(
    rank: int, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, groups: int, **layout: Any
) -> np.ndarray:
    groups = conv_transpose_operands(rank, x, weight, bias, groups, np.ndarray)
    geometry, output_size = conv_transpose_geometry(x.shape[2:], weight.shape[2:], **layout)
    y = correlate_adjoint(x, weight, geometry, groups, output_size)
    if bias is not None:
        y += bias.reshape(-1, *[1] * rank)
    return y


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def _conv_transpose_backward(
    rank: int, grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, groups: int, **layout: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    groups = conv_transpose_operands(rank, x, weight, None, groups, np.ndarray)
    geometry, output_size = conv_transpose_geometry(x.shape[2:], weight.shape[2:], **layout)
    shaped("grad_output", grad_output, (x.shape[0], weight.shape[1] * groups, *output_size), np.ndarray)
    like("grad_output", grad_output, "x", x)
    grad_x = correlate(grad_output, weight, geometry, groups)
    grad_weight = correlate_weight(x, grad_output, geometry, groups, weight.shape)
    return grad_x, grad_weight, grad_output.sum(axis=(0, *range(2, 2 + rank)))


def conv_transpose1d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> np.ndarray:
    """Apply the transpose of `conv1d`: `conv_transpose2d` along one axis.

    x (N, C, L), weight (C, C_out // groups, k), bias (C_out,) → (N, C_out, L_out). Options as in
    `torch.nn.functional.conv_transpose1d`; `padding` also as in `conv1d`. Raises ValueError as `conv2d` does.

    >>> conv_transpose1d(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0]]]), stride=2, output_padding=1)
    array([[[ 1., 10.,  2., 20.,  0.]]])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose(1, x, weight, bias, groups, **layout)


def conv_transpose1d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `conv_transpose1d`, given grad_output (N, C_out, L_out).

    >>> x, weight = np.ones((1, 1, 2)), np.array([[[1.0, 10.0]]])
    >>> conv_transpose1d_backward(np.array([[[1.0, 2.0, 3.0]]]), x, weight)[0]
    array([[[21., 32.]]])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose_backward(1, grad_output, x, weight, groups, **layout)


def conv_transpose2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> np.ndarray:
    """Apply the transpose of `conv2d`'s matrix: every pixel of x stamps the kernel, scaled, into a larger output.

    x (N, C, H, W), weight (C, C_out // groups, kh, kw), bias (C_out,) → (N, C_out, H_out, W_out) with
    H_out = s(H − 1) + d(kh − 1) + 1 − padding + output_padding. `padding` cuts the *output*; `output_padding` adds rows
    at its end, and so says which of the sizes that a strided `conv2d` maps to H is meant. Options as in
    `torch.nn.functional.conv_transpose2d`; `padding` also as in `conv2d`, where "same" cuts the odd row at the end.
    Raises ValueError as `conv2d` does. Zeiler et al. (2010), https://doi.org/10.1109/CVPR.2010.5539957.

    >>> conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 3)), stride=2)
    array([[[[1., 1., 3., 2., 2.]]]])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose(2, x, weight, bias, groups, **layout)


def conv_transpose2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `conv_transpose2d`: its transpose is the convolution again.

    >>> x, weight = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))
    >>> [g.shape for g in conv_transpose2d_backward(np.ones((1, 1, 5, 5)), x, weight, stride=2)]
    [(1, 1, 2, 2), (1, 1, 3, 3), (1,)]
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose_backward(2, grad_output, x, weight, groups, **layout)


def conv_transpose3d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> np.ndarray:
    """Apply the transpose of `conv3d`: `conv_transpose2d` along three axes.

    x (N, C, D, H, W), weight (C, C_out // groups, kd, kh, kw), bias (C_out,) → (N, C_out, D_out, H_out, W_out).
    Options as in `torch.nn.functional.conv_transpose3d`; `padding` also as in `conv3d`. Raises ValueError as `conv2d`
    does.

    >>> conv_transpose3d(np.ones((1, 1, 2, 1, 1)), np.ones((1, 1, 2, 1, 1)))[0, 0, :, 0, 0]
    array([1., 2., 1.])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose(3, x, weight, bias, groups, **layout)


def conv_transpose3d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `conv_transpose3d`.

    >>> x, weight = np.ones((1, 1, 2, 1, 1)), np.ones((1, 1, 2, 1, 1))
    >>> conv_transpose3d_backward(np.ones((1, 1, 3, 1, 1)), x, weight)[0][0, 0, :, 0, 0]
    array([2., 2.])
    """
    layout = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    return _conv_transpose_backward(3, grad_output, x, weight, groups, **layout)
