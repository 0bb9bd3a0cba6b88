"""Rules by which an input moves along its gradient: from x, its gradient and its value to where to go next."""

from __future__ import annotations

from math import inf

import torch

from cnnlib.checks import number
from cnnlib.inputs.ascend import Project, StepRule
from cnnlib.inputs.threat import lengths, pick


def steepest(norm: float, size: float | torch.Tensor) -> StepRule:
    """Return steps along the gradient, in the way that suits a norm.

    For ∞ every pixel moves by `size`, whichever way its gradient points, and for 2 the image moves by a length of
    `size`: of all steps as long, in that norm, those let a linear objective grow most. For 0, where a projection
    decides which pixels move at all, the magnitudes of the changes have the sum `size` (Croce and Hein, 2019, section
    4, https://arxiv.org/abs/1909.05040).

    >>> x, gradient = torch.zeros(1, 1, 1, 2), torch.tensor([[[[3.0, -5.0]]]])
    >>> [steepest(norm, 8)(x, gradient, gradient).flatten().tolist() for norm in (inf, 0)]
    [[8.0, -8.0], [3.0, -5.0]]
    """
    if norm == inf:
        return lambda x, gradient, values: gradient.sign().mul_(size).add_(x)
    if norm == 2:
        return lambda x, gradient, values: x + size * gradient / lengths(gradient).clamp(min=1e-12)
    return lambda x, gradient, values: (
        x + size * gradient / gradient.abs().sum((1, 2, 3), keepdim=True).clamp(min=1e-12)
    )


class Adam:
    """Steps of Kingma and Ba (2015), algorithm 1, https://arxiv.org/abs/1412.6980, each number with its own length.

    ValueError unless the rate `lr` is positive.

    >>> rule = Adam(0.1)
    >>> round(rule(torch.zeros(1, 1), torch.tensor([[3.0]]), torch.zeros(1)).item(), 6)
    0.1
    """

    def __init__(self, lr: float, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        if number("lr", lr) <= 0:
            raise ValueError(f"lr is {lr!r}; expected a positive number")
        self.lr, self.betas, self.eps = lr, betas, eps
        self.step = 0

    def __call__(self, x: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if not self.step:
            self.first, self.second = torch.zeros_like(x), torch.zeros_like(x)
        self.step += 1
        (slow, slower), t = self.betas, self.step
        self.first = slow * self.first + (1 - slow) * gradient
        self.second = slower * self.second + (1 - slower) * gradient**2
        mean, square = self.first / (1 - slow**t), self.second / (1 - slower**t)
        return x + self.lr * mean / (square.sqrt() + self.eps)


class APGD:
    """Steps with momentum, halved for the inputs whose objective has ceased to grow; these go on from their best.

    Croce and Hein (2020), algorithm 1, https://arxiv.org/abs/2003.01690. A step goes 75 % of the way that `steepest`
    would, and 25 % of the last one once more. After 22 % of the `steps`, and then at intervals that shrink by 3 % of
    them down to 6 %, a step is halved where at most 75 % of those since have raised the objective, or where nothing has
    been won since the last time and it was not halved then. The first has the length `size`.
    """

    def __init__(self, norm: float, size: float, project: Project, *, steps: int) -> None:
        self.norm, self.first, self.project, self.done = norm, size, project, 0
        self.interval, self.shrink, self.least = (max(1, int(share * steps)) for share in (0.22, 0.03, 0.06))

    def __call__(self, x: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if self.done:
            self._note(x, gradient, values)
        else:
            self.size = torch.full_like(x[:, :1, :1, :1], self.first)
            self.best, self.best_gradient, self.best_values = x, gradient, values
            self.checked, self.halved = values, torch.ones_like(values, dtype=torch.bool)
            self.rises, self.since, self.before = torch.zeros_like(values), 0, x
        if self.since == self.interval:
            x, gradient = self._check(x, gradient)
        ahead = self.project(steepest(self.norm, self.size)(x, gradient, values))
        moved = x + 0.75 * (ahead - x) + 0.25 * (x - self.before) if self.done else ahead
        self.before, self.last, self.done = x, values, self.done + 1
        return moved

    def _note(self, x: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> None:
        self.rises, self.since = self.rises + (values > self.last), self.since + 1
        better = values > self.best_values
        self.best, self.best_gradient = pick(better, x, self.best), pick(better, gradient, self.best_gradient)
        self.best_values = torch.where(better, values, self.best_values)

    def _check(self, x: torch.Tensor, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Halve the steps that go nowhere; return x and its gradient, or the best ones where a step was halved."""
        stalled = ~self.halved & (self.checked >= self.best_values)
        self.halved = (self.rises <= 0.75 * self.interval) | stalled
        self.size = pick(self.halved, self.size / 2, self.size)
        self.checked, self.rises, self.since = self.best_values, torch.zeros_like(self.rises), 0
        self.interval = max(self.interval - self.shrink, self.least)
        return pick(self.halved, self.best, x), pick(self.halved, self.best_gradient, gradient)
