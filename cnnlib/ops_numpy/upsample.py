"""Upsampling (or downsampling, without a blur): every pixel of the output asks where it lies in the input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnlib import checks
from cnnlib.geometry import IntOrTuple, as_flag, as_ints


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def _add_back(grad: np.ndarray, axis: int, pixels: np.ndarray, size: int) -> np.ndarray:
    """Add each row of `grad` along an axis to the pixel that it was read from: the adjoint of reading them."""
    grad = np.moveaxis(grad, axis, 0)
    total = np.zeros((size, *grad.shape[1:]), grad.dtype)
    for pixel, row in zip(pixels, grad, strict=True):
        total[pixel] += row
    return np.moveaxis(total, 0, axis)


def _nearest(pixels: int, output: int, ratio: float) -> np.ndarray:
    """Return the pixel that each output position reads, along one axis."""
    positions = np.arange(output)
    if output == pixels:
        return positions
    if output == 2 * pixels:
        return positions // 2
    return np.minimum((positions.astype(np.float32) * np.float32(ratio)).astype(np.int64), pixels - 1)


def upsample_nearest2d(
    x: np.ndarray, *, size: IntOrTuple | None = None, scale_factor: float | Sequence[float] | None = None
) -> np.ndarray:
    """Repeat pixels: y[i, j] = x[⌊i·H/H_out⌋, ⌊j·W/W_out⌋], x (N, C, H, W) → (N, C, H_out, W_out).

    Give `size`, the output's, or `scale_factor`, of which the output's is the floor; each a number or a pair (height,
    width). This is `torch.nn.functional.interpolate(x, size, scale_factor)`, with what it does on a CPU: a factor f
    reads ⌊i/f⌋ instead, unless the output is as large as the input or twice as large, and float32 rounds i·H/H_out.
    Raises ValueError, naming the argument, unless exactly one of the two is given and leaves a pixel. Odena, Dumoulin
    and Olah, "Deconvolution and checkerboard artifacts" (2016), https://doi.org/10.23915/distill.00003, say why one
    would upsample so, before a convolution.

    >>> upsample_nearest2d(np.array([[[[1.0, 2.0]]]]), size=(1, 5))
    array([[[[1., 1., 1., 2., 2.]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    sizes, ratios = checks.pool.upsample_size(x.shape[2:], size, scale_factor)
    rows, columns = map(_nearest, x.shape[2:], sizes, ratios)
    return x[:, :, rows[:, None], columns]


def upsample_nearest2d_backward(
    grad_output: np.ndarray,
    *,
    input_size: IntOrTuple,
    size: IntOrTuple | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> np.ndarray:
    """Add each gradient to the pixel that was repeated. Returns grad_x (N, C, *input_size).

    >>> upsample_nearest2d_backward(np.ones((1, 1, 1, 5)), input_size=(1, 2), size=(1, 5))
    array([[[[3., 2.]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    before = as_ints("input_size", input_size, 2, 1)
    sizes, ratios = checks.pool.upsample_size(before, size, scale_factor)
    checks.shaped("grad_output", grad_output, (*grad_output.shape[:2], *sizes), np.ndarray)
    rows, columns = map(_nearest, before, sizes, ratios)
    return _add_back(_add_back(grad_output, 3, columns, before[1]), 2, rows, before[0])


def _neighbours(
    pixels: int, output: int, ratio: float, align_corners: bool, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each output position along one axis, the pixel before, the pixel after, and the weight of the latter.

    Positions are in `dtype`, whose float32 rounds them as torch's does.
    """
    positions = np.arange(output, dtype=dtype)
    if output == pixels:
        return np.arange(pixels), np.arange(pixels), np.zeros_like(positions)
    if align_corners:
        places = positions * dtype.type((pixels - 1) / max(output - 1, 1))
    else:
        places = np.maximum((positions + 0.5) * dtype.type(ratio) - 0.5, 0)
    before = np.minimum(places.astype(np.int64), pixels - 1)
    return before, np.minimum(before + 1, pixels - 1), np.clip(places - before, 0, 1).astype(dtype)


def upsample_bilinear2d(
    x: np.ndarray,
    *,
    size: IntOrTuple | None = None,
    scale_factor: float | Sequence[float] | None = None,
    align_corners: bool = False,
) -> np.ndarray:
    """Weigh the four pixels around each output position: x (N, C, H, W) → (N, C, H_out, W_out).

    `size` and `scale_factor` as in `upsample_nearest2d`. Pixels are squares whose *outer edges* the two images share:
    output i lies at (i + ½)·H/H_out − ½, and beyond the outermost centres the border is repeated. With `align_corners`
    the *centres* of their corner pixels coincide: it lies at i·(H − 1)/(H_out − 1). This is
    `torch.nn.functional.interpolate` with mode="bilinear" and its default; the deprecated
    `torch.nn.functional.upsample_bilinear` aligned corners always. As in torch, a weight of 0 does not silence an
    infinite pixel, 0 · ∞ = NaN. Raises ValueError as `upsample_nearest2d` does. Long, Shelhamer and Darrell (2015),
    section 3.3, https://arxiv.org/abs/1411.4038.

    >>> upsample_bilinear2d(np.array([[[[0.0, 4.0]]]]), size=(1, 4))
    array([[[[0., 1., 3., 4.]]]])
    >>> upsample_bilinear2d(np.array([[[[0.0, 3.0]]]]), size=(1, 4), align_corners=True)
    array([[[[0., 1., 2., 3.]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    align_corners = as_flag("align_corners", align_corners)
    sizes, ratios = checks.pool.upsample_size(x.shape[2:], size, scale_factor)
    (top, bottom, v), (left, right, u) = (
        _neighbours(*axis, align_corners, x.dtype) for axis in zip(x.shape[2:], sizes, ratios, strict=True)
    )
    top, bottom, v = top[:, None], bottom[:, None], v[:, None]
    with np.errstate(invalid="ignore"):
        above = (1 - u) * x[:, :, top, left] + u * x[:, :, top, right]
        below = (1 - u) * x[:, :, bottom, left] + u * x[:, :, bottom, right]
        return (1 - v) * above + v * below


def upsample_bilinear2d_backward(
    grad_output: np.ndarray,
    *,
    input_size: IntOrTuple,
    size: IntOrTuple | None = None,
    scale_factor: float | Sequence[float] | None = None,
    align_corners: bool = False,
) -> np.ndarray:
    """Give each of the four pixels its share of the gradient, by the same weights. Returns grad_x (N, C, *input_size).

    >>> upsample_bilinear2d_backward(np.ones((1, 1, 1, 3)), input_size=(1, 2), size=(1, 3))
    array([[[[1.5, 1.5]]]])
    """
    checks.floating("grad_output", grad_output, np.ndarray, "N, C, H_out, W_out")
    align_corners, before = as_flag("align_corners", align_corners), as_ints("input_size", input_size, 2, 1)
    sizes, ratios = checks.pool.upsample_size(before, size, scale_factor)
    checks.shaped("grad_output", grad_output, (*grad_output.shape[:2], *sizes), np.ndarray)
    grad = grad_output
    for axis in (3, 2):
        pixels, output, ratio = before[axis - 2], sizes[axis - 2], ratios[axis - 2]
        low, high, weight = _neighbours(pixels, output, ratio, align_corners, grad.dtype)
        weight = weight if axis == 3 else weight[:, None]
        with np.errstate(invalid="ignore"):
            grad = _add_back((1 - weight) * grad, axis, low, pixels) + _add_back(weight * grad, axis, high, pixels)
    return grad
