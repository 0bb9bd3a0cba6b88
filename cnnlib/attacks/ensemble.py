"""Several attacks on each image: as robust as a network is against the best of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

import torch
from torch import nn

from cnnlib.attacks.gradient import apgd
from cnnlib.attacks.square import square
from cnnlib.geometry import as_int
from cnnlib.inputs import Result, Threat, attack_on, difference_ratio


def ensemble(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    generator: torch.Generator | None = None,
    steps: int = 100,
    targets: int = 9,
    queries: int = 5000,
) -> Result:
    """Attack each image in several ways, one after the other, until one of them fools.

    After AutoAttack, Croce and Hein (2020), https://arxiv.org/abs/2003.01690, which has no step size to choose badly:
    APGD that climbs the cross-entropy; APGD that climbs the ratio of differences towards each of the `targets`
    likeliest other classes, likeliest first; and Square, which sees no gradient and so none that is masked. Theirs has
    a fourth, FAB, between the last two: what it alone would fool is missing here. The defaults are their budgets. An
    image that withstands comes back unchanged. The history tells which images had been fooled after each attack.

    Raises ValueError for a model of fewer than four classes.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    >>> _ = model[1].weight.data.copy_(torch.eye(4)), model[1].bias.data.zero_()
    >>> x, y = torch.tensor([[0.6, 0.4, 0.1, 0.0], [0.9, 0.0, 0.0, 0.1]]).view(2, 1, 2, 2), torch.tensor([0, 0])
    >>> ensemble(model, x, y, Threat(inf, 0.2), steps=5, queries=20).success
    tensor([ True, False])
    """
    as_int("targets", targets, 1)
    with attack_on(model, x, y, threat, target=None, generator=generator, norms=(2, inf)) as victim:
        logits = victim.skip_mistaken()
        likeliest = logits.scatter(1, victim.y[:, None], -inf).argsort(1, descending=True)[:, :-1][:, :targets]
        plan: list[tuple[Callable[..., Result], dict[str, torch.Tensor]]] = [(partial(apgd, steps=steps), {})]
        towards = partial(apgd, steps=steps, loss=difference_ratio)
        plan += [(towards, {"target": target}) for target in likeliest.T]
        plan += [(partial(square, queries=queries), {})]
        images, fooled, history = victim.x, torch.zeros_like(victim.y, dtype=torch.bool), []
        seeds = torch.randint(2**62, (len(plan),), generator=victim.generator).tolist()
        for seed, (attack, target) in zip(seeds, plan, strict=True):
            rows = (~fooled).nonzero().flatten()
            own = torch.Generator().manual_seed(seed)  # whatever the images before have used up
            chosen = {name: classes[rows] for name, classes in target.items()}
            found = attack(model, victim.x[rows], victim.y[rows], threat, generator=own, **chosen)
            victim.queries.index_add_(0, victim.rows[rows], found.queries)
            with torch.no_grad():
                wrong = victim.ask(found.adversarial, rows).argmax(1) != victim.y[rows]
            images = images.index_copy(0, rows[wrong], found.adversarial[wrong])
            fooled = fooled.index_fill(0, rows[wrong], True)
            history.append(fooled.to(x.dtype))
        return victim.result(images, torch.stack(history))
