"""NES: the gradient estimated from logits, then followed as if it were the gradient."""

from __future__ import annotations

from math import inf

import torch
from torch import nn

from cnnlib.inputs import Result, Threat, attack_on, margin, search, steepest
from cnnlib.inputs.draws import normal
from cnnlib.inputs.search import Best, first_query

SIGMA = 1e-3  # how far the images lie that are asked about


def nes(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    queries: int = 5000,
    samples: int = 50,
) -> Result:
    """Estimate each gradient from pairs of images on either side, and climb within the threat as PGD does.

    Ilyas et al. (2018), section 2.2, https://arxiv.org/abs/1804.08598: natural evolution strategies with
    antithetic samples. Of `samples` questions for a step, half are about x + σu and half about x − σu, with σ = 0.001
    and normal u; the differences of their margins, times u, point uphill on average. At most `queries` are asked, the
    first about the image itself, and one about the image after every step. The norm is 2 or ∞.

    Raises ValueError for `samples` that are no even number of at least 2.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[0.0], [1.0]])), model[1].bias.data.copy_(torch.tensor([32.8, 0]))
    >>> x, y = torch.full((1, 1, 8, 8), 0.5), torch.tensor([0])  # of class 0: the sum is 32
    >>> nes(model, x, y, Threat(inf, 0.02), queries=500).success
    tensor([True])
    """
    if not isinstance(samples, int) or samples < 2 or samples % 2:
        raise ValueError(f"samples is {samples!r}; expected an even number of at least 2")
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2, inf)) as victim:
        left = first_query(victim, queries)
        best, current = Best(victim, margin), victim.x.clone()
        step = steepest(threat.norm, 2.5 * threat.eps / max(1, left // (samples + 1)))

        def propose(rows: torch.Tensor, left: int) -> torch.Tensor:
            pairs = samples // 2 if left > samples else 0  # none: the last question is about the image alone
            noise = normal(x, victim.generator, count=pairs)
            return current[rows, None] + SIGMA * torch.cat([torch.zeros_like(x[0])[None], noise, -noise])

        def accept(rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            centre = images[:, :1]
            done = best.keep(rows, centre, logits[:, :1])
            if images.shape[1] == 1:
                return torch.ones_like(done)
            values, _ = best.values_of(rows, logits[:, 1:])
            gradient = (values[:, :, None, None, None] * (images[:, 1:] - centre)).mean(1)
            current[rows] = threat.around(victim.x[rows])(step(current[rows], gradient, values))
            return done

        search(best.rows, propose, accept, ask=victim.ask, budget=left)
        return victim.result(best.images, best.history)
