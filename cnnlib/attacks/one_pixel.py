"""One pixel: differential evolution over which pixel to change, and to what."""

from __future__ import annotations

import torch
from torch import nn

from cnnlib.geometry import as_int
from cnnlib.inputs import Result, Threat, attack_on, margin, search
from cnnlib.inputs.search import Best, first_query


def one_pixel(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    queries: int = 4000,
    population: int = 40,
) -> Result:
    """Change one pixel, or the few that ε counts, to whatever fools the model.

    Su et al. (2019), section III, https://arxiv.org/abs/1710.08864. A candidate is a row, a column and a value for
    every channel, ε times. Each of a `population` competes with a child of three others, a + (b − c) / 2, and the one
    with the larger margin stays; a child that lies outside comes back in on the other side. Pixels are rounded to the
    threat's levels before the model is asked, so that what is found is what a file holds. The norm is 0; no gradient is
    asked for, only logits: at most `queries` times, the first time of the image itself.

    Raises ValueError for a `population` of fewer than four.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[0.0], [1.0]])), model[1].bias.data.copy_(torch.tensor([32.4, 0]))
    >>> x, y = torch.full((1, 1, 8, 8), 0.5), torch.tensor([0])  # of class 0: the sum is 32
    >>> found = one_pixel(model, x, y, Threat(0, 1), queries=100)
    >>> found.success, found.l0
    (tensor([True]), tensor([1.]))
    """
    size = as_int("population", population, 4)
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(0,)) as victim:
        left = first_query(victim, queries)
        best, changes = Best(victim, margin), _Changes(threat, x)
        first = torch.rand(size, changes.pixels, 2 + x.shape[1], generator=victim.generator, dtype=x.dtype)
        genes = first.to(x.device).repeat(len(victim.x), 1, 1, 1)  # (N, population, pixels, row column values)
        values = x.new_full(genes.shape[:2], -torch.inf)
        children = genes

        def propose(rows: torch.Tensor, remaining: int) -> torch.Tensor:
            nonlocal children
            children = genes[rows]
            if remaining < left:
                a, b, c = _three_others(size, victim.generator).to(x.device)
                children = (children[:, a] + 0.5 * (children[:, b] - children[:, c])) % 1
            return changes.made(victim.x[rows], children[:, :remaining])

        def accept(rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            asked = images.shape[1]
            scores, _ = best.values_of(rows, logits)
            better = scores > values[rows, :asked]
            values[rows, :asked] = torch.where(better, scores, values[rows, :asked])
            genes[rows, :asked] = torch.where(better[..., None, None], children[:, :asked], genes[rows, :asked])
            return best.keep(rows, images, logits)

        search(best.rows, propose, accept, ask=victim.ask, budget=left)
        return victim.result(best.images, best.history)


class _Changes:
    """Images (R, C, H, W) with pixels changed as genes say: numbers from 0 to 1, (R, K, pixels, 2 + C)."""

    def __init__(self, threat: Threat, x: torch.Tensor) -> None:
        self.threat, self.shape = threat, x.shape[2:]
        self.pixels = min(int(threat.eps), x[0, 0].numel() if len(x) else 0)

    def made(self, x: torch.Tensor, genes: torch.Tensor) -> torch.Tensor:
        """Return K versions of each image, (R, K, C, H, W)."""
        high, wide = self.shape
        low, top = self.threat.box
        images = x[:, None].repeat(1, genes.shape[1], 1, 1, 1).flatten(3)  # (R, K, C, H · W)
        where = (genes[..., 0] * high).long().clamp(max=high - 1) * wide + (genes[..., 1] * wide).long().clamp(
            max=wide - 1
        )
        colours = self.threat.rounded(low + (top - low) * genes[..., 2:])
        images.scatter_(3, where[:, :, None].expand(-1, -1, x.shape[1], -1), colours.transpose(2, 3))
        return images.unflatten(3, self.shape)


def _three_others(size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw for each of a population three different others, (3, size)."""
    order = torch.rand(size, size, generator=generator).fill_diagonal_(2).argsort(1)
    return order[:, :3].T
