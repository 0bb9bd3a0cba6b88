"""Blurring before subsampling, so that no detail finer than the new grid folds into it."""

from __future__ import annotations

import numpy as np

from cnnlib import checks
from cnnlib.geometry import IntOrTuple, as_ints


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def blur_pool2d(x: np.ndarray, kernel_size: IntOrTuple, *, stride: IntOrTuple = 2) -> np.ndarray:
    """Blur each channel with a binomial filter, then keep every `stride`-th pixel.

    x (N, C, H, W) → (N, C, ⌈H/s⌉, ⌈W/s⌉). The filter is a row of Pascal's triangle along each axis, (1, 2, 1)/4 for a
    `kernel_size` of 3; the border is mirrored, (k − 1)//2 pixels before and k//2 after. Raises ValueError, naming the
    argument, where there are too few pixels to mirror. Zhang, "Making convolutional networks shift-invariant again"
    (2019), section 3.2, https://arxiv.org/abs/1904.11486; torch.nn.functional has no such function.

    >>> blur_pool2d(np.array([[[[0.0, 0.0, 4.0, 0.0, 0.0]]]]), (1, 3))
    array([[[[0., 2., 0.]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    kernel, (sh, sw), pads = checks.pool.blur_options(x.shape[2:], kernel_size, stride)
    y = np.pad(x, ((0, 0), (0, 0), *pads), mode="reflect")
    for _ in range(kernel[0] - 1):  # the mean of two neighbours, k − 1 times over, is the binomial filter
        y = 0.5 * y[:, :, 1:] + 0.5 * y[:, :, :-1]
    for _ in range(kernel[1] - 1):
        y = 0.5 * y[..., 1:] + 0.5 * y[..., :-1]
    return y[:, :, ::sh, ::sw].copy()


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def blur_pool2d_backward(
    grad_output: np.ndarray, kernel_size: IntOrTuple, *, input_size: IntOrTuple, stride: IntOrTuple = 2
) -> np.ndarray:
    """Spread each gradient as the filter gathered it, and fold the mirrored border back; grad_x (N, C, *input_size).

    >>> blur_pool2d_backward(np.array([[[[0.0, 4.0, 0.0]]]]), (1, 3), input_size=(1, 5))
    array([[[[0., 1., 2., 1., 0.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    size = as_ints("input_size", input_size, 2, 1)
    kernel, strides, pads = checks.pool.blur_options(size, kernel_size, stride)
    shape = (*grad_output.shape[:2], *(-(-n // s) for n, s in zip(size, strides, strict=True)))
    checks.shaped("grad_output", grad_output, shape, np.ndarray)
    grad = np.zeros((*shape[:2], *size), grad_output.dtype)
    grad[:, :, :: strides[0], :: strides[1]] = grad_output
    for axis, (k, pad, pixels) in enumerate(zip(kernel, pads, size, strict=True), 2):
        grad = np.moveaxis(grad, axis, 0)
        for _ in range(k - 1):  # half to each of the two neighbours
            halves, nothing = 0.5 * grad, np.zeros_like(grad[:1])
            grad = np.concatenate([halves, nothing]) + np.concatenate([nothing, halves])
        folded = np.zeros((pixels, *grad.shape[1:]), grad.dtype)
        for row, pixel in zip(grad, np.pad(np.arange(pixels), pad, mode="reflect"), strict=True):
            folded[pixel] += row
        grad = np.moveaxis(folded, 0, axis)
    return grad
