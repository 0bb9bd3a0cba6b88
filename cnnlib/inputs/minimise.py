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

Solve = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]  # constants (N,) → images, which of them fool (N,)


def minimise_norm(
    x: torch.Tensor, solve: Solve, *, norm: float = 2, constant: float = 1.0, rounds: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the nearest images that fool, and which do; the others are x.

    `solve(constants)` looks for images with one constant for each, the weight of being misclassified against that of
    being near, and returns its best images and which of them fool. A constant that fools is halved towards one that
    does not; until one fools, it is multiplied by ten (Carlini and Wagner, 2017, section V, and before them Szegedy et
    al., 2014, section 4.1). What has been found in any round counts.

    >>> def solve(constants):
    ...     return constants.view(1, 1, 1, 1), constants > 0.3
    >>> nearest, fooled = minimise_norm(torch.zeros(1, 1, 1, 1), solve, rounds=12)
    >>> fooled.item(), round(nearest.item(), 2)
    (True, 0.3)
    """
    nearest, size = x.clone(), x.new_full((len(x),), inf)
    low, high = x.new_zeros(len(x)), x.new_full((len(x),), inf)
    constants = x.new_full((len(x),), constant)
    for _ in range(as_int("rounds", rounds, 0)):
        found, fools = solve(constants)
        away = distance(x, found, norm)
        closer = fools & (away < size)
        nearest, size = torch.where(closer[:, None, None, None], found, nearest), torch.where(closer, away, size)
        high, low = torch.where(fools, constants, high), torch.where(fools, low, constants)
        constants = torch.where(high < inf, (low + high) / 2, 10 * constants)
    return nearest, size < inf
