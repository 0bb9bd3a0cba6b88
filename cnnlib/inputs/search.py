"""Search without gradients: propose, ask, accept.

Whoever sees only what a model answers can still try images and keep those that are better. One pixel, squares, an
estimated gradient and a walk along the border of a class differ in what they try and in what they keep.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnnlib.geometry import as_int
from cnnlib.inputs.losses import Loss
from cnnlib.inputs.victim import Victim

Propose = Callable[[torch.Tensor, int], torch.Tensor]  # rows (R,), queries left → images (R, K, C, H, W)
Accept = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # rows, images, logits → who is done (R,)
Ask = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # images (R · K, C, H, W), their rows → logits

AT_ONCE = 1024  # images: more gain no time, and take memory


def search(rows: torch.Tensor, propose: Propose, accept: Accept, *, ask: Ask, budget: int) -> None:
    """Ask a model about proposed images until each row is done or `budget` queries of it are spent.

    `propose(rows, left)` returns K images for each of the rows that are not done, K at most `left`, or none to stop;
    `accept(rows, images, logits)`, with the model's answers (R, K, classes), keeps what it likes and returns which rows
    are done, (R,) of bool. Both are closures over what is searched; `ask(images, rows)` is how the model is asked.
    """
    left = as_int("budget", budget, 0)
    while len(rows) and left:
        images = propose(rows, left)  # (R, K, C, H, W)
        queries = images.shape[1]
        if not 0 < queries <= left:
            return
        about = zip(images.flatten(0, 1).split(AT_ONCE), rows.repeat_interleave(queries).split(AT_ONCE), strict=True)
        logits = torch.cat([ask(*some) for some in about])
        done = accept(rows, images, logits.unflatten(0, (len(rows), queries)))
        if done.any():
            rows = rows[~done]
        left -= queries


def first_query(victim: Victim, queries: int) -> int:
    """Spend the first of an image's `queries`, if there are any, on the image itself; return how many are left.

    Raises ValueError for `queries` that is no integer of at least 0.
    """
    if not as_int("queries", queries, 0):
        return 0
    victim.skip_mistaken()
    return queries - 1


class Best:
    """What is best so far for each of a victim's images: the versions with the largest loss, and who is fooled."""

    def __init__(self, victim: Victim, loss: Loss) -> None:
        self.victim, self.loss = victim, loss
        self.images = victim.x.clone()
        self.values = victim.x.new_full((len(victim.x),), -torch.inf)
        self.steps: list[torch.Tensor] = []

    @property
    def rows(self) -> torch.Tensor:
        """All the victim's images, (N,)."""
        return torch.arange(len(self.images), device=self.images.device)

    @property
    def history(self) -> torch.Tensor:
        """The largest loss of each image after each question, (steps, N)."""
        return torch.stack(self.steps) if self.steps else self.values.new_zeros(0, len(self.values))

    def keep(self, rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Keep an image that fools, or that is better than all before; return which rows have one that fools."""
        values, fools = self.values_of(rows, logits)
        chosen = torch.where(fools, torch.inf, values).argmax(1, keepdim=True)  # (R, 1)
        value = values.gather(1, chosen).squeeze(1)
        done = fools.gather(1, chosen).squeeze(1)
        better = (done | (value > self.values[rows])).nonzero().flatten()
        kept = rows[better]
        self.images[kept] = images[better, chosen[better, 0]]
        self.values[kept] = value[better]
        self.steps.append(self.values.clone())
        return done

    def values_of(self, rows: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of every answer (R, K, classes) and whether it is that of a fooled model, both (R, K)."""
        y, target = self.victim.y[rows], self.victim.target
        queries = logits.shape[1]
        values = self.loss(
            logits.flatten(0, 1),
            y.repeat_interleave(queries),
            None if target is None else target[rows].repeat_interleave(queries),
        )
        return values.view(-1, queries), self.victim.fooled(logits, rows)
