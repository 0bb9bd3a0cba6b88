"""Square attack: change a window at random, and keep what makes the model less sure."""

from __future__ import annotations

from math import inf, sqrt

import torch
from torch import nn

from cnnlib.checks import number
from cnnlib.inputs import Result, Threat, attack_on, cross_entropy, margin, search
from cnnlib.inputs.search import Best, first_query
from cnnlib.inputs.threat import lengths

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # queries of 10 000 after which the share is halved


def square(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    queries: int = 5000,
    share: float = 0.8,
) -> Result:
    """Try windows of random place and colour, ever smaller, and keep those that bring the model nearer to an error.

    Andriushchenko et al. (2020), algorithms 1 to 3, https://arxiv.org/abs/1912.00049. The norm is ∞, where a window
    moves by ε up or down in each channel, or 2, where it is given the length that another one loses. The first windows
    have a `share` of the pixels. No gradient is asked for, only logits: at most `queries` times, the first time of the
    image itself.

    Raises ValueError for a `share` that is not above 0 and at most 1.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[0.0], [1.0]])), model[1].bias.data.copy_(torch.tensor([32.8, 0]))
    >>> x, y = torch.full((1, 1, 8, 8), 0.5), torch.tensor([0])  # of class 0: the sum is 32
    >>> square(model, x, y, Threat(inf, 0.02), queries=100).success
    tensor([True])
    """
    if not 0 < number("share", share) <= 1:
        raise ValueError(f"share is {share!r}; expected a share of the pixels, above 0 and at most 1")
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2, inf)) as victim:
        left = first_query(victim, queries)
        best = Best(victim, margin if target is None else cross_entropy)
        propose = (_Signs if threat.norm == inf else _Bumps)(victim.x, best.images, threat, victim.generator)

        def window(rows: torch.Tensor, remaining: int) -> torch.Tensor:
            if remaining == left:
                return propose.start(rows)[:, None]
            used = 10_000 * (left - 1 - remaining) / left
            pixels = share * x[0, 0].numel() / 2 ** sum(used > after for after in HALVINGS)
            return propose(rows, round(sqrt(pixels)))[:, None]

        search(best.rows, window, best.keep, ask=victim.ask, budget=left)
        return victim.result(best.images, best.history)


class _Windows:
    """Proposals around x (N, C, H, W), from the best images so far, with draws that are the same for all."""

    def __init__(self, x: torch.Tensor, best: torch.Tensor, threat: Threat, generator: torch.Generator) -> None:
        self.x, self.best, self.threat, self.generator = x, best, threat, generator

    def place(self, side: int) -> tuple[slice, slice]:
        """Draw where a square window lies."""
        tops = (self.x.shape[axis] - side + 1 for axis in (2, 3))
        top, left = (int(torch.randint(count, (), generator=self.generator)) for count in tops)
        return slice(top, top + side), slice(left, left + side)

    def signs(self, *shape: int) -> torch.Tensor:
        """Draw −1 or 1, each as often."""
        return (2 * torch.randint(2, shape, generator=self.generator) - 1).to(self.x)


class _Signs(_Windows):
    """Windows in which every channel moves by ε, up or down (algorithm 2)."""

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        """Return vertical stripes."""
        channels, width = self.x.shape[1], self.x.shape[3]
        return self.threat.clip(self.x[rows] + self.threat.eps * self.signs(1, channels, 1, width))

    def __call__(self, rows: torch.Tensor, side: int) -> torch.Tensor:
        high, wide = self.place(min(max(side, 1), *self.x.shape[2:]))
        images = self.best[rows]
        moved = self.x[rows, :, high, wide] + self.threat.eps * self.signs(self.x.shape[1], 1, 1)
        images[:, :, high, wide] = self.threat.clip(moved)
        return images


class _Bumps(_Windows):
    """Windows that are given a bump, with the length that is left and that of another window (algorithm 3)."""

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        """Return a tiling with bumps, five in each direction."""
        channels, high, wide = self.x.shape[1:]
        side = max(1, min(high, wide) // 5)
        delta = self.x.new_zeros(1, channels, high, wide)
        for top in range(high % side // 2, high - side + 1, side):
            for left in range(wide % side // 2, wide - side + 1, side):
                delta[:, :, top : top + side, left : left + side] = self.bump(side)
        return self.at_eps(rows, delta.expand(len(rows), -1, -1, -1))

    def __call__(self, rows: torch.Tensor, side: int) -> torch.Tensor:
        side = min(max(side, 3) | 1, *self.x.shape[2:])
        window, other = self.place(side), self.place(side)
        delta = self.best[rows] - self.x[rows]
        unused = (self.threat.eps**2 - lengths(delta) ** 2).clamp(min=0) / delta.shape[1]
        kept = delta[:, :, *window]
        bump = self.bump(side) + kept / _window_lengths(kept)
        before = (delta**2).sum((2, 3), keepdim=True)
        delta[:, :, *other] = 0
        delta[:, :, *window] = 0
        freed = before - (delta**2).sum((2, 3), keepdim=True)  # what both windows had, (R, C, 1, 1)
        delta[:, :, *window] = bump / _window_lengths(bump) * (unused + freed.clamp(min=0)).sqrt()
        return self.at_eps(rows, delta)

    def at_eps(self, rows: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
        """Return x changed by a delta of the length ε, before it is clipped."""
        return self.threat.clip(self.x[rows] + delta * (self.threat.eps / lengths(delta).clamp(min=1e-12)))

    def bump(self, side: int) -> torch.Tensor:
        """Draw a change of length 1 in each channel, half of it up and half down, (C, side, side)."""
        shape = torch.cat([_pyramid(side // 2, side), -_pyramid(side - side // 2, side)])
        if int(torch.randint(2, (), generator=self.generator)):
            shape = shape.T
        return self.signs(self.x.shape[1], 1, 1) * (shape / _window_lengths(shape)).to(self.x)


def _pyramid(high: int, wide: int) -> torch.Tensor:
    """Return nested rectangles that add 1, 1/4, 1/9 … from the smallest to the largest, (high, wide)."""
    delta = torch.zeros(high, wide, dtype=torch.float64)
    row, column = high // 2, wide // 2
    for k in range(max(row, column) + 1):
        delta[max(row - k, 0) : row + k + 1, max(column - k, 0) : column + k + 1] += 1 / (k + 1) ** 2
    return delta / _window_lengths(delta)


def _window_lengths(delta: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(delta, dim=(-2, -1), keepdim=True).clamp(min=1e-12)
