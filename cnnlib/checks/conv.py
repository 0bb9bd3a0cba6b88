"""What both twins check of the operands of convolutions, of one to three spatial axes, beyond `cnnlib.checks`."""

from __future__ import annotations

import math
from typing import Any

from cnnlib.checks.arrays import floating, like, shaped
from cnnlib.geometry import Geometry, as_groups, as_int

SPATIAL = {1: "L", 2: "H, W", 3: "D, H, W"}
KERNEL = {1: "k", 2: "kh, kw", 3: "kd, kh, kw"}


def conv_operands(rank: int, x: Any, weight: Any, bias: Any, groups: Any, array_type: type) -> int:
    """Check the operands of a convolution over `rank` axes and return `groups` as an int.

    x (N, C, *size), weight (C_out, C // groups, *kernel_size), bias (C_out,).
    """
    floating("x", x, array_type, f"N, C, {SPATIAL[rank]}")
    floating("weight", weight, array_type, f"C_out, C_in // groups, {KERNEL[rank]}")
    like("weight", weight, "x", x)
    _, _, groups = as_groups(x.shape[1], weight.shape[0], groups)
    _same_depth(x, weight, 1, groups)
    if bias is not None:
        shaped("bias", bias, (weight.shape[0],), array_type)
        like("bias", bias, "x", x)
    return groups


def conv_transpose_operands(rank: int, x: Any, weight: Any, bias: Any, groups: Any, array_type: type) -> int:
    """Check those of a transposed one and return `groups` as an int.

    x (N, C, *size), weight (C, C_out // groups, *kernel_size), bias (C_out,).
    """
    groups = as_int("groups", groups, 1)
    floating("x", x, array_type, f"N, C, {SPATIAL[rank]}")
    floating("weight", weight, array_type, f"C_in, C_out // groups, {KERNEL[rank]}")
    like("weight", weight, "x", x)
    as_groups(x.shape[1], weight.shape[1] * groups, groups)
    if weight.shape[0] != x.shape[1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected {x.shape[1]} in its first axis, the channels of x"
        )
    if bias is not None:
        shaped("bias", bias, (weight.shape[1] * groups,), array_type)
        like("bias", bias, "x", x)
    return groups


def matrix_operands(weight: Any, groups: Any, array_type: type) -> int:
    """Check the weight (C_out, C // groups, kh, kw) of a convolution alone and return `groups` as an int."""
    floating("weight", weight, array_type, "C_out, C_in // groups, kh, kw")
    groups = as_int("groups", groups, 1)
    return as_groups(weight.shape[1] * groups, weight.shape[0], groups)[2]


def local_operands(x: Any, weight: Any, bias: Any, groups: Any, array_type: type) -> int:
    """Check the operands of a locally connected layer and return `groups` as an int.

    x (N, C, H, W), weight (H_out, W_out, C_out, C // groups, kh, kw), bias (H_out, W_out, C_out).
    """
    floating("x", x, array_type, "N, C, H, W")
    floating("weight", weight, array_type, "H_out, W_out, C_out, C_in // groups, kh, kw")
    like("weight", weight, "x", x)
    _, _, groups = as_groups(x.shape[1], weight.shape[2], groups)
    _same_depth(x, weight, 3, groups)
    if bias is not None:
        shaped("bias", bias, tuple(weight.shape[:3]), array_type)
        like("bias", bias, "x", x)
    return groups


def column_operands(name: str, value: Any, geometry: Geometry, array_type: type) -> None:
    """Check columns (N, C · kh · kw, L), one for each window of `geometry`."""
    floating(name, value, array_type, "N, C · kh · kw, L")
    _, depth, length = value.shape
    taps, windows = math.prod(geometry.kernel_size), math.prod(geometry.output_size)
    if depth % taps:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; expected a multiple of {taps} in its second axis, the taps of "
            f"kernel_size {geometry.kernel_size}"
        )
    if length != windows:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; expected {windows} in its third axis, the windows of "
            f"{geometry.output_size} positions"
        )


def _same_depth(x: Any, weight: Any, axis: int, groups: int) -> None:
    if weight.shape[axis] * groups != x.shape[1]:
        ordinal = {1: "second", 3: "fourth"}[axis]
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected {x.shape[1] // groups} in its {ordinal} axis, "
            f"the {x.shape[1]} channels of x over groups {groups}"
        )
