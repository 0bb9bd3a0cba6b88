"""HopSkipJump: the direction of a class's border, estimated from nothing but classes."""

from __future__ import annotations

from math import inf, sqrt

import torch
from torch import nn

from cnnlib.attacks.decision import Approach, begin, bisect, halvings
from cnnlib.inputs import Result, Threat, attack_on, search, steepest
from cnnlib.inputs.draws import normal, uniform
from cnnlib.inputs.search import first_query
from cnnlib.inputs.threat import lengths

PROBES = 25  # for the first direction, a number that grows with the root of the steps; the paper has 100
JUMPS = 8  # lengths of a step that are tried, each half of the last


def hop_skip_jump(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    queries: int = 5000,
    starts: torch.Tensor | None = None,
) -> Result:
    """Feel which way the border of a class runs, step away from it, and go back to it nearer to the image.

    Chen et al. (2020), algorithm 2, https://arxiv.org/abs/1904.02144. At the border, the mean of random directions,
    counted as positive where they fool and as negative where they do not, is its normal. The norm is 2 or ∞. `starts`,
    what is used of the answers, and what ε means are as in `boundary`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[0.0], [1.0]])), model[1].bias.data.copy_(torch.tensor([33.0, 0]))
    >>> x, y = torch.full((1, 1, 8, 8), 0.5), torch.tensor([0])  # of class 0: the sum is 32
    >>> round(hop_skip_jump(model, x, y, Threat(2, 1), queries=1000).l2.item(), 2)  # 1/8 would be the least
    0.13
    """
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2, inf)) as victim:
        left = first_query(victim, queries)
        nearest = Approach(victim)
        rows, left = begin(nearest, starts, left)
        step, returning = 1, JUMPS + halvings(nearest)
        while len(rows) and left > returning + 1:
            probes = min(int(PROBES * sqrt(step)), left - returning)
            direction = _normal(nearest, rows, probes, step)
            far = _jump(nearest, rows, direction, step)
            left -= probes + JUMPS
            left -= bisect(nearest, rows, far, left)
            step += 1
        return nearest.result()


def _normal(nearest: Approach, rows: torch.Tensor, probes: int, step: int) -> torch.Tensor:
    """Return the mean of random directions, with signs that tell which fool (equations 9 and 16), (N, C, H, W)."""
    x, victim = nearest.x, nearest.victim
    radius = nearest.size / x[0].numel() if step > 1 else torch.full_like(nearest.size, 0.1)
    fooling, total, signed = torch.zeros_like(nearest.size), torch.zeros_like(x), torch.zeros_like(x)

    def propose(rows: torch.Tensor, left: int) -> torch.Tensor:
        noise = (normal if nearest.norm == 2 else uniform)(x, victim.generator, count=min(left, PROBES))
        return victim.threat.clip(
            nearest.images[rows, None] + radius[rows, None, None, None, None] * noise / lengths(noise)
        )

    def accept(rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        signs = 2 * victim.fooled(logits, rows).to(x) - 1
        around = images - nearest.images[rows, None]
        fooling[rows] += signs.sum(1)
        total[rows] += around.sum(1)
        signed[rows] += torch.einsum("rk,rkchw->rchw", signs, around)
        return torch.zeros_like(rows, dtype=torch.bool)

    search(rows, propose, accept, ask=victim.ask, budget=probes)
    mean = (fooling / probes)[:, None, None, None]
    return torch.where(mean.abs() == 1, signed, signed - mean * total)


def _jump(nearest: Approach, rows: torch.Tensor, direction: torch.Tensor, step: int) -> torch.Tensor:
    """Step from the border in a direction, as far as it still fools; return where that leads, (N, C, H, W)."""
    victim, far = nearest.victim, nearest.images.clone()
    size = (nearest.size / sqrt(step))[:, None, None, None]
    origin = nearest.images.clone()

    def propose(rows: torch.Tensor, left: int) -> torch.Tensor:
        ahead = steepest(nearest.norm, size[rows])(origin[rows], direction[rows], nearest.size)
        return victim.threat.clip(ahead)[:, None]

    def accept(rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        fools = nearest.keep(rows, images, logits).squeeze(1)
        far[rows[fools]] = images[fools, 0]
        size[rows] /= 2
        return fools

    search(rows, propose, accept, ask=victim.ask, budget=JUMPS)
    return far
