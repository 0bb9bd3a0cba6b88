"""Gradient ascent on an input: the weights stay, the image moves.

An attack makes a network wrong, activation maximisation makes a unit respond, inversion makes features alike, style
transfer makes their correlations alike. They differ in what they want (`objective`), how they move (`step_rule`), and
where they may go (`project`). The loop is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch

from cnnlib.checks import function
from cnnlib.geometry import as_int
from cnnlib.inputs.draws import draws

Objective = Callable[[torch.Tensor], torch.Tensor]  # images (N, …) → what each is worth (N,)
StepRule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # x, gradient, values → where to go
Project = Callable[[torch.Tensor], torch.Tensor]
Transforms = Callable[[torch.Tensor, torch.Generator], torch.Tensor]  # images (N, …) → views of them (K · N, …)


class Ascent(NamedTuple):
    """Where an ascent ended, and what the objective was before every step."""

    x: torch.Tensor
    history: torch.Tensor  # (steps, N)


def ascend(
    x: torch.Tensor,
    objective: Objective,
    *,
    step_rule: StepRule,
    project: Project,
    transforms: Transforms | None = None,
    steps: int,
    generator: torch.Generator | None = None,
) -> Ascent:
    """Move each input so that its objective grows; return where they end.

    `objective(x)` gives one number for each input (N, …), from that input alone; `step_rule(x, gradient, values)`
    where to go from x; `project(x)` the nearest place that is allowed. With `transforms`, the objective is that of
    views: `transforms(x, generator)` returns K views of every input, one after the other (K · N, …), drawn anew at
    every step, and what is climbed is the mean over them (Athalye et al., 2018, https://arxiv.org/abs/1707.07397).

    Raises ValueError for an objective that does not give one number for each input, or does not depend on them, and in
    the end for one that was not finite at some step, or whose last gradient is not.

    >>> target = torch.tensor([[1.0, 5.0]])
    >>> found = ascend(
    ...     torch.zeros(1, 2),
    ...     lambda x: -((x - target) ** 2).sum(1),
    ...     step_rule=lambda x, gradient, values: x + 0.25 * gradient,
    ...     project=lambda x: x.clamp(0, 2),
    ...     steps=20,
    ... )
    >>> found.x
    tensor([[1.0000, 2.0000]])
    """
    history, climbed = [], objective if transforms is None else mean_over_views(objective, transforms, generator)
    for _ in range(as_int("steps", steps, 0) if len(x) else 0):
        values, gradient = value_and_gradient(x, climbed)
        with torch.no_grad():
            x = project(step_rule(x, gradient, values))
        history.append(values)
    return Ascent(x.detach(), _finite(history, gradient) if history else x.new_zeros(0, len(x)))


def value_and_gradient(
    x: torch.Tensor,
    objective: Objective,
    *,
    name: str = "objective",
    back: AbstractContextManager[object] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what each input is worth, (N,), and the gradient of that with respect to it, of the shape of x (N, …).

    The gradient is computed within the context `back`. ValueError, with the `name` of what was asked, where it gives
    anything but a number for each input, or one that does not depend on the inputs.
    """
    x = leaf(x)
    with torch.enable_grad():
        values = objective(x)
    if values.shape != x.shape[:1]:
        raise ValueError(f"{name} returns {tuple(values.shape)}; expected one number for each of {len(x)} inputs")
    if not values.requires_grad:
        raise ValueError(f"{name} does not depend on its inputs; expected one with a gradient")
    with back or nullcontext():
        (gradient,) = torch.autograd.grad(values, x, torch.ones_like(values))
    return values.detach(), gradient


def leaf(x: torch.Tensor) -> torch.Tensor:
    """Return inputs with which a graph begins; ValueError where torch.inference_mode() allows none."""
    if torch.is_inference_mode_enabled() or x.is_inference():
        raise ValueError("x is asked for a gradient in torch.inference_mode(), or comes from it; expected neither")
    return x.detach().requires_grad_()


def mean_over_views(objective: Objective, transforms: Transforms, generator: torch.Generator | None) -> Objective:
    """Return the objective that is the mean of another over views of each input, drawn anew whenever it is asked.

    It raises ValueError where `transforms` does not return a multiple of its inputs.
    """
    function("transforms", transforms)
    numbers = draws(generator)

    def mean(x: torch.Tensor) -> torch.Tensor:
        views = transforms(x, numbers)
        if not len(views) or len(views) % len(x):
            raise ValueError(f"transforms returns {len(views)} views of {len(x)} inputs; expected as many of each")
        return objective(views).view(-1, len(x)).mean(0)

    return mean


def _finite(history: list[torch.Tensor], gradient: torch.Tensor) -> torch.Tensor:
    """Return what the objective was at every step, (steps, N); looked at once, since every look waits for the model.

    Of the gradients the last one tells: an input whose gradient is NaN stays where it is, with that gradient, or is NaN
    itself, and so is then the objective.
    """
    values = torch.stack(history)
    if not values.isfinite().all():
        step = int((~values.isfinite()).any(1).nonzero()[0])
        raise ValueError(f"objective returns {values[step]} at step {step}; expected finite numbers")
    if not gradient.isfinite().all():
        raise ValueError("objective has a gradient of inf or nan; expected finite numbers")
    return values
