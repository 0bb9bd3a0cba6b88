"""What both twins check of the operands of a loss, in the manner of `cnnlib.checks`."""

from __future__ import annotations

from numbers import Real
from typing import Any

from cnnlib.checks.arrays import as_int64, beside, choice, floating, integers, like, matching, shaped
from cnnlib.geometry import as_int

REDUCTIONS = ("mean", "sum", "none")


def class_operands(
    name: str, scores: Any, target: Any, weight: Any, ignore_index: int, reduction: str, array_type: type
) -> tuple[Any, int]:
    """Check scores (N, C, …), target (N, …) of class indices, weight (C,); return target (int64), ignore_index."""
    floating(name, scores, array_type)
    shape = tuple(scores.shape)
    if len(shape) < 2 or shape[1] == 0:
        raise ValueError(f"{name} has shape {shape}; expected (N, C) or (N, C, …)")
    integers("target", target, (shape[0], *shape[2:]), array_type)
    beside("target", target, name, scores)
    target = as_int64(target)  # narrow types would wrap at −100
    ignore_index = as_int("ignore_index", ignore_index, -(2**63))
    wrong = target[(target != ignore_index) & ((target < 0) | (target >= shape[1]))]
    if len(wrong):
        raise ValueError(f"target holds {int(wrong[0])}; expected classes from 0 to {shape[1] - 1}, or {ignore_index}")
    if weight is not None:
        shaped("weight", weight, (shape[1],), array_type)
        like("weight", weight, name, scores)
    choice("reduction", reduction, REDUCTIONS)
    return target, ignore_index


def upstream(
    grad_output: Any, name: str, value: Any, losses: tuple[int, ...], reduction: str, array_type: type
) -> None:
    """Check the gradient of a loss: a number, or an array of one; for "none" an array of `losses`, their shape."""
    expected: tuple[int, ...] = losses if reduction == "none" else ()
    found: tuple[int, ...] = ()
    number = isinstance(grad_output, Real) and not isinstance(grad_output, bool)
    if not number:
        floating("grad_output", grad_output, array_type)
        like("grad_output", grad_output, name, value)
        found = tuple(grad_output.shape)
    if found != expected:
        raise ValueError(f"grad_output has shape {found}; expected {expected} for reduction {reduction!r}")


def mse_operands(x: Any, target: Any, weight: Any, reduction: str, array_type: type) -> None:
    """Check that x, target and weight, if any, are of one shape."""
    matching("target", target, "x", x, array_type)
    if weight is not None:
        matching("weight", weight, "x", x, array_type)
    choice("reduction", reduction, REDUCTIONS)


def binary_operands(logits: Any, target: Any, weight: Any, pos_weight: Any, reduction: str, array_type: type) -> None:
    """Check that logits and target are of one shape, to which both weights broadcast."""
    matching("target", target, "logits", logits, array_type)
    _spread("weight", weight, "logits", logits, array_type)
    _spread("pos_weight", pos_weight, "logits", logits, array_type)
    choice("reduction", reduction, REDUCTIONS)


def _spread(name: str, value: Any, other_name: str, other: Any, array_type: type) -> None:
    """Check that `value` is None, or of the dtype and device of `other` and broadcasts to its shape."""
    if value is None:
        return
    floating(name, value, array_type)
    like(name, value, other_name, other)
    mine, shape = tuple(value.shape), tuple(other.shape)
    if len(mine) > len(shape) or any(m not in (1, s) for m, s in zip(reversed(mine), reversed(shape), strict=False)):
        raise ValueError(f"{name} has shape {mine}; expected one that broadcasts to {shape}, that of {other_name}")
