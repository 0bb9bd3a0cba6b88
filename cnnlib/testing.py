"""How the course checks itself: comparisons, finite differences and the adjoint identity.

Tests, notebooks and graders use the same functions. `assert_close`, `relative_error` and `adjoint_gap` take arrays of
NumPy and of torch; finite differences are taken in NumPy's float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RTOL = {"float64": 1e-12, "float32": 1e-5}

# Exact small examples of 2-D correlation: (x, weight, options, y), worked by hand on the decks' slides or on paper.
DECK_IMAGE = (
    (1, 0, 0, 0, 0, 1),
    (0, 1, 0, 0, 1, 0),
    (0, 0, 1, 1, 0, 0),
    (1, 0, 0, 0, 1, 0),
    (0, 1, 0, 0, 1, 0),
    (0, 0, 1, 0, 1, 0),
)
DECK_FILTER = ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))
CASES: tuple[tuple[Any, Any, dict[str, Any], Any], ...] = (
    (DECK_IMAGE, DECK_FILTER, {}, ((3, -1, -3, -1), (-3, 1, 0, -3), (-3, -3, 0, 1), (3, -2, -2, -1))),
    (DECK_IMAGE, DECK_FILTER, {"stride": 2}, ((3, -3), (-3, 0))),
    (((1, 2, 3), (4, 5, 6), (7, 8, 9)), ((1, 2), (3, 4)), {}, ((37, 47), (67, 77))),
    (((1, 2), (3, 4)), ((1, 2), (3, 4)), {"padding": 1}, ((4, 11, 6), (14, 30, 14), (6, 11, 4))),
    (((1, 2, 3),), ((1, 10),), {"dilation": 2}, ((31,),)),
    (((1, 2, 3),), ((1, 10),), {"padding": ((0, 0), (2, 0))}, ((0, 10, 21, 32),)),
)


def to_numpy(array: Any) -> np.ndarray:
    """Return a NumPy array of a NumPy array, a torch tensor on any device, or a number."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)


def relative_error(actual: Any, expected: Any) -> float:
    """Return max |actual − expected| / max |expected|; 0 where both are zero or empty.

    >>> relative_error(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    0.2
    """
    actual, expected = to_numpy(actual).astype(float), to_numpy(expected).astype(float)
    if actual.shape != expected.shape:
        raise ValueError(f"actual has shape {actual.shape}; expected {expected.shape}")
    gap = float(np.abs(actual - expected).max(initial=0))
    return gap and gap / (float(np.abs(expected).max(initial=0)) or gap)


def assert_close(actual: Any, expected: Any, *, rtol: float | None = None, atol: float = 0.0) -> None:
    """Raise AssertionError unless shape and dtype are equal and the values within `rtol` · max |expected| + `atol`.

    `rtol` is by default 1e-12 for float64 and 1e-5 for float32; NaN and infinity must stand in the same places, and
    integers and booleans must be equal. The message gives the first index that differs.

    >>> assert_close(np.array([1.0]), np.array([1.0 + 1e-15]))
    """
    actual, expected = to_numpy(actual), to_numpy(expected)
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        raise AssertionError(f"{actual.dtype} {actual.shape} is not {expected.dtype} {expected.shape}")
    same, allowed = np.asarray(actual == expected), 0.0
    if expected.dtype.kind == "f":
        rtol = RTOL.get(str(expected.dtype), 0.0) if rtol is None else rtol
        finite = np.isfinite(expected)
        allowed = rtol * float(np.abs(expected[finite]).max(initial=0)) + atol
        with np.errstate(invalid="ignore"):
            same |= finite & (np.abs(actual - expected) <= allowed)
        same |= np.isnan(actual) & np.isnan(expected)
    if not same.all():
        index = tuple(int(i) for i in np.argwhere(~same)[0])
        raise AssertionError(
            f"{int((~same).sum())} of {same.size} values differ by more than {allowed:.3g}, first at {index}: "
            f"{actual[index]!r} is not {expected[index]!r}"
        )


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, *, eps: float = 1e-6) -> np.ndarray:
    """Return the gradient of a scalar function by central differences, (f(x + ε) − f(x − ε)) / 2ε, entry by entry.

    The error is about ε² f'''/6 + u·|f|/ε, where u = 1.1e-16 is float64's rounding unit; x must be a float64 array.
    Raises ValueError for anything else.

    >>> numerical_gradient(lambda x: float((x**2).sum()), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        found = f"{x.dtype} array" if isinstance(x, np.ndarray) else f"{type(x).__module__}.{type(x).__name__}"
        raise ValueError(f"x is a {found}; expected a float64 numpy.ndarray")
    x = x.copy()
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + eps
        above = f(x)
        x[index] = kept - eps
        below = f(x)
        x[index] = kept
        grad[index] = (above - below) / (2 * eps)
    return grad


def check_gradients(
    forward: Callable[..., np.ndarray],
    gradients: Sequence[np.ndarray],
    arguments: Sequence[np.ndarray],
    grad_output: np.ndarray,
    *,
    eps: float = 1e-6,
    rtol: float = 1e-7,
) -> None:
    """Raise AssertionError unless each gradient equals central differences of ⟨grad_output, forward(*arguments)⟩.

    Allowed are `rtol` of the largest entry and what rounding does to a difference of two losses, 10 u |loss| / ε.

    >>> check_gradients(lambda x: x**2, [np.array([6.0])], [np.array([3.0])], np.array([1.0]))
    """
    if len(gradients) != len(arguments):
        raise ValueError(f"gradients holds {len(gradients)} arrays; expected {len(arguments)}, one per argument")
    for position, gradient in enumerate(gradients):

        def loss(value: np.ndarray, position: int = position) -> float:
            changed = [value if k == position else a for k, a in enumerate(arguments)]
            return float((grad_output * forward(*changed)).sum())

        numerical = numerical_gradient(loss, arguments[position], eps=eps)
        try:
            rounding = 10 * float(np.finfo(float).eps) / 2 * abs(loss(arguments[position])) / eps
            assert_close(gradient, numerical, rtol=rtol, atol=rounding)
        except AssertionError as error:
            raise AssertionError(f"gradient of argument {position}: {error}") from None


def adjoint_gap(y: Any, grad_y: Any, x: Any, grad_x: Any) -> float:
    """Return |⟨Ax, v⟩ − ⟨x, Aᵀv⟩| / (‖Ax‖·‖v‖), for y = Ax, grad_y = v and grad_x = Aᵀv.

    It is zero, but for rounding, exactly where the backward is the transpose of the forward.

    >>> adjoint_gap(np.array([2.0]), np.array([5.0]), np.array([1.0]), np.array([10.0]))
    0.0
    """
    y, grad_y, x, grad_x = (to_numpy(a).astype(float) for a in (y, grad_y, x, grad_x))
    for name, value, like in (("grad_y", grad_y, y), ("grad_x", grad_x, x)):
        if value.shape != like.shape:
            raise ValueError(f"{name} has shape {value.shape}; expected {like.shape}")
    y, grad_y, x, grad_x = (a.ravel() for a in (y, grad_y, x, grad_x))
    scale = float(np.linalg.norm(y) * np.linalg.norm(grad_y))
    return abs(float(y @ grad_y - x @ grad_x)) / (scale or 1.0)
