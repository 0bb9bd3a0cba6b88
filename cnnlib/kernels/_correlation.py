"""The three products of a convolution, launched: as `cnnlib.ops_torch._correlation`, for two axes, on a GPU."""

from __future__ import annotations

import math
from typing import Any

import torch
import triton

from cnnlib.geometry import Geometry
from cnnlib.kernels import _programs
from cnnlib.kernels._tuning import is_interpreted, tuned

CORRELATE = tuned(_programs.correlate, {"BLOCK_N": "width", "BLOCK_K": "depth"})
ADJOINT = tuned(_programs.correlate_adjoint, {"BLOCK_N": "width", "BLOCK_K": "depth"})
WEIGHT = tuned(_programs.correlate_weight, {"BLOCK_M": "depth", "BLOCK_N": "width"})
INTERPRETED = is_interpreted(_programs.correlate)
LEAST_SHARE = 128  # pixels that are worth a program of their own


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Return x itself, or a copy of it, in the order N, H, W, C of memory."""
    return x.contiguous(memory_format=torch.channels_last)


def _empty_like(x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _arithmetic(dtype: torch.dtype) -> dict[str, Any]:
    """Say how to multiply: float32 as TF32 where torch would let cuDNN do so; a sum and a product round once."""
    tf32 = dtype == torch.float32 and torch.backends.cudnn.allow_tf32
    return {"PRECISION": "tf32" if tf32 else "ieee", "enable_fp_fusion": True}


def _layout(geometry: Geometry) -> dict[str, int]:
    """Return the options of a layer as the programs name them."""
    (top, _), (left, _) = geometry.padding
    pairs = {"OUT": geometry.output_size, "taps": geometry.kernel_size, "stride": geometry.stride}
    pairs["dilation"] = geometry.dilation
    layout = {f"{name}_{axis}": pair[k] for name, pair in pairs.items() for k, axis in enumerate("hw")}
    layout["OUT_H"], layout["OUT_W"] = layout.pop("OUT_h"), layout.pop("OUT_w")
    return {**layout, "top": top, "left": left}


def correlate(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, groups: int
) -> torch.Tensor:
    """Return the correlation of x with the filters, plus the bias: (N, C, H, W) → (N, C_out, H_out, W_out)."""
    N, C, H, W = x.shape
    C_out, depth = weight.shape[:2]
    y = _empty_like(x, (N, C_out, *geometry.output_size))
    rows, width = N * math.prod(geometry.output_size), C_out // groups

    def grid(blocks: dict[str, Any]) -> tuple[int, int]:
        return triton.cdiv(rows, blocks["BLOCK_M"]) * triton.cdiv(width, blocks["BLOCK_N"]), groups

    CORRELATE[grid](
        channels_last(x),
        channels_last(weight),
        y if bias is None else bias.contiguous(),
        y,
        **{"N": N, "H": H, "W": W, "C": C, "C_OUT": C_out, "depth": depth, "width": width},
        **_layout(geometry),
        HAS_BIAS=bias is not None,
        **_arithmetic(x.dtype),
    )
    return y


def correlate_adjoint(
    grad_output: torch.Tensor, weight: torch.Tensor, geometry: Geometry, groups: int, input_size: tuple[int, ...]
) -> torch.Tensor:
    """Return the gradient of `correlate` in x, (N, C, *input_size)."""
    N, C_out = grad_output.shape[:2]
    width, depth, taps = weight.shape[1], C_out // groups, math.prod(geometry.kernel_size)
    filters, (step_depth, step_tap, step_width) = channels_last(weight), (taps * width, width, 1)
    if weight.dtype == torch.float32:  # in TF32 the matrix units take only factors whose summed axis is contiguous
        split = weight.reshape(groups, depth, width, *geometry.kernel_size)
        filters, (step_depth, step_tap, step_width) = (
            split.permute(0, 2, 3, 4, 1).contiguous(),
            (1, depth, taps * depth),
        )
    H, W = input_size
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    grad_x = _empty_like(grad_output, (N, width * groups, H, W))
    rows = N * triton.cdiv(H, sh) * triton.cdiv(W, sw)  # pixels of the largest phase

    def grid(blocks: dict[str, Any]) -> tuple[int, int, int]:
        return triton.cdiv(rows, blocks["BLOCK_M"]) * triton.cdiv(width, blocks["BLOCK_N"]), groups, sh * sw

    ADJOINT[grid](
        channels_last(grad_output),
        filters,
        grad_x,
        **{"N": N, "H": H, "W": W, "C": width * groups, "C_OUT": C_out, "depth": depth, "width": width},
        **_layout(geometry),
        period_h=sh // math.gcd(sh, dh),
        period_w=sw // math.gcd(sw, dw),
        **{"weight_depth": step_depth, "weight_tap": step_tap, "weight_width": step_width},
        **_arithmetic(grad_output.dtype),
    )
    return grad_x


def _splits(rows: int, tiles: int, device: torch.device) -> int:
    """Return into how many sums to cut one over `rows` pixels: two programs to each multiprocessor, if they can be."""
    processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 2
    return max(1, min(2 * processors // tiles, rows // LEAST_SHARE))


def correlate_weight(
    grad_output: torch.Tensor, x: torch.Tensor, geometry: Geometry, groups: int, shape: tuple[int, ...]
) -> torch.Tensor:
    """Return the gradient of `correlate` in the weight, of this shape (C_out, C // groups, kh, kw)."""
    N, C, H, W = x.shape
    C_out, width, kh, kw = shape
    depth = C_out // groups
    rows = N * math.prod(geometry.output_size)
    tiles = kh * kw * groups * triton.cdiv(depth, 128) * triton.cdiv(width, 128)
    share = triton.cdiv(rows, _splits(rows, tiles, x.device))
    partial = x.new_empty((triton.cdiv(rows, share), C_out, kh, kw, width), dtype=torch.float32)

    def grid(blocks: dict[str, Any]) -> tuple[int, int, int]:
        tiles = triton.cdiv(depth, blocks["BLOCK_M"]) * triton.cdiv(width, blocks["BLOCK_N"])
        return tiles * kh * kw, len(partial), groups

    WEIGHT[grid](
        channels_last(grad_output),
        channels_last(x),
        partial,
        **{"N": N, "H": H, "W": W, "C": C, "C_OUT": C_out, "depth": depth, "width": width},
        **_layout(geometry),
        share=share,
        **_arithmetic(x.dtype),
    )
    return partial.sum(dim=0).to(x.dtype).permute(0, 3, 1, 2)  # (C_out, C/groups, kh, kw)
