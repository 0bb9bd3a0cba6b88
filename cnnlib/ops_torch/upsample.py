"""Upsampling in torch, on any device, one axis after another: the twins of `cnnlib.ops_numpy.upsample`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cnnlib import checks
from cnnlib.geometry import IntOrTuple, as_flag, as_ints
from cnnlib.ops_torch._axes import scatter_axis


def _nearest(pixels: int, output: int, ratio: float, device: torch.device) -> torch.Tensor:
    """Return the pixel that each output position reads, along one axis."""
    positions = torch.arange(output, device=device)
    if output in (pixels, 2 * pixels):
        return positions // (output // pixels)
    return (positions.float() * ratio).long().clamp(max=pixels - 1)


def upsample_nearest2d(
    x: torch.Tensor, *, size: IntOrTuple | None = None, scale_factor: float | Sequence[float] | None = None
) -> torch.Tensor:
    """Repeat pixels: the twin of `cnnlib.ops_numpy.upsample_nearest2d`, which says all.

    >>> upsample_nearest2d(torch.tensor([[[[1.0, 2.0]]]]), size=(1, 5))
    tensor([[[[1., 1., 1., 2., 2.]]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    sizes, ratios = checks.pool.upsample_size(x.shape[2:], size, scale_factor)
    for axis, (output, ratio) in enumerate(zip(sizes, ratios, strict=True), 2):
        x = x.index_select(axis, _nearest(x.shape[axis], output, ratio, x.device))
    return x


def upsample_nearest2d_backward(
    grad_output: torch.Tensor,
    *,
    input_size: IntOrTuple,
    size: IntOrTuple | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> torch.Tensor:
    """Add each gradient to the pixel that was repeated.

    >>> upsample_nearest2d_backward(torch.ones(1, 1, 1, 5), input_size=(1, 2), size=(1, 5))
    tensor([[[[3., 2.]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    before = as_ints("input_size", input_size, 2, 1)
    sizes, ratios = checks.pool.upsample_size(before, size, scale_factor)
    checks.shaped("grad_output", grad_output, (*grad_output.shape[:2], *sizes), torch.Tensor)
    grad = grad_output
    for axis, (pixels, output, ratio) in enumerate(zip(before, sizes, ratios, strict=True), 2):
        grad = scatter_axis(grad, axis, _nearest(pixels, output, ratio, grad.device), pixels)
    return grad


def _neighbours(
    pixels: int, output: int, ratio: float, align_corners: bool, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return, for each output position along one axis, the pixel before, the pixel after, and the weight of the latter.

    Positions are in the dtype of `like`, as in `torch.nn.functional.interpolate`.
    """
    positions = torch.arange(output, dtype=like.dtype, device=like.device)
    if output == pixels:
        return positions.long(), positions.long(), torch.zeros_like(positions)
    if align_corners:
        places = positions * ((pixels - 1) / max(output - 1, 1))
    else:
        places = ((positions + 0.5) * ratio - 0.5).clamp(min=0)
    before = places.long().clamp(max=pixels - 1)
    return before, (before + 1).clamp(max=pixels - 1), (places - before).clamp(0, 1)


def upsample_bilinear2d(
    x: torch.Tensor,
    *,
    size: IntOrTuple | None = None,
    scale_factor: float | Sequence[float] | None = None,
    align_corners: bool = False,
) -> torch.Tensor:
    """Weigh the pixels around each output position: the twin of `cnnlib.ops_numpy.upsample_bilinear2d`, which says all.

    >>> upsample_bilinear2d(torch.tensor([[[[0.0, 4.0]]]]), size=(1, 4))
    tensor([[[[0., 1., 3., 4.]]]])
    """
    checks.floating("x", x, torch.Tensor, "N, C, H, W")
    align_corners = as_flag("align_corners", align_corners)
    sizes, ratios = checks.pool.upsample_size(x.shape[2:], size, scale_factor)
    for axis in (3, 2):
        low, high, weight = _neighbours(x.shape[axis], sizes[axis - 2], ratios[axis - 2], align_corners, x)
        weight = weight if axis == 3 else weight[:, None]
        x = (1 - weight) * x.index_select(axis, low) + weight * x.index_select(axis, high)
    return x


def upsample_bilinear2d_backward(
    grad_output: torch.Tensor,
    *,
    input_size: IntOrTuple,
    size: IntOrTuple | None = None,
    scale_factor: float | Sequence[float] | None = None,
    align_corners: bool = False,
) -> torch.Tensor:
    """Give each of the four pixels its share of the gradient, by the same weights.

    >>> upsample_bilinear2d_backward(torch.ones(1, 1, 1, 3), input_size=(1, 2), size=(1, 3))
    tensor([[[[1.5000, 1.5000]]]])
    """
    checks.floating("grad_output", grad_output, torch.Tensor, "N, C, H_out, W_out")
    align_corners, before = as_flag("align_corners", align_corners), as_ints("input_size", input_size, 2, 1)
    sizes, ratios = checks.pool.upsample_size(before, size, scale_factor)
    checks.shaped("grad_output", grad_output, (*grad_output.shape[:2], *sizes), torch.Tensor)
    grad = grad_output
    for axis, (pixels, output, ratio) in enumerate(zip(before, sizes, ratios, strict=True), 2):
        low, high, weight = _neighbours(pixels, output, ratio, align_corners, grad)
        weight = weight[:, None] if axis == 2 else weight
        left, right = (scatter_axis(w * grad, axis, at, pixels) for w, at in ((1 - weight, low), (weight, high)))
        grad = left + right
    return grad
