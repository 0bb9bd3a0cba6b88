"""What both twins check of the operands of normalisation, once, at the public boundary; see `cnnlib.checks`."""

from __future__ import annotations

from math import prod
from typing import Any

from cnnlib.checks.arrays import floating, like, number, shaped
from cnnlib.geometry import as_flag, as_int


def of_channels(x: Any, array_type: type, *, least: int = 2) -> int:
    """Check x (N, C, …), of at least `least` axes of which only N may be empty; return C."""
    floating("x", x, array_type)
    shape = tuple(x.shape)
    if len(shape) < least or 0 in shape[1:]:
        axes = "(N, C, …)" if least == 2 else "(N, C, L, …)"
        raise ValueError(f"x has shape {shape}; expected {axes}, no axis but N to be empty")
    return shape[1]


def at_least(name: str, value: Any, minimum: float) -> float:
    """Return `value`, a finite number of at least `minimum`, as a Python float."""
    found = number(name, value)
    if found < minimum:
        raise ValueError(f"{name} is {value!r}; expected a number of at least {minimum}")
    return found


def per_value(x: Any, shape: tuple[int, ...], array_type: type, **arrays: Any) -> None:
    """Check that each array, if there is one, has this shape, and the dtype and device of x."""
    for name, value in arrays.items():
        if value is not None:
            shaped(name, value, shape, array_type)
            like(name, value, "x", x)


def upstream(grad_output: Any, x: Any, array_type: type) -> None:
    """Check that the gradient of the output has the shape, dtype and device of x."""
    shaped("grad_output", grad_output, tuple(x.shape), array_type)
    like("grad_output", grad_output, "x", x)


def batch_norm_operands(
    x: Any, running_mean: Any, running_var: Any, training: bool, eps: Any, array_type: type
) -> tuple[int, float]:
    """Check x (N, C, …) and the running statistics (C,); return C and eps."""
    C, eps, training = of_channels(x, array_type), at_least("eps", eps, 0), as_flag("training", training)
    per_value(x, (C,), array_type, running_mean=running_mean, running_var=running_var)
    if (running_mean is None) != (running_var is None):
        missing, other = ("mean", "var") if running_mean is None else ("var", "mean")
        raise ValueError(f"running_{missing} is None beside a running_{other}; expected both or neither")
    if not training and running_mean is None:
        raise ValueError("running_mean is None; expected running statistics unless training")
    if training and eps == 0:
        raise ValueError("eps is 0; expected a positive number in training")
    if training and prod(x.shape) == C:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected more than one value per channel in training")
    return C, eps


def layer_norm_operands(x: Any, normalized_shape: Any, eps: Any, array_type: type) -> tuple[tuple[int, ...], float]:
    """Check that x ends in `normalized_shape`; return that as a tuple, and eps."""
    floating("x", x, array_type)
    given = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    sizes = tuple(as_int("normalized_shape", size, 1) for size in given)
    shape = tuple(x.shape)
    if not sizes or shape[-len(sizes) :] != sizes:
        raise ValueError(f"normalized_shape is {normalized_shape!r}; expected the last sizes of x, which is {shape}")
    return sizes, at_least("eps", eps, 0)


def group_norm_operands(x: Any, num_groups: Any, eps: Any, array_type: type) -> tuple[int, int, float]:
    """Check x (N, C, …) and that `num_groups` divides C; return C, the groups and eps."""
    C, groups = of_channels(x, array_type), as_int("num_groups", num_groups, 1)
    if C % groups:
        raise ValueError(f"num_groups is {groups}; expected a divisor of the {C} channels of x")
    return C, groups, at_least("eps", eps, 0)


def instance_norm_operands(x: Any, eps: Any, array_type: type) -> tuple[int, float]:
    """Check x (N, C, L, …), of more than one value per channel and image; return C and eps."""
    C = of_channels(x, array_type, least=3)
    if prod(x.shape[2:]) == 1:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected more than one value per channel and image")
    return C, at_least("eps", eps, 0)


def contrast_options(size: Any, sigma: Any, eps: Any) -> tuple[int, float, float]:
    """Return the odd `size` of a window, the σ of its Gaussian, a quarter of it by default, and eps."""
    width = as_int("size", size, 1)
    if width % 2 == 0:
        raise ValueError(f"size is {width}; expected an odd number, so that the window has a middle")
    sigma = width / 4 if sigma is None else number("sigma", sigma)
    if sigma <= 0:
        raise ValueError(f"sigma is {sigma!r}; expected a positive number")
    return width, sigma, at_least("eps", eps, 0)


def response_options(size: Any, alpha: Any, beta: Any, k: Any) -> tuple[int, float, float, float]:
    """Return the options of a local response norm, an int and three Python floats."""
    return as_int("size", size, 1), number("alpha", alpha), number("beta", beta), number("k", k)
