"""How wrong a model is about images, in numbers that an attack can climb.

Each takes logits (N, classes), the labels y (N,) and targets (N,) or None, and gives one number for each image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


def cross_entropy(logits: torch.Tensor, y: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
    """Return how far the logits are from y, or how near to the target: cross-entropy with its sign, (N,).

    >>> cross_entropy(torch.zeros(1, 2), torch.tensor([0]), None)
    tensor([0.6931])
    """
    if target is None:
        return F.cross_entropy(logits, y, reduction="none")
    return -F.cross_entropy(logits, target, reduction="none")


def margin(logits: torch.Tensor, y: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
    """Return by how much another logit exceeds that of y, or the target's all others, (N,): positive where it fools.

    >>> margin(torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([0]), None)
    tensor([-2.])
    """
    chosen = (y if target is None else target)[..., None]
    own = logits.gather(-1, chosen).squeeze(-1)
    other = logits.scatter(-1, chosen, -torch.inf).amax(-1)
    return other - own if target is None else own - other


def difference_ratio(logits: torch.Tensor, y: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
    """Return the margin in units of the differences between the largest logits, so that their scale does not matter.

    Croce and Hein (2020), section 4, https://arxiv.org/abs/2003.01690: of the margin to y or, with a target, of the
    target over y. Raises ValueError for fewer than three classes, or four with a target.

    >>> [difference_ratio(k * torch.tensor([[4.0, 3.0, 2.0]]), torch.tensor([0]), None).item() for k in (1, 100)]
    [-0.5, -0.5]
    """
    least = 3 if target is None else 4
    if logits.shape[-1] < least:
        raise ValueError(f"model has {logits.shape[-1]} classes; expected at least {least} for a ratio of differences")
    largest = logits.sort(-1, descending=True).values
    if target is None:
        return margin(logits, y, None) / (largest[..., 0] - largest[..., 2]).clamp(min=1e-12)
    towards = (logits.gather(-1, target[..., None]) - logits.gather(-1, y[..., None])).squeeze(-1)
    return towards / (largest[..., 0] - largest[..., 2:4].mean(-1)).clamp(min=1e-12)
