"""The core of every convolution in torch, on any device: forward by torch's kernels, gradients as convolutions again.

The twin in `cnnlib.ops_numpy._correlation` cuts windows out and adds them back; here the same gradients are written as
the convolutions that they are. Two derivations that agree are worth more than one written twice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib.geometry import Geometry

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSES = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def flat_pads(padding: tuple[tuple[int, int], ...]) -> list[int]:
    """Return ((top, bottom), (left, right)) in the order of `F.pad`: last axis first."""
    return [amount for pair in reversed(padding) for amount in pair]


def crop(x: torch.Tensor, start: tuple[int, ...], size: tuple[int, ...]) -> torch.Tensor:
    """Cut (N, C, *size) out of x, from `start` on."""
    return x[(slice(None), slice(None), *(slice(s, s + n) for s, n in zip(start, size, strict=True)))]


def correlate(x: torch.Tensor, weight: torch.Tensor, geometry: Geometry, groups: int) -> torch.Tensor:
    """Return the correlation of x with the filters: (N, C, *input_size) → (N, C_out, *output_size)."""
    conv = CONVOLUTIONS[x.ndim - 2]
    padded = F.pad(x, flat_pads(geometry.padding))
    y = conv(padded, weight, stride=geometry.stride, dilation=geometry.dilation, groups=groups)
    return crop(y, (0,) * (x.ndim - 2), geometry.output_size)


def correlate_adjoint(
    grad_output: torch.Tensor, weight: torch.Tensor, geometry: Geometry, groups: int, input_size: tuple[int, ...]
) -> torch.Tensor:
    """Return the gradient of `correlate` in x: a full convolution of grad_output, spread out by the stride."""
    transpose = TRANSPOSES[grad_output.ndim - 2]
    full = transpose(grad_output, weight, stride=geometry.stride, dilation=geometry.dilation, groups=groups)
    starts = tuple(before for before, _ in geometry.padding)
    missing = [
        (0, max(0, start + size - reached))  # what no window covered
        for start, size, reached in zip(starts, input_size, full.shape[2:], strict=True)
    ]
    return crop(F.pad(full, flat_pads(tuple(missing))), starts, input_size)


def correlate_weight(
    grad_output: torch.Tensor, x: torch.Tensor, geometry: Geometry, groups: int, shape: tuple[int, ...]
) -> torch.Tensor:
    """Correlate x with grad_output, images in the place of channels; stride and dilation change places too."""
    N, C = x.shape[:2]
    if N == 0:
        return grad_output.new_zeros(shape)
    conv = CONVOLUTIONS[x.ndim - 2]
    padded = F.pad(x, flat_pads(geometry.padding))
    maps = padded.reshape(N, groups, C // groups, *padded.shape[2:]).transpose(0, 2)  # (C/g, g, N, *padded size)
    products = conv(
        maps.reshape(C // groups, groups * N, *padded.shape[2:]),
        grad_output.transpose(0, 1),  # (C_out, N, *output_size)
        stride=geometry.dilation,
        dilation=geometry.stride,
        groups=groups,
    )  # (C/g, C_out, at least *kernel_size)
    return crop(products, (0,) * len(geometry.kernel_size), geometry.kernel_size).transpose(0, 1)
