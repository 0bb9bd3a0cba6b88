"""Search without gradients: propose, ask, accept.

Whoever sees only what a model answers can still try images and keep those that are better. One pixel, squares, an
estimated gradient and a walk along the border of a class differ in what they try and in what they keep.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnnlib.geometry import as_int

Propose = Callable[[torch.Tensor, int], torch.Tensor]  # rows (R,), queries left → images (R, K, C, H, W)
Accept = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # rows, images, logits → who is done (R,)
Ask = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # images (R · K, C, H, W), their rows → logits


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
        logits = ask(images.flatten(0, 1), rows.repeat_interleave(queries))
        done = accept(rows, images, logits.unflatten(0, (len(rows), queries)))
        rows, left = rows[~done], left - queries
