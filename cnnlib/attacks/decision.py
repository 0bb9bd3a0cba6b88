"""Attacks that see no more than the class: a walk along its border, ever nearer to the image."""

from __future__ import annotations

from math import ceil, inf, log2

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib.inputs import Nearest, Result, Threat, Victim, attack_on, distance, search
from cnnlib.inputs.draws import normal
from cnnlib.inputs.search import first_query
from cnnlib.inputs.threat import lengths, pick
from cnnlib.inputs.victim import check_images

TRIALS = 48  # images that are asked about where none are given
CELLS = (2, 4, 8)  # across them, before they are enlarged: of so coarse a pattern a network sees every class


def boundary(
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
    """Walk at random along the border of a class, with small steps around the image and towards it.

    Brendel et al. (2018), section 2, https://arxiv.org/abs/1712.04248. The walk begins at the nearest of `starts`
    (M, C, H, W) that the model takes for another class, or the target; without them, at coarse patterns in black and
    white. How long a step is depends on how many of the last have succeeded. Of the answers only the class is used: at
    most `queries` of them, the first for the image itself.

    What is looked for is the least distance in the norm 2: an image is returned if it is within ε, and otherwise
    unchanged. Raises ValueError for `starts` that are no images like x.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[0.0], [1.0]])), model[1].bias.data.copy_(torch.tensor([33.0, 0]))
    >>> x, y = torch.full((1, 1, 8, 8), 0.5), torch.tensor([0])  # of class 0: the sum is 32
    >>> round(boundary(model, x, y, Threat(2, 1), queries=1000).l2.item(), 2)  # 1/8 would be the least
    0.13
    """
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2,)) as victim:
        left = first_query(victim, queries)
        nearest = Approach(victim)
        rows, left = begin(nearest, starts, left)
        walk = _Walk(nearest)
        search(rows, walk.propose, walk.accept, ask=victim.ask, budget=left)
        return nearest.result()


