"""One perturbation for all images, also for those that nobody has seen yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

import torch
from torch import nn

from cnnlib.geometry import as_int
from cnnlib.inputs import Result, Threat, Victim, ascend, attack_on, cross_entropy, steepest
from cnnlib.inputs.ascend import Objective
from cnnlib.inputs.draws import draws
from cnnlib.inputs.victim import check_images

Put = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # a thing (1, …), images (N, …) → images with it

CEILING = 1.0  # of the loss: at e⁻¹ for the true class, most images have another


@dataclass(frozen=True)
class Universal:
    """A perturbation (1, C, H, W) within a threat; `history` is what was climbed, `queries` what it took."""

    perturbation: torch.Tensor = field(repr=False)
    threat: Threat
    history: torch.Tensor = field(repr=False)  # (steps,)
    queries: int

    def on(self, model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, target: torch.Tensor | None = None) -> Result:
        """Add it to images (N, C, H, W) of any model, and clip; return what that does, at one query for each.

        Raises what attacks raise, and ValueError for images of another shape.
        """
        check_images(x, self.threat)
        if x.shape[1:] != self.perturbation.shape[1:]:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {', '.join(map(str, self.shape))})")
        with attack_on(model, x, y, self.threat, target=target, generator=None) as victim:
            victim.skip_mistaken()
            return victim.result(
                self.threat.around(victim.x)(victim.x + self.perturbation.to(x)), x.new_zeros(0, len(victim.x))
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: C, H, W."""
        return tuple(self.perturbation.shape[1:])


def universal(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    steps: int = 200,
    batch_size: int = 64,
) -> Universal:
    """Find one perturbation that fools on as many images as possible, for the norms 2 and ∞.

    That there is one: Moosavi-Dezfooli et al. (2017), https://arxiv.org/abs/1610.08401. The way here is the shorter one
    of Shafahi et al. (2020), algorithm 2, https://arxiv.org/abs/1811.11304: ascent on the mean loss of a batch drawn at
    every step, projected; along the sign of the gradient for ∞. Each image's loss counts up to `CEILING`, so that none
    that is fooled already draws all the effort. Steps shrink from ε / 4 to nothing.

    Images that the model has wrong are left out. Without any it returns no perturbation, all zeros.
    """
    steps, batch_size = as_int("steps", steps, 0), as_int("batch_size", batch_size, 1)
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2, inf)) as victim:
        victim.skip_mistaken()
        least, most = threat.box
        allowed = Threat(threat.norm, threat.eps, box=(least - most, most - least))  # of differences, not of images
        start = x.new_zeros(1, *x.shape[1:])
        sizes = iter((threat.eps / 4 * (1 - torch.arange(steps) / max(1, steps))).tolist())

        def step(z: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            return steepest(threat.norm, next(sizes))(z, gradient, values)

        def add(perturbation: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
            return threat.clip(images + perturbation)

        found = ascend(
            start,
            mean_over_images(victim, add, batch_size=batch_size, ceiling=CEILING),
            step_rule=step,
            project=allowed.around(start),
            steps=steps if len(victim.x) else 0,
        )
        return Universal(found.x, threat, found.history.flatten(), int(victim.queries.sum()))


def random_signs(x: torch.Tensor, threat: Threat, *, generator: torch.Generator | None = None) -> Universal:
    """Return a perturbation of random signs as large as the threat allows, for images like x: what chance would fool.

    As for `universal` the norm is 2 or ∞; ValueError for another.

    >>> chance = random_signs(torch.zeros(5, 1, 2, 2), Threat(inf, 0.25))
    >>> chance.perturbation.abs().unique(), chance.perturbation.shape
    (tensor([0.2500]), torch.Size([1, 1, 2, 2]))
    """
    if not isinstance(threat, Threat):
        raise TypeError(f"threat is {threat!r}; expected a Threat")
    check_images(x, threat)
    if threat.norm not in (2, inf):
        raise ValueError(f"threat has the norm {threat.norm:g}; expected 2 or inf for random signs")
    signs = torch.randint(2, (1, *x.shape[1:]), generator=draws(generator)).to(x) * 2 - 1
    size = threat.eps if threat.norm == inf else threat.eps / signs.numel() ** 0.5
    return Universal(size * signs, threat, x.new_zeros(0), 0)


def mean_over_images(victim: Victim, put: Put, *, batch_size: int, ceiling: float = inf) -> Objective:
    """Return the objective of a thing (1, …) that is put on images: the mean loss of a batch of them, up to a ceiling.

    The victim's images come in a new order every time round; the last batch of a round may be smaller.
    """
    batches = _batches(len(victim.x), batch_size, victim.generator)

    def value(thing: torch.Tensor) -> torch.Tensor:
        rows = next(batches).to(thing.device)
        logits = victim.ask(put(thing, victim.x[rows]), rows)
        wanted = None if victim.target is None else victim.target[rows]
        return cross_entropy(logits, victim.y[rows], wanted).clamp(max=ceiling).mean()[None]

    return value


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    while True:
        yield from torch.randperm(count, generator=generator).split(size)
