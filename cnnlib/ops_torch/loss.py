"""Losses in torch, on any device: the twins of `cnnlib.ops_numpy.loss`, which explains the options."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib import checks


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
    target = checks.cross_entropy_operands(
        logits, target, weight, ignore_index, reduction, label_smoothing, torch.Tensor
    )
    return F.cross_entropy(
        logits,
        target,
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
    target = checks.cross_entropy_operands(
        logits, target, weight, ignore_index, reduction, label_smoothing, torch.Tensor
    )
    C = logits.shape[1]
    upstream = torch.as_tensor(grad_output, dtype=logits.dtype, device=logits.device)
    expected = target.shape if reduction == "none" else ()
    if upstream.shape != expected:
        raise ValueError(
            f"grad_output has shape {tuple(upstream.shape)}; expected {tuple(expected)} for reduction {reduction!r}"
        )
    counted = (target != ignore_index).unsqueeze(1).to(logits.dtype)  # (N, 1, …)
    classes = target.where(target != ignore_index, 0).unsqueeze(1)
    one_hot = torch.zeros_like(logits).scatter(1, classes, 1.0) * counted
    each = logits.new_ones(C) if weight is None else weight
    each = each.reshape(C, *[1] * (logits.ndim - 2))
    q = each * ((1 - label_smoothing) * one_hot + label_smoothing / C * counted)
    norm = (each * one_hot).sum() if reduction == "mean" else 1
    gradient = F.softmax(logits, dim=1) * q.sum(dim=1, keepdim=True) - q
    return gradient * (upstream / norm).unsqueeze(1 if reduction == "none" else 0)
