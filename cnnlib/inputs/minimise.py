"""The smallest change that does it.

An attack within ε asks whether an image can be fooled; these ask how far one has to go. Two wishes pull at the image,
to be near and to fool, and a constant says how much the second one weighs. The smallest constant that still fools
gives the nearest image: that is found by halving.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import torch

from cnnlib.geometry import as_int
from cnnlib.inputs.threat import distance
from cnnlib.inputs.victim import Victim


class Nearest:
    """The nearest images that fool, (N, C, H, W), of all that a victim was asked about; where none does, x.

    What lies farther away than `within`, for which the threat's ε is taken, does not count. `size` is how far they are,
    (N,), `fools` tells which images have fooled in this round, at whatever distance, and `history` has the sizes after
    every round, (rounds, N).
    """

    def __init__(self, victim: Victim, *, within: float | None = None) -> None:
        self.victim, self.images = victim, victim.x.clone()
        self.within = victim.threat.eps if within is None else within
        self.sizes: list[torch.Tensor] = []
        self.size = victim.x.new_full((len(victim.x),), inf)
        self.fools = torch.zeros_like(victim.y, dtype=torch.bool)

    def keep(self, rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Keep of K versions of each of some images the nearest that fools, if it is nearer than any before.

        `images` are (R, K, C, H, W) and `logits` (R, K, classes); returns which of them fool, (R, K).
        """
        fools = self.victim.fooled(logits, rows)
        x = self.victim.x[rows, None].expand_as(images)
        sizes = distance(x.flatten(0, 1), images.flatten(0, 1), self.victim.threat.norm).view(fools.shape)
        size, chosen = torch.where(fools & (sizes <= self.within), sizes, inf).min(1)
        nearer = (size < self.size[rows]).nonzero().flatten()
        self.images[rows[nearer]] = images[nearer, chosen[nearer]]
        self.size[rows[nearer]] = size[nearer]
        return fools

    def ask(self, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the logits of a version of each of some images, (R, C, H, W), and keep those that are nearer."""
        logits = self.victim.ask(images, rows)
        with torch.no_grad():
            self.fools[rows] |= self.keep(rows, images.detach()[:, None], logits[:, None]).squeeze(1)
        return logits

    @property
    def history(self) -> torch.Tensor:  # noqa: D102
        return torch.stack(self.sizes) if self.sizes else self.size.new_zeros(0, len(self.size))


Solve = Callable[[torch.Tensor, Nearest], torch.Tensor]  # constants (N,), through what to ask → which fool (N,)


def minimise_norm(victim: Victim, solve: Solve, *, constant: float = 1.0, rounds: int = 1) -> Nearest:
    """Return the nearest images that fool a victim, of all that `solve` has asked about.

    `solve(constants, nearest)` looks for images with one constant for each, the weight of being misclassified against
    that of being near, asks about them by `nearest.ask`, and returns which of the constants fool. Until one fools it
    is multiplied by ten, until one does not divided by ten, and from there on halved in its logarithm: constants that
    suit a network may be of any order. Carlini and Wagner (2017), section V, https://arxiv.org/abs/1608.04644, halve
    the constant itself; Szegedy et al. (2014), section 4.1, https://arxiv.org/abs/1312.6199, searched for it first.

    >>> from cnnlib.inputs import Threat, attack_on
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1, 2))
    >>> weight, bias = torch.tensor([[0.0], [1.0]]), torch.tensor([0.3, 0.0])
    >>> _ = model.load_state_dict({"1.weight": weight, "1.bias": bias})  # class 1 where the only pixel is above 0.3
    >>> def solve(constants, nearest):
    ...     nearest.ask(constants.view(1, 1, 1, 1), torch.tensor([0]))
    ...     return nearest.fools
    >>> x, y = torch.zeros(1, 1, 1, 1), torch.tensor([0])
    >>> with attack_on(model, x, y, Threat(2, 1), target=None, generator=None) as victim:
    ...     nearest = minimise_norm(victim, solve, rounds=12)
    >>> round(nearest.images.item(), 2)
    0.3
    """
    nearest = Nearest(victim)
    low, high = torch.zeros_like(nearest.size), torch.full_like(nearest.size, inf)
    constants = torch.full_like(nearest.size, constant)
    for _ in range(as_int("rounds", rounds, 0)):
        nearest.fools = torch.zeros_like(nearest.fools)
        fools = solve(constants, nearest)
        high, low = torch.where(fools, constants, high), torch.where(fools, low, constants)
        constants = torch.where(low == 0, high / 10, torch.where(high < inf, (low * high).sqrt(), 10 * low))
        nearest.sizes.append(nearest.size.clone())
    return nearest
