"""An attack that must survive change: it climbs what the model makes of many views, not of one image."""

from __future__ import annotations

import torch
from torch import nn

from cnnlib.attacks.gradient import usual_step
from cnnlib.inputs import Result, Threat, ascend, attack_on, cross_entropy, steepest
from cnnlib.inputs.ascend import Transforms
from cnnlib.inputs.transforms import compose, random_affine, random_light, views

# Ten views, each turned by up to 30°, 0.8 to 1.2 times as large, shifted by up to a tenth, and lit.
FROM_ANYWHERE = views(compose(random_affine(), random_light()), 10)


def eot(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    transforms: Transforms = FROM_ANYWHERE,
    steps: int = 40,
) -> Result:
    """Climb the mean loss over views that are drawn anew at every step: expectation over transformation.

    Athalye et al. (2018), section 2.1, https://arxiv.org/abs/1707.07397. They keep the views near, by a penalty; here
    the image itself stays within the threat, as in `pgd`, whose steps of 2.5 ε / steps this takes. `transforms` are K
    views of every image; the ten of `FROM_ANYWHERE` are turned, scaled, shifted and lit. An image costs
    1 + K · steps queries.

    `success` in the result is that of the image unturned; `survival` says how often views of it fool.
    """
    with attack_on(model, x, y, threat, target=target, generator=generator) as victim:
        victim.skip_mistaken()
        found = ascend(
            victim.x,
            victim.objective(cross_entropy),
            step_rule=steepest(threat.norm, usual_step(x, threat, steps)),
            project=threat.around(victim.x),
            transforms=transforms,
            steps=steps,
            generator=victim.generator,
        )
        return victim.result(found.x, found.history)
