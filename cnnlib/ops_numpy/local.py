"""Local connection without shared weights: windows as in a convolution, but every position has filters of its own.

Each position is a linear layer of its own from its window to C_out numbers: one small product of matrices per position.
"""

from __future__ import annotations

import math

import numpy as np

from cnnlib.checks import like, shaped
from cnnlib.checks.conv import local_operands
from cnnlib.geometry import IntOrTuple, Padding, conv_geometry
from cnnlib.ops_numpy._windows import patches, scatter_patches


def _by_position(values: np.ndarray, groups: int) -> np.ndarray:
    """Turn (N, C, oh, ow, *taps) into rows for the product of each position, (oh, ow, groups, N, C/groups · taps)."""
    N, C, oh, ow, *taps = values.shape
    rows = np.moveaxis(values, (2, 3), (0, 1)).reshape(oh, ow, N, groups, C // groups * math.prod(taps))
    return rows.swapaxes(2, 3)


def _filters(weight: np.ndarray, groups: int) -> np.ndarray:
    """Return the filters as rows, (oh, ow, groups, C_out/groups, C/groups · taps)."""
    oh, ow, C_out = weight.shape[:3]
    return weight.reshape(oh, ow, groups, C_out // groups, math.prod(weight.shape[3:]))


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def locally_connected2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> np.ndarray:
    """Apply to the window at (i, j) the filters weight[i, j] and the biases bias[i, j].

    y[n, f, i, j] = b[i, j, f] + Σ_{c,u,v} x[n, c, i·s + u·d − p, j·s + v·d − p] · w[i, j, f, c, u, v].

    x (N, C, H, W), weight (H_out, W_out, C_out, C // groups, kh, kw), bias (H_out, W_out, C_out) →
    (N, C_out, H_out, W_out): weight[i, j] is laid out as the weight of `conv2d`, which is what this becomes where all
    weight[i, j] are equal. Options as in `conv2d`. Torch has no such function. Raises ValueError as `conv2d` does, and
    where weight does not hold one bank of filters per position. Taigman et al. (2014), section 3,
    https://doi.org/10.1109/CVPR.2014.220.

    >>> weight = np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1, 1, 1)
    >>> locally_connected2d(np.array([[[[1.0, 2.0, 3.0]]]]), weight)
    array([[[[  1.,  20., 300.]]]])
    """
    groups = local_operands(x, weight, bias, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[4:], stride=stride, padding=padding, dilation=dilation)
    shaped("weight", weight, (*geometry.output_size, *weight.shape[2:]), np.ndarray)
    inputs = _by_position(patches(x, geometry), groups)  # (oh, ow, groups, N, C/groups · taps)
    outputs = inputs @ _filters(weight, groups).swapaxes(3, 4)  # (oh, ow, groups, N, C_out/groups)
    y = outputs.transpose(3, 2, 4, 0, 1).reshape(len(x), weight.shape[2], *geometry.output_size)
    return y if bias is None else y + bias.transpose(2, 0, 1)


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def locally_connected2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `locally_connected2d`, given grad_output (N, C_out, H_out, W_out).

    Nothing is shared, so the gradients of the filters are summed over the images alone.

    >>> x, weight = np.array([[[[1.0, 2.0, 3.0]]]]), np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1, 1, 1)
    >>> grad_x, grad_weight, grad_bias = locally_connected2d_backward(np.ones((1, 1, 1, 3)), x, weight)
    >>> grad_x, grad_weight.ravel()
    (array([[[[  1.,  10., 100.]]]]), array([1., 2., 3.]))
    """
    groups = local_operands(x, weight, None, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[4:], stride=stride, padding=padding, dilation=dilation)
    shaped("weight", weight, (*geometry.output_size, *weight.shape[2:]), np.ndarray)
    shaped("grad_output", grad_output, (len(x), weight.shape[2], *geometry.output_size), np.ndarray)
    like("grad_output", grad_output, "x", x)
    gradients = _by_position(grad_output, groups)  # (oh, ow, groups, N, C_out/groups)
    grad_weight = gradients.swapaxes(3, 4) @ _by_position(patches(x, geometry), groups)
    rows = (gradients @ _filters(weight, groups)).swapaxes(2, 3)  # (oh, ow, N, groups, C/groups · taps)
    windows = rows.reshape(*geometry.output_size, *x.shape[:2], *geometry.kernel_size)
    grad_x = scatter_patches(np.moveaxis(windows, (0, 1), (4, 5)), geometry, x.shape[2:])
    return grad_x, grad_weight.reshape(weight.shape), grad_output.sum(axis=0).transpose(1, 2, 0)
