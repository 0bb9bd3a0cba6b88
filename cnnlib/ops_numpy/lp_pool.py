"""Power-mean pooling: between the mean and the maximum of every window."""

from __future__ import annotations

import math

import numpy as np

from cnnlib import checks
from cnnlib.geometry import IntOrTuple, as_ints
from cnnlib.ops_numpy.avg_pool import avg_pool2d, avg_pool2d_backward


def _powers(
    x: np.ndarray, p: float, kernel_size: IntOrTuple, stride: IntOrTuple | None, ceil_mode: bool
) -> tuple[np.ndarray, int]:
    """Return the mean of xᵖ over every window, and the number of taps of a whole window."""
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    with np.errstate(all="ignore"):  # negative numbers to a broken power are NaN
        means = avg_pool2d(x**p, kernel_size, stride=stride, ceil_mode=ceil_mode)
    return means, math.prod(as_ints("kernel_size", kernel_size, 2, 1))


def lp_pool2d(
    x: np.ndarray,
    norm_type: float,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Return (Σ xᵖ)^(1/p) over every window, p = `norm_type` > 0: x (N, C, H, W) → (N, C, H_out, W_out).

    Despite its name this is a norm only for even p, or where x ≥ 0: as in `torch.nn.functional.lp_pool2d` the sum is
    of xᵖ, not of |x|ᵖ. So p = 1 is the plain sum, an odd p lets signs cancel, and a negative sum has no root (NaN)
    unless p = 1. A window that overhangs in ceil mode is scaled up to a whole one: (k/n · Σ xᵖ)^(1/p), n of its k taps
    being pixels. xᵖ may overflow to infinity. Torch reads p = ∞ as the maximum of |x|: take `max_pool2d` for it.
    Raises ValueError, naming the argument, as `avg_pool2d` does, and unless p is a positive number. Sermanet, Chintala
    and LeCun (2012), https://arxiv.org/abs/1204.3968.

    >>> lp_pool2d(np.array([[[[3.0, 4.0, 5.0, 12.0]]]]), 2, (1, 2))
    array([[[[ 5., 13.]]]])
    """
    p = checks.pool.norm_type(norm_type)
    means, taps = _powers(x, p, kernel_size, stride, ceil_mode)
    with np.errstate(all="ignore"):
        return (means * taps) ** (1 / p)


def lp_pool2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    norm_type: float,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Return grad_x = (k/n) xᵖ⁻¹ Σ grad_output · y¹⁻ᵖ, over the windows that a pixel lies in.

    Where a window's sum is 0, y has a kink or an infinite slope: its gradient is 0, as in torch; but for p < 1, where
    a zero pixel then gives 0 · ∞ = NaN. The sum of p = 1 has no such kink: the 0 is torch's there as well, and so is
    the 0 in a window with a NaN.

    >>> lp_pool2d_backward(np.array([[[[10.0]]]]), np.array([[[[3.0, 4.0]]]]), 2, (1, 2))
    array([[[[6., 8.]]]])
    """
    p = checks.pool.norm_type(norm_type)
    means, taps = _powers(x, p, kernel_size, stride, ceil_mode)
    checks.shaped("grad_output", grad_output, means.shape, np.ndarray)
    checks.like("grad_output", grad_output, "x", x)
    with np.errstate(all="ignore"):
        slopes = (means * taps) ** (1 / p - 1) * ((means > 0) | (means < 0))  # y¹⁻ᵖ; NaN · 0 stays NaN
        slopes[means == 0] = 0
        shares = avg_pool2d_backward(
            grad_output * slopes * taps, kernel_size, input_size=x.shape[2:], stride=stride, ceil_mode=ceil_mode
        )
        return shares * x ** (p - 1)
