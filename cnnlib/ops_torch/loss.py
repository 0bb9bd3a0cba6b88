"""Losses in torch, on any device: the twins of `cnnlib.ops_numpy.loss`, which explains the options."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib import checks

REDUCTIONS = ("mean", "sum", "none")


def cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the mean of −log softmax(logits)[target].

    >>> round(float(cross_entropy(torch.zeros(2, 10), torch.tensor([3, 7]))), 4)  # ln 10
    2.3026
    """
    _check(logits, target, weight, ignore_index, reduction, label_smoothing)
    return F.cross_entropy(
        logits,
        target.long(),
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def cross_entropy_backward(
    grad_output: torch.Tensor | float,
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return grad_logits: softmax(logits) − one-hot(target), over N for the mean, for a plain target.

    >>> cross_entropy_backward(1.0, torch.zeros(1, 2), torch.tensor([0]))
    tensor([[-0.5000,  0.5000]])
    """
    _check(logits, target, weight, ignore_index, reduction, label_smoothing)
    C = logits.shape[1]
    upstream = torch.as_tensor(grad_output, dtype=logits.dtype, device=logits.device)
    expected = target.shape if reduction == "none" else ()
    if upstream.shape != expected:
        raise ValueError(
            f"grad_output has shape {tuple(upstream.shape)}; expected {tuple(expected)} for reduction {reduction!r}"
        )
    counted = (target != ignore_index).unsqueeze(1).to(logits.dtype)  # (N, 1, …)
    classes = target.long().where(target != ignore_index, 0).unsqueeze(1)
    one_hot = torch.zeros_like(logits).scatter(1, classes, 1.0) * counted
    each = logits.new_ones(C) if weight is None else weight
    each = each.reshape(C, *[1] * (logits.ndim - 2))
    q = each * ((1 - label_smoothing) * one_hot + label_smoothing / C * counted)
    norm = (each * one_hot).sum() if reduction == "mean" else 1
    gradient = F.softmax(logits, dim=1) * q.sum(dim=1, keepdim=True) - q
    return gradient * (upstream / norm).unsqueeze(1 if reduction == "none" else 0)


def _check(logits, target, weight, ignore_index, reduction, label_smoothing) -> None:
    checks.floating("logits", logits, torch.Tensor)
    if logits.ndim < 2 or logits.shape[1] == 0:
        raise ValueError(f"logits has shape {tuple(logits.shape)}; expected (N, C) or (N, C, …)")
    C = logits.shape[1]
    expected = (logits.shape[0], *logits.shape[2:])
    if not isinstance(target, torch.Tensor) or target.is_floating_point() or tuple(target.shape) != expected:
        found = f"{target.dtype} {tuple(target.shape)}" if isinstance(target, torch.Tensor) else type(target).__name__
        raise ValueError(f"target is {found}; expected class indices, integers of shape {expected}")
    wrong = target[(target != ignore_index) & ((target < 0) | (target >= C))]
    if wrong.numel():
        raise ValueError(f"target holds {int(wrong[0])}; expected classes from 0 to {C - 1}, or {ignore_index}")
    if weight is not None:
        checks.shaped("weight", weight, (C,), torch.Tensor)
        checks.like("weight", weight, "logits", logits)
    checks.choice("reduction", reduction, REDUCTIONS)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing!r}; expected a number from 0 to 1")
