"""Fooling a linear classifier: the one case in which the smallest change can be written down."""

from __future__ import annotations

from math import inf

import torch

from cnnlib.inputs.threat import NORMS, Threat
from cnnlib.inputs.victim import check_aim, check_logits


def fool_linear(
    weight: torch.Tensor,
    bias: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    norm: float,
    box: tuple[float, float] | None = None,
    target: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the smallest changes of x that take logits x Wᵀ + b to a border, (N, D), and their sizes (N,).

    `weight` is (K, D) and `bias` (K,), as in `torch.nn.Linear`, or of a single row, whose sign decides between the
    classes 0 and 1; `x` is (N, D), `y` and `target` are (N,). On the border another class, or the target, draws level:
    anything beyond fools. Where it has drawn level already, the change is zero.

    Let w be the weights of a rival less those of y, and m the lead of y. Without a `box` the change of x is m sign(w) /
    ‖w‖₁ for the norm ∞ and α w with α = m / ‖w‖² for 2, of sizes m / ‖w‖₁ and m / ‖w‖₂; for 0 the one number with the
    largest weight moves as far as it takes. With a box, numbers that reach its end stop there and the others make up
    for it, which is still exact; for 0 the numbers that can do most go first. Of the rivals the nearest is taken. If
    none can be reached the change is zero and the size infinite.

    A step of ε along sign(w) moves the score by ε ‖w‖₁: D times ε times the mean magnitude of a weight. Noise of the
    same size moves it by about √D times that, so with many pixels a change that is small in each outdoes the lead
    (Goodfellow et al., 2015, section 3, https://arxiv.org/abs/1412.6572).

    Raises TypeError for classes that are no tensors, and ValueError for other shapes, labels of no class, a target that
    is the label, another norm, no box, and numbers outside it.

    >>> for pixels in (4, 400):
    ...     w, x = torch.ones(1, pixels), torch.zeros(1, pixels)
    ...     print([round(fool_linear(w, -torch.ones(1), x, torch.tensor([0]), norm=p)[1].item(), 4) for p in (inf, 2)])
    [0.25, 0.5]
    [0.0025, 0.05]
    """
    _check(weight, bias, x, norm, box)
    weight, bias, x = weight.detach(), bias.detach(), x.detach()
    if len(weight) == 1:  # the sign of one score: the other class scores 0
        weight, bias = (torch.cat([torch.zeros_like(each), each]) for each in (weight, bias))
    check_aim(y, target, x)
    logits = x @ weight.T + bias
    check_logits(logits, x, y, target)
    towards = weight - weight[y][:, None]  # (N, K, D)
    lead = (logits.gather(1, y[:, None]) - logits).clamp(min=0)  # (N, K)
    low, high = box or (-inf, inf)
    room = torch.where(towards > 0, high - x[:, None], x[:, None] - low)
    moves, sizes = _sparse(towards.abs(), room, lead) if norm == 0 else _dense(towards.abs(), room, lead, norm)
    allowed = torch.zeros_like(sizes, dtype=torch.bool)
    allowed.scatter_(1, (y if target is None else target)[:, None], True)
    sizes, nearest = sizes.masked_fill(allowed == (target is None), inf).min(1)
    rows = torch.arange(len(x), device=x.device)
    change = towards[rows, nearest].sign() * moves[rows, nearest]
    return torch.where((sizes < inf)[:, None], change, 0), sizes


def _dense(
    slope: torch.Tensor, room: torch.Tensor, lead: torch.Tensor, norm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how far each number moves, (N, K, D), and the sizes (N, K): as far as t · pace, or as there is room.

    The pace is 1 for the norm ∞ and the slope for 2. What that gains, Σ slope · min(t · pace, room), is concave in t: a
    number that runs out of room makes it less steep. It is the least of the lines that its pieces lie on, and so the t
    at which it makes up for the lead is the largest of theirs.
    """
    pace = torch.ones_like(slope) if norm == inf else slope
    nothing = torch.zeros_like(slope[..., :1])
    if (room == inf).all():  # a single piece, on which all of them move
        full, rate = nothing, (slope * pace).sum(-1, keepdim=True)
    else:
        first = (room / pace).argsort(-1)  # which runs out of room first
        full = torch.where(slope > 0, slope * room, 0).gather(-1, first).cumsum(-1)
        rate = (slope * pace).gather(-1, first).flip(-1).cumsum(-1).flip(-1)
        full, rate = torch.cat([nothing, full], -1), torch.cat([rate, nothing], -1)  # who stopped, and the others
    missing = lead[..., None] - full
    t = torch.where(rate > 0, missing / rate, torch.where(missing > 0, inf, 0.0)).amax(-1)
    moves = torch.minimum(torch.where(t < inf, t, 0)[..., None] * pace, room)
    return moves, torch.where(t < inf, torch.linalg.vector_norm(moves, norm, dim=-1), inf)


def _sparse(slope: torch.Tensor, room: torch.Tensor, lead: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the same for the norm 0: one number after the other, and the last only as far as it takes."""
    gain = torch.where(slope > 0, slope * room, 0)
    order = torch.where(room < inf, gain, slope).argsort(-1, descending=True)
    gains = gain.gather(-1, order).cumsum(-1)
    missing = lead[..., None] - torch.cat([torch.zeros_like(gains[..., :1]), gains[..., :-1]], -1)
    moves = torch.minimum((missing / slope.gather(-1, order)).clamp(min=0), room.gather(-1, order))
    moves = torch.zeros_like(moves).scatter(-1, order, torch.where(slope.gather(-1, order) > 0, moves, 0))
    return moves, torch.where(gains[..., -1] >= lead, (moves > 0).sum(-1).to(slope.dtype), inf)


def _check(
    weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor, norm: float, box: tuple[float, float] | None
) -> None:
    for name, tensor in (("weight", weight), ("bias", bias), ("x", x)):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} is {type(tensor).__name__}; expected a torch.Tensor")
        if not tensor.is_floating_point() or tensor.dtype != x.dtype or not tensor.isfinite().all():
            raise ValueError(f"{name} is {tensor.dtype}, {tensor}; expected finite floats, all of one kind")
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or x.ndim != 2 or x.shape[1] != weight.shape[1]:
        found = f"weight is {tuple(weight.shape)}, bias {tuple(bias.shape)} and x {tuple(x.shape)}"
        raise ValueError(f"{found}; expected (K, D), (K,) and (N, D)")
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; expected 0, 2 or math.inf")
    if box is not None:
        Threat(norm, 0, box=box)  # which refuses what is no box
    if box is not None and x.numel() and not box[0] <= x.min() <= x.max() <= box[1]:
        raise ValueError(f"x runs from {x.min():g} to {x.max():g}; expected numbers from {box[0]:g} to {box[1]:g}")
