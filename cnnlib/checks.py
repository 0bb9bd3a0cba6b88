"""What both twins check of their arrays, once, at the public boundary.

Every refusal is a ValueError that names the argument, says what it is, and what was expected.
"""

from __future__ import annotations

from typing import Any

from cnnlib.shapes import check_groups

FLOATS = ("float32", "float64")


def dtype_name(value: Any) -> str:
    """Return "float32" for both numpy's and torch's float32."""
    return str(value.dtype).removeprefix("torch.")


def floating(name: str, value: Any, array_type: Any, axes: str | None = None) -> None:
    """Check that `value` is a float32 or float64 array whose axes are `axes`, such as "N, C, H, W".

    The batch axis N may be empty; no other may. `axes=None` allows any shape.
    """
    if not isinstance(value, array_type):
        raise ValueError(
            f"{name} is a {type(value).__module__}.{type(value).__name__}; "
            f"expected a {array_type.__module__}.{array_type.__name__}"
        )
    if dtype_name(value) not in FLOATS:
        raise ValueError(f"{name} has dtype {dtype_name(value)}; expected float32 or float64")
    if axes is None:
        return
    shape, names = tuple(value.shape), axes.split(", ")
    if len(shape) != len(names):
        raise ValueError(f"{name} has shape {shape}; expected {len(names)} axes ({axes})")
    empty = [axis for axis, size in zip(names, shape, strict=True) if size == 0 and axis != "N"]
    if empty:
        raise ValueError(f"{name} has shape {shape}; expected no axis but N to be empty ({axes})")


def like(name: str, value: Any, other_name: str, other: Any) -> None:
    """Check that two arrays share dtype and device."""
    if value.dtype != other.dtype:
        raise ValueError(f"{name} has dtype {dtype_name(value)}; expected {dtype_name(other)}, that of {other_name}")
    if getattr(value, "device", None) != getattr(other, "device", None):
        raise ValueError(f"{name} is on {value.device}; expected {other.device}, where {other_name} is")


def shaped(name: str, value: Any, shape: tuple[int, ...], array_type: type) -> None:
    """Check that `value` is a floating array of exactly this shape."""
    floating(name, value, array_type)
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}; expected {shape}")


def conv_operands(x: Any, weight: Any, bias: Any, groups: int, array_type: type) -> None:
    """Check the operands of a 2-D convolution: x (N, C, H, W), weight (C_out, C // groups, kh, kw), bias (C_out,)."""
    floating("x", x, array_type, "N, C, H, W")
    floating("weight", weight, array_type, "C_out, C_in // groups, kh, kw")
    like("weight", weight, "x", x)
    check_groups(x.shape[1], weight.shape[0], groups)
    if weight.shape[1] * groups != x.shape[1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected {x.shape[1] // groups} in its second axis, "
            f"the {x.shape[1]} channels of x over groups {groups}"
        )
    if bias is not None:
        shaped("bias", bias, (weight.shape[0],), array_type)
        like("bias", bias, "x", x)


def conv_transpose_operands(x: Any, weight: Any, bias: Any, groups: int, array_type: type) -> None:
    """Check those of a transposed one: x (N, C, H, W), weight (C, C_out // groups, kh, kw), bias (C_out,)."""
    floating("x", x, array_type, "N, C, H, W")
    floating("weight", weight, array_type, "C_in, C_out // groups, kh, kw")
    like("weight", weight, "x", x)
    check_groups(x.shape[1], weight.shape[1] * groups, groups)
    if weight.shape[0] != x.shape[1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected {x.shape[1]} in its first axis, the channels of x"
        )
    if bias is not None:
        shaped("bias", bias, (weight.shape[1] * groups,), array_type)
        like("bias", bias, "x", x)


def linear_operands(x: Any, weight: Any, bias: Any, array_type: type) -> None:
    """Check x (…, in_features), weight (out_features, in_features), bias (out_features,)."""
    floating("x", x, array_type)
    floating("weight", weight, array_type, "out_features, in_features")
    like("weight", weight, "x", x)
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected {weight.shape[1]} in its last axis, as in weight")
    if bias is not None:
        shaped("bias", bias, (weight.shape[0],), array_type)
        like("bias", bias, "x", x)


def choice(name: str, value: Any, options: tuple[str, ...]) -> None:
    """Check that `value` is one of `options`."""
    if value not in options:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, options))}")
