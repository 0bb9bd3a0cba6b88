"""Gradient masking: is a network robust, or does it only hide its gradients.

An attack that follows gradients fails in both cases. Only in the first do the other ways of attacking fail as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import inf, sqrt
from typing import NamedTuple

import torch
from torch import nn

from cnnlib.attacks.gradient import fgsm, pgd
from cnnlib.attacks.square import square
from cnnlib.checks import fraction
from cnnlib.geometry import as_int
from cnnlib.inputs import Result, Threat
from cnnlib.inputs.draws import draws

RESTARTS = 5


class Finding(NamedTuple):
    """What was looked at, whether it is as it is where gradients are not masked, and the numbers that say so.

    The numbers are shares of the images that the network has right.
    """

    what: str
    sound: bool
    numbers: Mapping[str, float]


def diagnose(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    generator: torch.Generator | None = None,
    steps: int = 20,
    black_box: Callable[..., Result] = square,
    tolerance: float = 0.05,
) -> list[Finding]:
    """Return four findings about a network's gradients around x (N, C, H, W); any that is not sound speaks of masking.

    They are the symptoms of Athalye et al. (2018), section 3.1, https://arxiv.org/abs/1802.00420, and of Carlini et al.
    (2019), sections 4 and 5, https://arxiv.org/abs/1902.06705, each with a `tolerance`, a share of the images:

    - more steps: PGD of `steps`, and of ten times as many, fools no fewer than FGSM and than PGD of fewer;
    - restarts: five random starts together fool hardly more than the ascents from the image: where `steps` are few, the
      one that goes on for ten times as many, so that ascents which have not arrived raise no alarm;
    - black box: what sees no gradient fools hardly any image that none of the above fools. It is an attack such as
      `square`, called with (model, x, y, threat, generator=…);
    - unbounded: where every image is allowed, every image is fooled, to the last.

    All sound is no proof: a defence may mask its gradients from these attacks in another way. Where the network has
    nothing right there are no shares, and all are sound. Raises what the attacks raise, and ValueError for the norm 0,
    fewer than one step, and a `tolerance` that is no share.
    """
    steps, tolerance, generator = as_int("steps", steps, 1), fraction("tolerance", tolerance), draws(generator)
    if isinstance(threat, Threat) and threat.norm == 0:
        raise ValueError("threat has the norm 0; expected 2 or inf, in which there are attacks of all these kinds")
    one, few, many = (
        fgsm(model, x, y, threat),
        pgd(model, x, y, threat, steps=steps),
        pgd(model, x, y, threat, steps=10 * steps),
    )
    starts = [pgd(model, x, y, threat, steps=steps, generator=generator) for _ in range(RESTARTS)]
    black = black_box(model, x, y, threat, generator=generator).success
    far = Threat(threat.norm, _across(x, threat), threat.box, threat.levels)
    unbounded = pgd(model, x, y, far, steps=10 * steps).success  # from the image: noise may fool without a gradient
    right = one.attacked

    def share(fooled: torch.Tensor) -> float:
        return fooled.sum().item() / max(1, int(right.sum()))

    by_steps = {"1": share(one.success), f"{steps}": share(few.success), f"{10 * steps}": share(many.success)}
    rising = all(later >= earlier - tolerance for earlier, later in pairwise(by_steps.values()))
    single, together, arrived = share(few.success), share(_any(few, *starts)), share(_any(few, many))
    white = _any(one, few, many, *starts)
    alone = black & ~white
    by_sight = {"white": share(white), "black": share(black), "black alone": share(alone)}
    return [
        Finding("more steps", rising, by_steps),
        Finding("restarts", together <= arrived + tolerance, {"1": single, f"{1 + RESTARTS}": together}),
        Finding("black box", share(alone) <= tolerance, by_sight),
        Finding("unbounded", bool((unbounded == right).all()), {"fooled": share(unbounded)}),
    ]


def _any(*results: Result) -> torch.Tensor:
    """Return which images any of the attacks fooled, (N,)."""
    return torch.stack([result.success for result in results]).any(0)


def _across(x: torch.Tensor, threat: Threat) -> float:
    """Return how far the farthest corners of the box are from each other."""
    low, high = threat.box
    return (high - low) * (1 if threat.norm == inf else sqrt(x[:1].numel()))
