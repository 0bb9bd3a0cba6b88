"""The first attack: the nearest image of another class, by L-BFGS in the box of pixels."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib.geometry import as_int
from cnnlib.inputs import LBFGS, Nearest, Result, Threat, ascend, attack_on, cross_entropy, margin, minimise_norm


def lbfgs(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    steps: int = 20,
    rounds: int = 12,
) -> Result:
    """Minimise ‖x' − x‖² + c · cross-entropy to another class, in the box, and search for the smallest c that fools.

    Szegedy et al. (2014), section 4.1, https://arxiv.org/abs/1312.6199. They write c |r| + loss; with the constant at
    the other term, and the square, which has a gradient at r = 0, the images that minimise it for one constant or
    another are the same. They always have a target: without one, it is whichever other class is strongest,
    as if there were only that and the label. Of all images on the way the nearest that fools is returned.

    `steps` are those of each of the `rounds`, one for each constant, with those that were taken back. An image for
    which the nearest lies farther away than the threat's ε, of the norm 2, comes back unchanged; nothing is drawn. It
    costs (steps + 1) · rounds + 1 queries, and `history` has the distances after each round, (rounds, attacked).

    Raises ValueError as every attack does.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> weight, bias = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([0.0, -1.0])
    >>> _ = model.load_state_dict({"1.weight": weight, "1.bias": bias})  # class 1 where 3 a + 4 b > 1
    >>> found = lbfgs(model, torch.zeros(1, 1, 1, 2), torch.tensor([0]), Threat(2, 1))
    >>> [round(pixel, 2) for pixel in found.adversarial.flatten().tolist()]
    [0.12, 0.16]
    """
    steps = as_int("steps", steps, 0)
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2,)) as victim:
        victim.skip_mistaken()
        rows = torch.arange(len(victim.x), device=x.device)

        def climb(constants: torch.Tensor, nearest: Nearest) -> torch.Tensor:
            def both(images: torch.Tensor) -> torch.Tensor:
                wrong = _likelihood(nearest.ask(images, rows), victim.y, victim.target)
                return constants * wrong - ((images - victim.x) ** 2).sum((1, 2, 3))

            found = ascend(victim.x, both, step_rule=LBFGS(threat.clip), project=threat.clip, steps=steps)
            return victim.fooled(nearest.ask(found.x, rows))  # not whether one on the way did: steps overshoot

        nearest = minimise_norm(victim, climb, rounds=rounds)
        return victim.result(nearest.images, nearest.history)


def _likelihood(logits: torch.Tensor, y: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
    """Return the log of the probability of the target, or of the strongest class beside the label's, (N,)."""
    if target is not None:
        return cross_entropy(logits, y, target)
    return F.logsigmoid(margin(logits, y, None))
