"""Attacks within ε that see the gradient: one step, many, and many whose length follows from how they go."""

from __future__ import annotations

from math import inf

import torch
from torch import nn

from cnnlib.checks import number
from cnnlib.inputs import APGD, Kept, Loss, Result, Threat, ascend, attack_on, cross_entropy, steepest


def fgsm(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Result:
    """Move each image by ε along the sign of its gradient, or for the norm 2 along the gradient itself.

    Goodfellow et al. (2015), section 4, https://arxiv.org/abs/1412.6572. With a `target`, towards it. Nothing is drawn.
    """
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2, inf)) as victim:
        found = ascend(
            x,
            victim.objective(cross_entropy),
            step_rule=steepest(threat.norm, threat.eps),
            project=threat.around(x),
            steps=1,
        )
        return victim.result(found.x, found.history)


def pgd(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    steps: int = 40,
    step_size: float | None = None,
) -> Result:
    """Climb in many small steps, each followed by a projection onto what is allowed.

    Madry et al. (2018), section 2.1, https://arxiv.org/abs/1706.06083; under the norm 0 as Croce and Hein (2019),
    section 4, https://arxiv.org/abs/1909.05040. Without a `generator` the ascent begins at the image, with one anywhere
    that is allowed. `step_size` is 2.5 ε / steps unless given; under the norm 0 it is the sum of all changes in a step,
    a fifth of the image's numbers, so that the pixels which stay cross the box.
    """
    if step_size is not None and number("step_size", step_size) <= 0:
        raise ValueError(f"step_size is {step_size!r}; expected a positive number")
    with attack_on(model, x, y, threat, target=target, generator=generator) as victim:
        start = victim.x
        if generator is not None:  # otherwise the first gradient's question is about the images themselves
            victim.skip_mistaken()
            start = threat.somewhere(victim.x, generator) if steps else victim.x
        found = ascend(
            start,
            victim.objective(cross_entropy),
            step_rule=steepest(threat.norm, usual_step(x, threat, steps) if step_size is None else step_size),
            project=threat.around(victim.x),
            steps=steps,
        )
        return victim.result(found.x, found.history)


def apgd(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    steps: int = 100,
    loss: Loss = cross_entropy,
) -> Result:
    """Climb with momentum and steps that are halved where they stall: PGD without a step size to choose.

    Croce and Hein (2020), https://arxiv.org/abs/2003.01690, with a first step of 2 ε. Of the images on the way the last
    that fools is returned, or if none does, the one with the largest loss. `generator` and `target` are as in `pgd`;
    another `loss` is `difference_ratio`. An image costs steps + 2 queries.
    """
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2, inf)) as victim:
        victim.skip_mistaken()
        allowed = threat.around(victim.x)
        rule = APGD(threat.norm, 2 * threat.eps, allowed, steps=steps)
        worst = Kept(victim, loss)
        start = victim.x if generator is None or not steps else threat.somewhere(victim.x, generator)
        found = ascend(start, worst, step_rule=rule, project=allowed, steps=steps)
        with torch.no_grad():
            worst(found.x)
        return victim.result(worst.images, found.history)


def usual_step(x: torch.Tensor, threat: Threat, steps: int) -> float:
    """Return how long a step is where nobody says: 2.5 ε / steps, under the norm 0 a fifth of an image's numbers."""
    return x[:1].numel() / 5 if threat.norm == 0 else 2.5 * threat.eps / max(1, steps)
