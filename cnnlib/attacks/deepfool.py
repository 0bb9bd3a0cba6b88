"""DeepFool: take the network for linear, walk to its nearest border, and look again."""

from __future__ import annotations

from math import inf

import torch
from torch import nn

from cnnlib.checks import number
from cnnlib.geometry import as_int
from cnnlib.inputs import Nearest, Result, Threat, attack_on, minimise_norm
from cnnlib.inputs.ascend import leaf

CANDIDATES = 9  # other classes that are looked at, as in the paper's program: those with the largest logits


def deepfool(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    steps: int = 50,
    overshoot: float = 0.02,
) -> Result:
    """Walk from border to border of the linearised network until one is the network's own.

    Moosavi-Dezfooli et al. (2016), algorithm 2 and equation 11, https://arxiv.org/abs/1511.04599: each step is the
    smallest change, in the norm 2 or ∞, that would fool if the network were linear here. The steps are added up, their
    sum is made longer by the share `overshoot`, and then clipped to the box. A step is 1e-4 longer than it need be, as
    in the authors' program. With a `target` the border is that between it and the class that an image still has.

    An image that would have to go farther than the threat's ε comes back unchanged; nothing is drawn. It costs a query
    before, one for each step, and one at the end.

    Raises ValueError as every attack does, for an overshoot below zero, and for a model of a single class.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> weight, bias = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([0.0, -1.0])
    >>> _ = model.load_state_dict({"1.weight": weight, "1.bias": bias})  # class 1 where 3 a + 4 b > 1
    >>> x, y = torch.zeros(1, 1, 1, 2), torch.tensor([0])
    >>> for norm in (2, inf):
    ...     found = deepfool(model, x, y, Threat(norm, 1), overshoot=0)
    ...     print([round(pixel, 3) for pixel in found.adversarial.flatten().tolist()])
    [0.12, 0.16]
    [0.143, 0.143]
    """
    steps = as_int("steps", steps, 0)
    if number("overshoot", overshoot) < 0:
        raise ValueError(f"overshoot is {overshoot!r}; expected a number of at least 0")
    with attack_on(model, x, y, threat, target=target, generator=generator, norms=(2, inf)) as victim:
        logits = victim.skip_mistaken()
        if logits.shape[1] < 2:
            raise ValueError("model has a single class; expected another one to walk to")
        if victim.target is None:
            others = logits.scatter(1, victim.y[:, None], -inf)
            rivals = others.topk(min(CANDIDATES, logits.shape[1] - 1)).indices
        else:
            rivals = victim.target[:, None]
        # how far to overshoot is here what the constant is elsewhere, and one round is all
        nearest = minimise_norm(
            victim, lambda overshoots, nearest: _walk(nearest, rivals, overshoots, steps), constant=overshoot, rounds=1
        )
        return victim.result(nearest.images, nearest.history)


def _walk(nearest: Nearest, rivals: torch.Tensor, overshoots: torch.Tensor, steps: int) -> torch.Tensor:
    """Ask about each image, and as long as it does not fool move it across the border that seems nearest."""
    victim, images = nearest.victim, nearest.victim.x
    change, rows = torch.zeros_like(images), torch.arange(len(images), device=images.device)
    longer = 1 + overshoots[:, None, None, None]
    for step in range(steps + 1):
        x = leaf(images[rows])
        with torch.enable_grad():
            logits = nearest.ask(x, rows)
            still = ~nearest.fools[rows]
            if step == steps or not still.any():
                break
            steps_to = _to_border(x, logits, rivals[rows], victim.threat.norm)
        rows = rows[still]
        change[rows] += steps_to[still]
        images = images.index_copy(0, rows, victim.threat.clip(victim.x[rows] + longer[rows] * change[rows]))
    return nearest.fools


def _to_border(x: torch.Tensor, logits: torch.Tensor, rivals: torch.Tensor, norm: float) -> torch.Tensor:
    """Return the smallest change of each image (N, …) that makes a rival (N, K) win, where the logits are linear."""
    behind = logits.gather(1, rivals) - logits.amax(1, keepdim=True)  # (N, K), negative
    slopes = torch.stack(
        [torch.autograd.grad(each.sum(), x, retain_graph=True)[0] for each in behind.unbind(1)], 1
    )  # (N, K, …)
    dual = torch.linalg.vector_norm(slopes.flatten(2), 1 if norm == inf else 2, dim=2)  # what a change of size 1 gains
    far, best = (behind.detach().abs() / (dual + 1e-8)).min(1)
    chosen = torch.arange(len(x), device=x.device)
    slope, size = slopes[chosen, best], (far + 1e-4)[:, None, None, None]
    if norm == inf:
        return size * slope.sign()
    return size * slope / (dual[chosen, best] + 1e-8)[:, None, None, None]
