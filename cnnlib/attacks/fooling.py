"""Images that show nothing, and that a network is sure about."""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
from torch import nn

from cnnlib.checks import fraction, number
from cnnlib.geometry import as_int
from cnnlib.inputs import Threat, Victim, ascend, attack_on, cross_entropy, search, steepest
from cnnlib.inputs.threat import pick


class Fooling(NamedTuple):
    """Images (N, C, H, W), how sure the model is of the class wanted, (N,), and how often it was asked, (N,)."""

    images: torch.Tensor
    confidence: torch.Tensor
    queries: torch.Tensor


def fooling_by_ascent(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    confidence: float = 0.99,
    steps: int = 200,
    step_size: float = 0.1,
) -> Fooling:
    """Climb from images x (N, C, H, W), grey or noise, until the model gives each its class y with some confidence.

    Nguyen et al. (2015), section 3.7, https://arxiv.org/abs/1412.1897. Steps go along the gradient of the logarithm of
    the class's probability and have the length `step_size`; pixels stay from 0 to 1. An image that the model is sure of
    moves no further. Raises ValueError for bad images or classes, a confidence beyond 0 to 1, or a step without length.
    """
    wanted = _logarithm(confidence)
    if number("step_size", step_size) <= 0:
        raise ValueError(f"step_size is {step_size!r}; expected a positive number")
    rule = steepest(2, step_size)
    with attack_on(model, x, y, Threat(2, 0), target=None, generator=None) as victim:
        found = ascend(
            x,
            lambda z: -cross_entropy(victim.ask(z), y, None),
            step_rule=lambda z, gradient, values: pick(values < wanted, rule(z, gradient, values), z),
            project=victim.threat.clip,
            steps=steps,
        )
        with torch.no_grad():
            values = -cross_entropy(victim.ask(found.x), y, None)
        return Fooling(found.x, values.exp(), victim.queries)


def fooling_by_evolution(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    confidence: float = 0.99,
    budget: int = 5000,
    children: int = 10,
    generator: torch.Generator | None = None,
) -> Fooling:
    """Change images x (N, C, H, W) at random, and keep what makes the model surer of the classes y (N,).

    Nguyen et al. (2015), section 2.2, https://arxiv.org/abs/1412.1897, breed pixels under MAP-Elites, where an image
    may come to be the best of a class that it was not bred for. Here is the simplest evolution there is, each image by
    itself: its `children` get normal changes in a fiftieth of their numbers, and the best of them replaces it if it is
    better. No gradient is seen. A query is spent on x, and at most `budget` on children. Raises ValueError as
    `fooling_by_ascent`.
    """
    wanted, children = _logarithm(confidence), as_int("children", children, 1)
    with attack_on(model, x, y, Threat(2, 0), target=None, generator=generator) as victim:
        line = _Line(victim, children, wanted)
        search(line.unsure(), line.propose, line.accept, ask=victim.ask, budget=budget)
        return Fooling(line.images, line.values.exp(), victim.queries)


class _Line:
    """The best images so far, the logarithms of their confidence, and how they are bred."""

    RATE, SIZE = 0.02, 0.3  # of the numbers that a child has changed, and by how much

    def __init__(self, victim: Victim, children: int, wanted: float) -> None:
        self.victim, self.children, self.wanted = victim, children, wanted
        self.images = victim.x.clone()
        with torch.no_grad():
            self.values = -cross_entropy(victim.ask(victim.x), victim.y, None)

    def unsure(self) -> torch.Tensor:
        return (self.values < self.wanted).nonzero().flatten()

    def propose(self, rows: torch.Tensor, left: int) -> torch.Tensor:
        shape = (min(self.children, left), *self.images.shape[1:])  # all lines meet the same changes
        changed = torch.rand(shape, generator=self.victim.generator) < self.RATE
        change = self.SIZE * torch.randn(shape, generator=self.victim.generator) * changed
        return self.victim.threat.clip(self.images[rows][:, None] + change.to(self.images))

    def accept(self, rows: torch.Tensor, images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        values = logits.log_softmax(2).gather(2, self.victim.y[rows][:, None, None].expand(-1, logits.shape[1], 1))
        value, best = values.squeeze(2).max(1)
        better = value > self.values[rows]
        bred = images[torch.arange(len(rows), device=rows.device), best]
        self.images[rows] = pick(better, bred, self.images[rows])
        self.values[rows] = torch.where(better, value, self.values[rows])
        return self.values[rows] >= self.wanted


def _logarithm(confidence: float) -> float:
    return log(max(fraction("confidence", confidence), 1e-38))
