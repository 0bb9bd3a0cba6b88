"""Power-mean pooling in torch, on any device: the twins of `cnnlib.ops_numpy.lp_pool`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from cnnlib import checks
from cnnlib.geometry import IntOrTuple, as_ints, pool_geometry
from cnnlib.ops_torch.avg_pool import avg_pool2d_backward


def lp_pool2d(
    x: torch.Tensor,
    norm_type: float,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
) -> torch.Tensor:
    """Return (Σ xᵖ)^(1/p) over every window: the twin of `cnnlib.ops_numpy.lp_pool2d`, which says all.

    >>> lp_pool2d(torch.tensor([[[[3.0, 4.0, 5.0, 12.0]]]]), 2, (1, 2))
    tensor([[[[ 5., 13.]]]])
    """
    p = checks.pool.norm_type(norm_type)
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    geometry = pool_geometry(x.shape[2:], kernel_size, stride=stride, ceil_mode=ceil_mode)
    (kh, kw), (sh, sw) = geometry.kernel_size, geometry.stride
    return F.lp_pool2d(x, p, (kh, kw), (sh, sw), bool(ceil_mode))


def lp_pool2d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    norm_type: float,
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
) -> torch.Tensor:
    """Return grad_x: a pixel's part in a window is (k/n) (x / y)ᵖ⁻¹, y the window's result.

    >>> lp_pool2d_backward(torch.tensor([[[[10.0]]]]), torch.tensor([[[[3.0, 4.0]]]]), 2, (1, 2))
    tensor([[[[6., 8.]]]])
    """
    p = checks.pool.norm_type(norm_type)
    y = lp_pool2d(x, p, kernel_size, stride=stride, ceil_mode=ceil_mode)
    checks.shaped("grad_output", grad_output, tuple(y.shape), torch.Tensor)
    checks.like("grad_output", grad_output, "x", x)
    slopes = torch.where(y == 0, 0, y ** (1 - p) * ((y > 0) | (y < 0)))  # NaN · 0 stays NaN, but for p = 1
    taps = math.prod(as_ints("kernel_size", kernel_size, 2, 1))
    shares = avg_pool2d_backward(
        grad_output * slopes * taps, kernel_size, input_size=tuple(x.shape[2:]), stride=stride, ceil_mode=ceil_mode
    )
    return shares * x ** (p - 1)
