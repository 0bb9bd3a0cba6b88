"""Blurring before subsampling in torch, on any device: the twins of `cnnlib.ops_numpy.blur_pool`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from cnnlib import checks
from cnnlib.geometry import IntOrTuple, as_ints
from cnnlib.ops_torch._axes import scatter_axis


def _binomial(kernel: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Return the filter of every channel, (1, 1, kh, kw), which sums to 1."""
    down, across = (like.new_tensor([math.comb(k - 1, i) / 2 ** (k - 1) for i in range(k)]) for k in kernel)
    return (down[:, None] * across)[None, None]


def blur_pool2d(x: torch.Tensor, kernel_size: IntOrTuple, *, stride: IntOrTuple = 2) -> torch.Tensor:
    """Blur each channel, then keep every `stride`-th pixel: the twin of `cnnlib.ops_numpy.blur_pool2d`, which says all.

    >>> blur_pool2d(torch.tensor([[[[0.0, 0.0, 4.0, 0.0, 0.0]]]]), (1, 3))
    tensor([[[[0., 2., 0.]]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    kernel, strides, ((top, bottom), (left, right)) = checks.pool.blur_options(x.shape[2:], kernel_size, stride)
    N, C = x.shape[:2]
    padded = F.pad(x, (left, right, top, bottom), mode="reflect")
    y = F.conv2d(padded.reshape(N * C, 1, *padded.shape[2:]), _binomial(kernel, x), stride=strides)
    return y.reshape(N, C, *y.shape[2:])


def blur_pool2d_backward(
    grad_output: torch.Tensor, kernel_size: IntOrTuple, *, input_size: IntOrTuple, stride: IntOrTuple = 2
) -> torch.Tensor:
    """Spread each gradient by the filter, a transposed convolution, and fold the mirrored border back.

    >>> blur_pool2d_backward(torch.tensor([[[[0.0, 4.0, 0.0]]]]), (1, 3), input_size=(1, 5))
    tensor([[[[0., 1., 2., 1., 0.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    size = as_ints("input_size", input_size, 2, 1)
    kernel, strides, pads = checks.pool.blur_options(size, kernel_size, stride)
    shape = (*grad_output.shape[:2], *(-(-n // s) for n, s in zip(size, strides, strict=True)))
    checks.shaped("grad_output", grad_output, shape, torch.Tensor)
    maps = grad_output.reshape(-1, 1, *shape[2:])
    grad = F.conv_transpose2d(maps, _binomial(kernel, maps), stride=strides)
    for axis, ((before, _), pixels) in enumerate(zip(pads, size, strict=True), 2):
        positions = torch.arange(grad.shape[axis], device=grad.device) - before
        mirrored = pixels - 1 - (pixels - 1 - positions.abs()).abs()  # −1 is 1, and beyond the last as far back
        grad = scatter_axis(grad, axis, mirrored, pixels)
    return grad.reshape(*shape[:2], *size)
