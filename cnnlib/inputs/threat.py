"""What an attacker may do to an image: how far it may be moved, in which norm, and between which numbers pixels lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch

from cnnlib.checks import number
from cnnlib.geometry import as_int
from cnnlib.inputs.draws import normal, uniform

NORMS = (0, 2, inf)


@dataclass(frozen=True)
class Threat:
    """The images within `eps` of one, in a norm, with pixels in a box; what is published is rounded to `levels`.

    `norm` is 0, 2 or `math.inf`. The "norm" 0 counts the pixels that differ, in however many channels. Raises
    ValueError for another norm, an `eps` that is negative or, for the norm 0, no integer, an empty box, or fewer than
    two levels.

    >>> threat = Threat(inf, 0.25)
    >>> threat.around(torch.tensor([[[[0.5, 0.9]]]]))(torch.tensor([[[[0.0, 2.0]]]]))
    tensor([[[[0.2500, 1.0000]]]])
    >>> Threat(2, -1)
    Traceback (most recent call last):
    ValueError: eps is -1; expected a number of at least 0
    """

    norm: float
    eps: float
    box: tuple[float, float] = (0.0, 1.0)
    levels: int = 256

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"norm is {self.norm!r}; expected 0, 2 or math.inf")
        eps = number("eps", self.eps)
        if eps < 0 or (self.norm == 0 and eps != int(eps)):
            expected = "an integer" if self.norm == 0 else "a number"
            raise ValueError(f"eps is {self.eps!r}; expected {expected} of at least 0")
        pair = isinstance(self.box, (tuple, list)) and len(self.box) == 2
        if not pair or not number("box", self.box[0]) < number("box", self.box[1]):
            raise ValueError(
                f"box is {self.box!r}; expected the least number of a pixel, and a larger one, the largest"
            )
        as_int("levels", self.levels, 2)

    def clip(self, x: torch.Tensor) -> torch.Tensor:
        """Return images with their pixels in the box."""
        return x.clamp(*self.box)

    def rounded(self, x: torch.Tensor) -> torch.Tensor:
        """Return images with their pixels at the nearest level: what is left of them in a file.

        >>> Threat(2, 1, levels=3).rounded(torch.tensor([0.1, 0.3, 0.8]))
        tensor([0.0000, 0.5000, 1.0000])
        """
        low, high = self.box
        scale = (self.levels - 1) / (high - low)
        return self.clip(((x - low) * scale).round() / scale + low)

    def around(self, x: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the function that moves images into what is allowed around x, both (N, C, H, W).

        For the norms ∞ and 0 it finds the nearest image that is allowed; for 2 it shortens what is too long, and then
        clips it.
        """
        if self.norm == inf:
            return lambda z: (z - x).clamp_(-self.eps, self.eps).add_(x).clamp_(*self.box)
        if self.norm == 2:
            return lambda z: self.clip(x + shortened(z - x, self.eps))
        return lambda z: self._nearest_sparse(x, z)

    def somewhere(self, x: torch.Tensor, generator: torch.Generator, *, count: int = 1) -> torch.Tensor:
        """Return an image that is allowed around each of x, drawn at random: where an ascent may begin.

        Uniform for ∞; for 2 in a uniform direction, at a uniform distance; for 0 with pixels of a uniform image. What
        is drawn is the same for all images, unless `count` is their number: then each has its own.
        """
        if self.norm == inf:
            step = self.eps * uniform(x, generator, count=count)
        elif self.norm == 2:
            direction = normal(x, generator, count=count)
            radius = torch.rand(count, 1, 1, 1, generator=generator).to(x) * self.eps
            step = radius * direction / lengths(direction).clamp(min=1e-12)
        else:
            low, high = self.box
            step = low + (high - low) * (1 + uniform(x, generator, count=count)) / 2 - x
        return self.around(x)(x + step)

    def _nearest_sparse(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Move the pixels whose moving brings x nearest to z; Croce and Hein (2019), https://arxiv.org/abs/1909.05040."""
        kept = self.clip(z)
        gain = ((z - x) ** 2 - (z - kept) ** 2).sum(1).flatten(1)  # (N, H · W)
        pixels = min(int(self.eps), gain.shape[1])
        chosen = torch.zeros_like(gain).scatter_(1, gain.topk(pixels).indices, 1)
        return torch.where(chosen.view(len(x), 1, *x.shape[2:]) > 0, kept, x)


def distance(x: torch.Tensor, z: torch.Tensor, norm: float) -> torch.Tensor:
    """Return how far each image of z lies from that of x, (N,), in the norm 0, 2 or ∞; both are (N, C, H, W).

    >>> x, z = torch.zeros(1, 2, 1, 3), torch.tensor([3.0, 0, 0, 4, 0, 0]).view(1, 2, 1, 3)
    >>> [distance(x, z, norm).item() for norm in NORMS]
    [1.0, 5.0, 4.0]
    """
    if norm == 0:
        return (x != z).any(1).flatten(1).sum(1).to(x.dtype)
    return torch.linalg.vector_norm((z - x).flatten(1), norm, dim=1)


def shortened(delta: torch.Tensor, eps: float) -> torch.Tensor:
    """Return (N, C, H, W) with the length of each image's change cut to `eps`, where it is larger.

    >>> shortened(torch.tensor([3.0, 4.0]).view(1, 1, 1, 2), 1.0).flatten().tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    return delta * (eps / lengths(delta).clamp(min=1e-12)).clamp(max=1)


def pick(rows: torch.Tensor, yes: torch.Tensor, no: torch.Tensor) -> torch.Tensor:
    """Return for each image that of `yes` where `rows` (N,) is true, and that of `no` elsewhere, (…, N, C, H, W)."""
    return torch.where(rows[:, None, None, None], yes, no)


def lengths(delta: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean length of each image's change, (N, 1, 1, 1)."""
    return torch.linalg.vector_norm(delta, dim=(1, 2, 3), keepdim=True)
