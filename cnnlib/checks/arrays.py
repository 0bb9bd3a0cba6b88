"""What both twins check of their arrays, whatever the operator."""

from __future__ import annotations

import functools
import math
from numbers import Real
from typing import Any

from cnnlib.geometry import as_int

FLOATS = ("float32", "float64")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
OTHER_ARITHMETIC = ("matrix", "MaskedArray")  # subclasses of numpy.ndarray that do not compute as arrays do


def dtype_name(value: Any) -> str:
    """Return "float32" for both numpy's and torch's float32."""
    return _name(value.dtype)


@functools.cache
def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")  # naming a dtype takes NumPy longer than a small operator


def plain(value: Any, array_type: Any) -> bool:
    """Tell whether `value` is an array of this type that holds all its values and computes as arrays do."""
    dense = str(getattr(value, "layout", "torch.strided")) == "torch.strided"
    return isinstance(value, array_type) and type(value).__name__ not in OTHER_ARITHMETIC and dense


def floating(
    name: str, value: Any, array_type: Any, axes: str | None = None, *, dtypes: tuple[str, ...] = FLOATS
) -> None:
    """Check that `value` is an array of one of `dtypes` whose axes are `axes`, such as "N, C, H, W".

    The batch axis N may be empty; no other may. `axes=None` allows any shape.
    """
    if not plain(value, array_type):
        layout = f"{value.layout} " if isinstance(value, array_type) and hasattr(value, "layout") else ""
        raise ValueError(
            f"{name} is a {layout}{type(value).__module__}.{type(value).__name__}; "
            f"expected a {array_type.__module__}.{array_type.__name__}"
        )
    if dtype_name(value) not in dtypes:
        raise ValueError(f"{name} has dtype {dtype_name(value)}; expected {' or '.join(dtypes)}")
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
    beside(name, value, other_name, other)


def beside(name: str, value: Any, other_name: str, other: Any) -> None:
    """Check that two arrays share their device."""
    if getattr(value, "device", None) != getattr(other, "device", None):
        raise ValueError(f"{name} is on {value.device}; expected {other.device}, where {other_name} is")


def shaped(
    name: str, value: Any, shape: tuple[int, ...], array_type: type, *, dtypes: tuple[str, ...] = FLOATS
) -> None:
    """Check that `value` is an array of one of `dtypes` of exactly this shape."""
    floating(name, value, array_type, dtypes=dtypes)
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}; expected {shape}")


def matching(name: str, value: Any, other_name: str, other: Any, array_type: type) -> None:
    """Check that `other` is a floating array and `value` one of its shape, dtype and device."""
    floating(other_name, other, array_type)
    shaped(name, value, tuple(other.shape), array_type)
    like(name, value, other_name, other)


def integers(name: str, value: Any, shape: tuple[int, ...], array_type: Any) -> None:
    """Check that `value` is an array of integers, not of booleans, of exactly this shape."""
    if not plain(value, array_type):
        raise ValueError(f"{name} is {type(value).__name__}; expected integers of shape {shape}")
    if dtype_name(value) not in INTEGERS or tuple(value.shape) != shape:
        raise ValueError(f"{name} is {dtype_name(value)} {tuple(value.shape)}; expected integers of shape {shape}")


def as_int64(value: Any) -> Any:
    """Return an array of integers as one of int64, which both packages can compare and index with."""
    return value.long() if hasattr(value, "long") else value.astype("int64")


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
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, options))}")


def real(value: Any) -> float:
    """Return a real number as a Python float, which leaves float32 arrays float32; for anything else NaN."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer beyond all floats
        return math.nan


def number(name: str, value: Any) -> float:
    """Return `value`, a finite real number, as a Python float."""
    found = real(value)
    if not math.isfinite(found):
        raise ValueError(f"{name} is {value!r}; expected a finite number")
    return found


def fraction(name: str, value: Any) -> float:
    """Return `value`, a number from 0 to 1, as a Python float."""
    found = real(value)
    if not 0 <= found <= 1:
        raise ValueError(f"{name} is {value!r}; expected a number from 0 to 1")
    return found


def function(name: str, value: Any) -> None:
    """Check that `value` can be called; TypeError where it cannot."""
    if not callable(value):
        raise TypeError(f"{name} is {value!r}; expected a function")


def sequence(name: str, value: Any) -> list[Any]:
    """Return `value`, some things in an order, as a list; TypeError for anything else."""
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected a list") from None


def dimension(name: str, value: Any, other_name: str, other: Any) -> int:
    """Return `value`, an axis of `other` that is not empty, counted from the front."""
    shape, ndim = tuple(other.shape), max(other.ndim, 1)  # as in torch, a single number has an axis 0
    axis = as_int(name, value, -ndim)
    if axis >= ndim:
        raise ValueError(f"{name} is {value!r}; expected at most {ndim - 1}, the last axis of {other_name} {shape}")
    if shape and shape[axis] == 0:
        raise ValueError(f"{other_name} has shape {shape}; expected axis {value} not to be empty")
    return axis % ndim


def mask(name: str, value: Any, other_name: str, other: Any, array_type: Any) -> None:
    """Check that `other` is a floating array and `value` one of booleans, of its shape and device."""
    floating(other_name, other, array_type)
    shape = tuple(other.shape)
    if not plain(value, array_type) or dtype_name(value) != "bool" or tuple(value.shape) != shape:
        kind = f"{dtype_name(value)} {tuple(value.shape)}" if plain(value, array_type) else type(value).__name__
        raise ValueError(f"{name} is {kind}; expected booleans of shape {shape}, that of {other_name}")
    beside(name, value, other_name, other)


def maxout_operands(x: Any, pieces: int, array_type: type) -> int:
    """Check x (N, C, …) and that `pieces` divides C; return it as an int."""
    floating("x", x, array_type)
    pieces, shape = as_int("pieces", pieces, 1), tuple(x.shape)
    if len(shape) < 2 or 0 in shape[1:]:
        raise ValueError(f"x has shape {shape}; expected (N, C, …), no axis but N to be empty")
    if shape[1] % pieces:
        raise ValueError(f"pieces is {pieces}; expected a divisor of the {shape[1]} channels of x")
    return pieces


def softplus_options(beta: Any, threshold: Any) -> tuple[float, float]:
    """Return both as Python floats; beta divides and must not be 0."""
    beta, threshold = number("beta", beta), number("threshold", threshold)
    if beta == 0:
        raise ValueError("beta is 0; expected any other number")
    return beta, threshold
