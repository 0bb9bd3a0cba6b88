"""Trainings whose loss is no longer a number: found, and explained as far as one can."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Diverged(ArithmeticError):
    """The loss, or a weight, is no longer a finite number."""


def check_losses(
    losses: torch.Tensor,
    *,
    first_step: int,
    schedule: Callable[[int], float],
    images: torch.Tensor,
    batch: torch.Tensor,
    precision: str,
) -> None:
    """Raise Diverged if one of the losses since `first_step` is not finite: with its step and the likely cause.

    `batch` is what the network was given last, made from `images`.

    >>> check_losses(
    ...     torch.tensor([2.3, torch.nan]),
    ...     first_step=10,
    ...     schedule=lambda step: 30.0,
    ...     images=torch.ones(1),
    ...     batch=torch.ones(1),
    ...     precision="float32",
    ... )
    Traceback (most recent call last):
    ...
    cnnlib.divergence.Diverged: the loss is nan at step 11; probably the learning rate, 30, is too large
    """
    wrong = (~losses.isfinite()).nonzero()
    if not len(wrong):
        return
    at = int(wrong[0])
    step = first_step + at
    if not images.isfinite().all():
        cause = "because the images hold NaN or infinity"
    elif not batch.isfinite().all():
        cause = "because the augmentation made NaN or infinity of the images"
    elif step == 0:
        cause = "because the weights were not finite, or far too large, before the first step"
    elif precision == "float16" and not (losses[:at] > 100).any():
        cause = "because float16 ends at 65504: try bfloat16"
    else:
        cause = f"the learning rate, {schedule(step):.3g}, is too large"
    raise Diverged(f"the loss is {losses[at].item()} at step {step}; probably {cause}")


def check_epoch(model: nn.Module, validation_loss: float, *, step: int, lr: float) -> None:
    """Raise Diverged if, after `step`, a weight or the validation loss is not finite: nothing could go on from there.

    >>> check_epoch(nn.Linear(1, 1), torch.inf, step=9, lr=2.0)
    Traceback (most recent call last):
    ...
    cnnlib.divergence.Diverged: the validation loss is inf after step 9; probably the learning rate, 2, is too large
    """
    likely = f"after step {step}; probably the learning rate, {lr:.3g}, is too large"
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise Diverged(f"{name} is not finite {likely}")
    if not torch.tensor(validation_loss).isfinite():
        raise Diverged(f"the validation loss is {validation_loss} {likely}")
