"""Losses."""

from __future__ import annotations

import numpy as np

from cnnlib import checks


def cross_entropy(
    logits: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """Return the mean of −log softmax(logits)[target].

    logits (N, C) or (N, C, …), target (N,) or (N, …) of class indices; `weight` (C,) weighs the classes, and "mean"
    divides by the sum of the targets' weights; targets equal to `ignore_index` count for nothing; `label_smoothing` ε
    replaces the one-hot target by (1 − ε) one-hot + ε/C. As in `torch.nn.functional.cross_entropy`, whose first
    argument is called input, and whose targets may also be probabilities. The mean over nothing is NaN. Raises
    ValueError, naming the argument. Bridle (1990), https://doi.org/10.1007/978-3-642-76153-9_28.

    >>> round(float(cross_entropy(np.zeros((2, 10)), np.array([3, 7]))), 4)  # ln 10
    2.3026
    """
    q, norm = _soft_targets(logits, target, weight, ignore_index, reduction, label_smoothing)
    with np.errstate(invalid="ignore"):
        losses = -np.where(q == 0, 0, q * _log_softmax(np.moveaxis(logits, 1, -1))).sum(-1)
        return losses if reduction == "none" else np.asarray(losses.sum() / norm)


def cross_entropy_backward(
    grad_output: np.ndarray | float,
    logits: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """Return grad_logits: softmax(logits) − one-hot(target), over N for the mean, for a plain target.

    With soft targets q it is softmax · Σq − q. `grad_output` is a number, or has the losses' shape for "none"; logits,
    target and options as in `cross_entropy`, which raises the same errors. Returns the shape of logits.

    >>> cross_entropy_backward(1.0, np.zeros((1, 2)), np.array([0]))
    array([[-0.5,  0.5]])
    """
    q, norm = _soft_targets(logits, target, weight, ignore_index, reduction, label_smoothing)
    upstream = np.asarray(grad_output, logits.dtype)
    expected = target.shape if reduction == "none" else ()
    if upstream.shape != expected:
        raise ValueError(f"grad_output has shape {upstream.shape}; expected {expected} for reduction {reduction!r}")
    with np.errstate(invalid="ignore", divide="ignore"):
        softmax = np.exp(_log_softmax(np.moveaxis(logits, 1, -1)))
        grad = (softmax * q.sum(-1, keepdims=True) - q) * (upstream / norm)[..., None]
    return np.moveaxis(grad, -1, 1)


def _log_softmax(x: np.ndarray) -> np.ndarray:
    """Return x − log Σ exp(x) over the last axis; the maximum is taken out first, so that exp cannot overflow."""
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _soft_targets(logits, target, weight, ignore_index, reduction, label_smoothing):
    """Return q (N, …, C), such that the loss of a target is −Σ q log softmax, and what their sum is divided by."""
    target = checks.cross_entropy_operands(logits, target, weight, ignore_index, reduction, label_smoothing, np.ndarray)
    C = logits.shape[1]
    counted = target != ignore_index
    weight = np.ones(C, logits.dtype) if weight is None else weight
    one_hot = np.where(counted, target, 0)[..., None] == np.arange(C)
    q = weight * ((1 - label_smoothing) * one_hot + label_smoothing / C) * counted[..., None]
    norm = (weight * one_hot * counted[..., None]).sum() if reduction == "mean" else 1
    return q.astype(logits.dtype, copy=False), np.asarray(norm, logits.dtype)
