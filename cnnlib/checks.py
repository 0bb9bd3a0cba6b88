"""What both twins check of their arrays, once, at the public boundary.

Every refusal is a ValueError that names the argument, says what it is, and what was expected.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

from cnnlib.geometry import as_groups, as_int

FLOATS = ("float32", "float64")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
OTHER_ARITHMETIC = ("matrix", "MaskedArray")  # subclasses of numpy.ndarray that do not compute as arrays do


def dtype_name(value: Any) -> str:
    """Return "float32" for both numpy's and torch's float32."""
    return str(value.dtype).removeprefix("torch.")


def floating(name: str, value: Any, array_type: Any, axes: str | None = None) -> None:
    """Check that `value` is a float32 or float64 array whose axes are `axes`, such as "N, C, H, W".

    The batch axis N may be empty; no other may. `axes=None` allows any shape.
    """
    if not isinstance(value, array_type) or type(value).__name__ in OTHER_ARITHMETIC:
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


def integers(name: str, value: Any, shape: tuple[int, ...], array_type: Any) -> None:
    """Check that `value` is an array of integers, not of booleans, of exactly this shape."""
    if not isinstance(value, array_type):
        raise ValueError(f"{name} is {type(value).__name__}; expected integers of shape {shape}")
    if dtype_name(value) not in INTEGERS or tuple(value.shape) != shape:
        raise ValueError(f"{name} is {dtype_name(value)} {tuple(value.shape)}; expected integers of shape {shape}")


def conv_operands(x: Any, weight: Any, bias: Any, groups: int, array_type: type) -> int:
    """Check the operands of a 2-D convolution and return `groups` as an int.

    x (N, C, H, W), weight (C_out, C // groups, kh, kw), bias (C_out,).
    """
    floating("x", x, array_type, "N, C, H, W")
    floating("weight", weight, array_type, "C_out, C_in // groups, kh, kw")
    like("weight", weight, "x", x)
    _, _, groups = as_groups(x.shape[1], weight.shape[0], groups)
    if weight.shape[1] * groups != x.shape[1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected {x.shape[1] // groups} in its second axis, "
            f"the {x.shape[1]} channels of x over groups {groups}"
        )
    if bias is not None:
        shaped("bias", bias, (weight.shape[0],), array_type)
        like("bias", bias, "x", x)
    return groups


def conv_transpose_operands(x: Any, weight: Any, bias: Any, groups: int, array_type: type) -> int:
    """Check those of a transposed one and return `groups` as an int.

    x (N, C, H, W), weight (C, C_out // groups, kh, kw), bias (C_out,).
    """
    groups = as_int("groups", groups, 1)
    floating("x", x, array_type, "N, C, H, W")
    floating("weight", weight, array_type, "C_in, C_out // groups, kh, kw")
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


def matrix_operands(weight: Any, groups: int, array_type: type) -> int:
    """Check the weight (C_out, C // groups, kh, kw) of a convolution alone and return `groups` as an int."""
    floating("weight", weight, array_type, "C_out, C_in // groups, kh, kw")
    groups = as_int("groups", groups, 1)
    return as_groups(weight.shape[1] * groups, weight.shape[0], groups)[2]


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


def cross_entropy_operands(
    logits: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float, array_type: type
) -> Any:
    """Check logits (N, C, …), target (N, …) of class indices and weight (C,); return the target as int64."""
    floating("logits", logits, array_type)
    shape = tuple(logits.shape)
    if len(shape) < 2 or shape[1] == 0:
        raise ValueError(f"logits has shape {shape}; expected (N, C) or (N, C, …)")
    integers("target", target, (shape[0], *shape[2:]), array_type)
    target = target.long() if hasattr(target, "long") else target.astype("int64")  # narrow types would wrap at −100
    ignore_index = as_int("ignore_index", ignore_index, -(2**63))
    wrong = target[(target != ignore_index) & ((target < 0) | (target >= shape[1]))]
    if len(wrong):
        raise ValueError(f"target holds {int(wrong[0])}; expected classes from 0 to {shape[1] - 1}, or {ignore_index}")
    if weight is not None:
        shaped("weight", weight, (shape[1],), array_type)
        like("weight", weight, "logits", logits)
    choice("reduction", reduction, ("mean", "sum", "none"))
    if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing!r}; expected a number from 0 to 1")
    return target
