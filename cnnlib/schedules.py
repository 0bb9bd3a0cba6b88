"""Learning rates by step: plain functions, the same for NumPy and torch.

Set `optimiser.lr`, or torch's `group["lr"]`, to their value before each step; steps count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnlib.geometry import as_int


def step_decay(step: int, *, lr: float, milestones: Sequence[int], factor: float = 0.1) -> float:
    """Return lr, multiplied by `factor` once for every milestone that `step` has reached.

    He et al. (2016), section 4.2, https://arxiv.org/abs/1512.03385; `torch.optim.lr_scheduler.MultiStepLR`.

    >>> [round(step_decay(t, lr=0.1, milestones=(2, 4)), 6) for t in range(5)]
    [0.1, 0.1, 0.01, 0.01, 0.001]
    """
    step = as_int("step", step, 0)
    return lr * factor ** sum(step >= as_int("milestones", m, 0) for m in milestones)


def cosine(step: int, *, lr: float, steps: int, warmup: int = 0, floor: float = 0.0) -> float:
    """Return half a cosine from lr at the end of the warm-up down to `floor` at `steps`.

    During the first `warmup` steps the rate rises in a straight line, lr / warmup at step 0. Loshchilov and Hutter
    (2017), equation 5, https://arxiv.org/abs/1608.03983; without a warm-up `CosineAnnealingLR` of torch. Raises
    ValueError, naming the argument, for a step beyond `steps` and a warm-up that leaves nothing to anneal.

    >>> [round(cosine(t, lr=1.0, steps=4), 3) for t in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    step, steps, warmup = _within(step, steps), as_int("steps", steps, 1), as_int("warmup", warmup, 0)
    if warmup >= steps:
        raise ValueError(f"warmup is {warmup}; expected less than steps, {steps}")
    if step < warmup:
        return lr * (step + 1) / warmup
    return _anneal(lr, floor, (step - warmup) / (steps - warmup))


def one_cycle(
    step: int, *, lr: float, steps: int, rise: float = 0.3, start_divisor: float = 25.0, end_divisor: float = 1e4
) -> float:
    """Return one cycle: up from lr / start_divisor to lr in the first `rise` of the steps, then down for the rest.

    The last of the `steps` ends at lr / (start_divisor · end_divisor); both ways are half cosines. Smith and Topin
    (2018), https://arxiv.org/abs/1708.07120; `torch.optim.lr_scheduler.OneCycleLR`, without its momentum.

    >>> [round(one_cycle(t, lr=1.0, steps=11), 3) for t in (0, 2, 6, 10)]
    [0.04, 0.96, 0.531, 0.0]
    """
    step, steps = _within(step, steps, last=1), as_int("steps", steps, 2)
    if not 0 < rise < 1:
        raise ValueError(f"rise is {rise!r}; expected a number between 0 and 1")
    start, end, peak = lr / start_divisor, lr / start_divisor / end_divisor, rise * steps - 1
    if step < peak:
        return _anneal(start, lr, step / peak)
    return _anneal(lr, end, (step - peak) / (steps - 1 - peak))


def _anneal(start: float, end: float, fraction: float) -> float:
    """Return half a cosine from `start` to `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def _within(step: int, steps: int, last: int = 0) -> int:
    step = as_int("step", step, 0)
    if step > steps - last:
        raise ValueError(f"step is {step}; expected at most {steps - last}, of {steps} steps")
    return step