class _Walk:
    """Steps that keep their distance from x, of a length `around`, and then go `towards` it; both in units of it."""

    def __init__(self, nearest: Approach) -> None:
        self.nearest, self.steps = nearest, 0
        self.around = torch.full_like(nearest.x[:, :1, :1, :1], 0.1)
        self.towards = self.around / 5

    def propose(self, rows: torch.Tensor, left: int) -> torch.Tensor:
        """Return a step for each of the rows, and every fifth time before it the one that keeps its distance."""
        x, away = self.nearest.x[rows], self.nearest.images[rows] - self.nearest.x[rows]
        size = lengths(away)
        noise = normal(x, self.nearest.victim.generator)
        sideways = noise - (noise * away).sum((1, 2, 3), keepdim=True) / size**2 * away
        sideways = self.around[rows] * size * sideways / lengths(sideways)
        kept = self.nearest.victim.threat.clip(x + (away + sideways) / (1 + self.around[rows] ** 2).sqrt())
        clipped = lengths(kept - x)
        nearer = x + (kept - x) * ((1 - self.towards[rows]) * size / clipped).clamp(max=1)
        self.steps += 1
        both = self.steps % 5 == 0 and left > 1
        return torch.stack([nearer, kept] if both else [nearer], 1)

    def accept(self, rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Keep what fools; lengthen the steps while a quarter of them do, or half of those around."""
        fools = self.nearest.keep(rows, images[:, :1], logits[:, :1])[..., None, None]  # (R, 1, 1, 1)
        self.towards[rows] *= torch.where(fools, 1.1**3, 1 / 1.1)
        if images.shape[1] == 2:
            kept = self.nearest.victim.fooled(logits[:, 1:], rows)[..., None, None]
            factor = torch.where(kept, 1.2, 1 / 1.2)
            self.around[rows] *= factor
            self.towards[rows] *= factor
        self.around.clamp_(max=1)
        self.towards.clamp_(max=0.5)
        return torch.zeros_like(rows, dtype=torch.bool)


class Approach(Nearest):
    """The nearest images that fool, at whatever distance, with a history of every answer."""

    def __init__(self, victim: Victim) -> None:
        super().__init__(victim, within=inf)
        self.x, self.norm = victim.x, victim.threat.norm

    def keep(self, rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:  # noqa: D102
        fools = super().keep(rows, images, logits)
        self.sizes.append(self.size.clone())
        return fools

    def result(self) -> Result:
        """Return the images within ε, and the others unchanged."""
        return self.victim.result(pick(self.size <= self.victim.threat.eps, self.images, self.x), self.history)


def begin(nearest: Approach, starts: torch.Tensor | None, left: int) -> tuple[torch.Tensor, int]:
    """Look for images that fool, and go from the nearest to the border; return the rows that have one, what is left."""
    victim, x = nearest.victim, nearest.x
    if starts is None:
        starts = patterns(x, victim.threat, victim.generator)
    elif not isinstance(starts, torch.Tensor) or starts.shape[1:] != x.shape[1:] or starts.dtype != x.dtype:
        found = f"{starts.dtype} {tuple(starts.shape)}" if isinstance(starts, torch.Tensor) else repr(starts)
        raise ValueError(
            f"starts is {found}; expected images like x, {x.dtype} (M, {', '.join(map(str, x.shape[1:]))})"
        )
    check_images(starts, victim.threat, name="starts")
    starts = starts[:left]
    rows = torch.arange(len(x), device=x.device)
    fools = torch.zeros_like(rows, dtype=torch.bool)

    def accept(rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        fools[rows] = nearest.keep(rows, images, logits).any(1)
        return torch.ones_like(rows, dtype=torch.bool)

    search(rows, lambda rows, left: starts.expand(len(rows), *starts.shape), accept, ask=victim.ask, budget=left)
    rows = fools.nonzero().flatten()
    left -= len(starts)
    return rows, left - bisect(nearest, rows, nearest.images, left)


def bisect(nearest: Approach, rows: torch.Tensor, far: torch.Tensor, left: int) -> int:
    """Go from images that fool, (N, C, H, W), to the border between them and x; return how many queries it took.

    For the norm ∞ what lies between are the images with their changes cut (Chen et al., 2020, equation 12).
    """
    x, norm = nearest.x, nearest.norm
    high = torch.ones_like(x[:, :1, :1, :1])
    low, reach = torch.zeros_like(high), distance(x, far, norm)[:, None, None, None]

    def propose(rows: torch.Tensor, left: int) -> torch.Tensor:
        share, change = (low[rows] + high[rows]) / 2, far[rows] - x[rows]
        limit = share * reach[rows]
        return (x[rows] + (change.clamp(-limit, limit) if norm == inf else share * change))[:, None]

    def accept(rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        fools = nearest.keep(rows, images, logits)[..., None, None]
        middle = (low[rows] + high[rows]) / 2
        high[rows], low[rows] = torch.where(fools, middle, high[rows]), torch.where(fools, low[rows], middle)
        return torch.zeros_like(rows, dtype=torch.bool)

    steps = min(left, halvings(nearest))
    search(rows, propose, accept, ask=nearest.victim.ask, budget=steps)
    return steps


def halvings(nearest: Approach) -> int:
    """Return how often a way is halved until what is left of it is d^(-3/2), or for the norm ∞ d^(-2), of d numbers."""
    return ceil((2 if nearest.norm == inf else 1.5) * log2(max(2, nearest.x[:1].numel())))


def patterns(x: torch.Tensor, threat: Threat, generator: torch.Generator) -> torch.Tensor:
    """Draw images of coarse patterns in black and white (in each channel), (M, C, H, W), the same for all of x."""
    low, high = threat.box
    drawn = []
    for i in range(TRIALS):
        cells = CELLS[i % len(CELLS)]
        noise = torch.rand(1, x.shape[1], cells, cells, generator=generator, dtype=x.dtype)
        drawn.append(F.interpolate(noise, size=x.shape[2:], mode="bilinear"))
    return torch.where(torch.cat(drawn) > 0.5, high, low).to(x)
