"""Carlini and Wagner: the nearest image that fools, by Adam, where the box does not bind."""

from __future__ import annotations

import torch
from torch import nn

from cnnlib.geometry import as_int
from cnnlib.inputs import Adam, Nearest, Result, Threat, ascend, attack_on, margin, minimise_norm

STEP_SIZE = 0.1  # of Adam's first step, the last is none; with 0.01 as in the paper's program it takes thousands
EDGE = 0.99  # where pixels at the ends of the box begin: there tanh has a slope, at the ends themselves it has none


def carlini_wagner(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    steps: int = 100,
    rounds: int = 9,
) -> Result:
    """Minimise ‖x' − x‖² + c · max(0, how much the logit of the label leads), and search for the smallest c that fools.

    Carlini and Wagner (2017), sections V and VI.A, https://arxiv.org/abs/1608.04644, with f₆ and a confidence of 0. A
    pixel is written as (tanh w + 1) / 2 and w moved, by `steps` of Adam, so that the box is kept of itself; those at
    its ends, where w would be infinite, begin a two-hundredth inside. The constant of each image begins at 1 and has as
    many `rounds` as there are values of it to try. Of all images on the way the nearest that fools is returned.

    Without a target the class is whichever leads on the way: with several, the nearest border may be another's. Nor is
    a distance found that is smaller than Adam's last steps.

    An image for which that lies farther away than the threat's ε, of the norm 2, comes back unchanged; nothing is
    drawn. It costs steps · rounds + 1 queries, and `history` has the distances after each round, (rounds, attacked).

    Raises ValueError as every attack does.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> weight, bias = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([0.0, -1.0])
    >>> _ = model.load_state_dict({"1.weight": weight, "1.bias": bias})  # class 1 where 3 a + 4 b > 1
    >>> found = carlini_wagner(model, torch.zeros(1, 1, 1, 2), torch.tensor([0]), Threat(2, 1))
    >>> [round(pixel, 2) for pixel in found.adversarial.flatten().tolist()]
    [0.12, 0.16]
    """
    steps = as_int("steps", steps, 0)
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2,)) as victim:
        victim.skip_mistaken()
        low, high = threat.box
        start = (EDGE * (2 * (victim.x - low) / (high - low) - 1)).atanh()
        rows = torch.arange(len(start), device=x.device)

        def climb(constants: torch.Tensor, nearest: Nearest) -> torch.Tensor:
            def both(w: torch.Tensor) -> torch.Tensor:
                images = threat.clip(low + (high - low) * (w.tanh() + 1) / 2)  # clipped of what rounding adds
                behind = margin(nearest.ask(images, rows), victim.y, victim.target).clamp(max=0)
                return constants * behind - ((images - victim.x) ** 2).sum((1, 2, 3))

            rule = Adam(STEP_SIZE)

            def ever_shorter(w: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
                rule.lr = STEP_SIZE * (1 - rule.step / steps)
                return rule(w, gradient, values)

            ascend(start, both, step_rule=ever_shorter, project=lambda w: w, steps=steps)
            return nearest.fools

        nearest = minimise_norm(victim, climb, rounds=rounds)
        return victim.result(nearest.images, nearest.history)
