"""Limited-memory BFGS in a box, for many inputs at once."""

from __future__ import annotations

import torch

from cnnlib.inputs.ascend import Project
from cnnlib.inputs.threat import lengths, pick


class LBFGS:
    """Steps of L-BFGS: the gradient, bent by what the last few steps have taught about how it changes.

    Nocedal and Wright (2006), algorithm 7.4, https://doi.org/10.1007/978-0-387-40065-5. What an objective curves like
    is read off the last `memory` steps s and the changes d of the gradient along them. A step that gains too little
    (Armijo's condition) is taken back and tried again at half its length, so that one of an ascent's steps is one look
    at the objective, and every input is tried at its own length.

    In a box, which `project` clips to, numbers that stand at its border and want out stay where they are while the
    others move (Bertsekas, 1982, https://doi.org/10.1137/0320018).

    >>> from cnnlib.inputs import ascend
    >>> steep = torch.tensor([[1.0, 100.0]]).view(1, 1, 1, 2)
    >>> def bowl(x):
    ...     return -(steep * (x - 0.5) ** 2).sum((1, 2, 3))
    >>> def box(x):
    ...     return x.clamp(0, 1)
    >>> ascend(torch.zeros(1, 1, 1, 2), bowl, step_rule=LBFGS(box), project=box, steps=20).x.flatten()
    tensor([0.5000, 0.5000])
    """

    def __init__(self, project: Project, *, memory: int = 8) -> None:
        self.project, self.memory = project, memory
        self.size: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if self.size is None:
            self.x, self.gradient, self.values, self.size = x, gradient, values, torch.ones_like(values)
            self.pairs = x.new_zeros(2, self.memory, *x.shape)  # steps, and changes of the gradient; newest first
        else:
            step, change = x - self.x, self.gradient - gradient  # of what is climbed, so that both point the same way
            gained = values >= self.values + 1e-4 * _dot(self.gradient, step)
            self._remember(gained, torch.stack([step, change]))
            self.x, self.gradient = pick(gained, x, self.x), pick(gained, gradient, self.gradient)
            self.values, self.size = (
                torch.where(gained, values, self.values),
                torch.where(gained, 1, self.size / 2),
            )
        return self.project(self.x + self.size[:, None, None, None] * self._direction())

    def _remember(self, gained: torch.Tensor, pair: torch.Tensor) -> None:
        """Put a pair (2, N, …) before the others, for those inputs that it took to where the objective curves."""
        curved = _dot(*pair) > 1e-8 * _dot(pair[1], pair[1])
        shifted = torch.cat([pair[:, None], self.pairs[:, :-1]], 1)
        self.pairs = pick(gained & curved, shifted, self.pairs)

    def _direction(self) -> torch.Tensor:
        """Return the gradient times the estimated inverse of the curvature, by the loop to the oldest pair and back."""
        free = self.project(self.x + self.gradient) != self.x
        q = self.gradient * free
        steps, changes = self.pairs * free
        curves = _dot(steps, changes)  # (memory, N); a pair of nothing has none, and does nothing
        inverse = torch.where(curves > 0, 1 / curves, 0)[..., None, None, None]
        weights = []
        for s, d, rho in zip(steps, changes, inverse, strict=True):
            weights.append(rho * _dot(s, q)[:, None, None, None])
            q = q - weights[-1] * d
        known = curves[0] > 0
        scale = torch.where(known, curves[0] / _dot(changes[0], changes[0]), 1 / lengths(q).flatten().clamp(min=1))
        q = scale[:, None, None, None] * q
        for s, d, rho, weight in reversed(list(zip(steps, changes, inverse, weights, strict=True))):
            q = q + (weight - rho * _dot(d, q)[:, None, None, None]) * s
        return q


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum((-3, -2, -1))
