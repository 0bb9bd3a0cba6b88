"""Losses: of scores for classes, of numbers, of bits.

Each takes a `reduction`: "mean", "sum", or "none" for the loss of every target. Its backward takes as `grad_output` a
number, or for "none" an array of the losses' shape.
"""

from __future__ import annotations

import numpy as np

from cnnlib import checks
from cnnlib.ops_numpy.sigmoid import _sigmoid, _softplus
from cnnlib.ops_numpy.softmax import _log_softmax


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
    argument is called input, and whose targets may also be probabilities. The mean over nothing is NaN, its gradient
    0. Raises ValueError, naming the argument. Bridle (1990), https://doi.org/10.1007/978-3-642-76153-9_28; smoothing:
    Szegedy et al. (2016), section 7, https://arxiv.org/abs/1512.00567.

    >>> round(float(cross_entropy(np.zeros((2, 10)), np.array([3, 7]))), 4)  # ln 10
    2.3026
    """
    target, ignore_index = checks.loss.class_operands(
        "logits", logits, target, weight, ignore_index, reduction, np.ndarray
    )
    smoothing = checks.fraction("label_smoothing", label_smoothing)
    log_probabilities = np.moveaxis(_log_softmax(logits, 1), 1, -1)  # (N, …, C)
    weight, one_hot, of_target = _classes(log_probabilities, target, weight, ignore_index)
    with np.errstate(invalid="ignore"):  # 0 · ∞
        plain = np.where(target == ignore_index, 0, -of_target * log_probabilities.sum(-1, where=one_hot))
        loss = _reduced(plain, of_target.sum(), reduction)
        if not smoothing:
            return loss
        smooth = np.where(target == ignore_index, 0, -(weight * log_probabilities).sum(-1) / len(weight))
        return np.asarray((1 - smoothing) * loss + smoothing * _reduced(smooth, of_target.sum(), reduction))


@np.errstate(invalid="ignore")  # 0 · ∞
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

    With weighted and smoothed targets q, times grad_output, it is softmax · Σq − q. Arguments and errors as in
    `cross_entropy`. Returns the shape of logits.

    >>> cross_entropy_backward(1.0, np.zeros((1, 2)), np.array([0]))
    array([[-0.5,  0.5]])
    """
    target, ignore_index = checks.loss.class_operands(
        "logits", logits, target, weight, ignore_index, reduction, np.ndarray
    )
    smoothing = checks.fraction("label_smoothing", label_smoothing)
    softmax = np.exp(np.moveaxis(_log_softmax(logits, 1), 1, -1))  # (N, …, C)
    weight, one_hot, of_target = _classes(softmax, target, weight, ignore_index)
    upstream = _shares(grad_output, "logits", logits, target.shape, of_target.sum(), reduction)
    upstream = np.where(target == ignore_index, 0, upstream)[..., None]
    q = np.where(one_hot, (1 - smoothing) * of_target[..., None] * upstream, 0)
    if smoothing:
        q = q + smoothing / len(weight) * weight * upstream
    return np.moveaxis(softmax * q.sum(-1, keepdims=True) - q, -1, 1)


def nll_loss(
    log_probabilities: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> np.ndarray:
    """Return the mean of −log_probabilities[target], the negative log-likelihood: of log_softmax, the cross-entropy.

    log_probabilities (N, C) or (N, C, …), called input in `torch.nn.functional.nll_loss`; the rest, and the errors, as
    in `cross_entropy`.

    >>> nll_loss(np.log([[0.25, 0.75], [0.5, 0.5]]), np.array([1, 0]), reduction="none").round(4)
    array([0.2877, 0.6931])
    """
    target, ignore_index = checks.loss.class_operands(
        "log_probabilities", log_probabilities, target, weight, ignore_index, reduction, np.ndarray
    )
    log_probabilities = np.moveaxis(log_probabilities, 1, -1)
    _, one_hot, of_target = _classes(log_probabilities, target, weight, ignore_index)
    with np.errstate(invalid="ignore"):
        losses = np.where(target == ignore_index, 0, -of_target * log_probabilities.sum(-1, where=one_hot))
        return _reduced(losses, of_target.sum(), reduction)


@np.errstate(invalid="ignore")  # 0 · ∞, ∞ − ∞
def nll_loss_backward(
    grad_output: np.ndarray | float,
    log_probabilities: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> np.ndarray:
    """Return grad_log_probabilities: −weight at each target, 0 elsewhere, over Σ weight for the mean.

    >>> nll_loss_backward(1.0, np.log([[0.25, 0.75], [0.5, 0.5]]), np.array([1, 0]))
    array([[ 0. , -0.5],
           [-0.5,  0. ]])
    """
    target, ignore_index = checks.loss.class_operands(
        "log_probabilities", log_probabilities, target, weight, ignore_index, reduction, np.ndarray
    )
    _, one_hot, of_target = _classes(np.moveaxis(log_probabilities, 1, -1), target, weight, ignore_index)
    upstream = _shares(grad_output, "log_probabilities", log_probabilities, target.shape, of_target.sum(), reduction)
    return np.moveaxis(np.where(one_hot, -(of_target * upstream)[..., None], 0), -1, 1)


def mse_loss(
    x: np.ndarray, target: np.ndarray, *, weight: np.ndarray | None = None, reduction: str = "mean"
) -> np.ndarray:
    """Return the mean of weight · (x − target)², where "mean" divides by the sum of the weights.

    x, target and weight of one shape; nothing is broadcast. `torch.nn.functional.mse_loss` calls x input, and has a
    weight in its newer versions. The mean over nothing is NaN. Raises ValueError, naming the argument.

    >>> float(mse_loss(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    2.5
    """
    checks.loss.mse_operands(x, target, weight, reduction, np.ndarray)
    with np.errstate(invalid="ignore", over="ignore"):
        losses = np.square(x - target) * (1 if weight is None else weight)
        return _reduced(losses, losses.size if weight is None else weight.sum(), reduction)


@np.errstate(invalid="ignore", over="ignore")
def mse_loss_backward(
    grad_output: np.ndarray | float,
    x: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    reduction: str = "mean",
) -> tuple[np.ndarray, np.ndarray]:
    """Return (grad_x, grad_target): ±2 weight · (x − target), over the sum of the weights for the mean.

    >>> mse_loss_backward(1.0, np.array([1.0, 2.0]), np.array([0.0, 4.0]))
    (array([ 1., -2.]), array([-1.,  2.]))
    """
    checks.loss.mse_operands(x, target, weight, reduction, np.ndarray)
    norm = x.size if weight is None else weight.sum()
    slopes = 2 * (x - target) * (1 if weight is None else weight)
    grad_x = slopes * _shares(grad_output, "x", x, x.shape, norm, reduction)
    return np.asarray(grad_x), np.asarray(-grad_x)


def binary_cross_entropy_with_logits(
    logits: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    pos_weight: np.ndarray | None = None,
    reduction: str = "mean",
) -> np.ndarray:
    """Return the mean of −weight · (p · target · log σ + (1 − target) · log(1 − σ)), where σ = sigmoid(logits).

    p is `pos_weight`, or 1. Computed as (1 − t) z + (1 + (p − 1) t) log(1 + e⁻ᶻ), which does not overflow. logits and
    target of one shape, the targets usually from 0 to 1; weight and pos_weight broadcast to it, and "mean" divides by
    the number of logits whatever they weigh. All as in torch.nn.functional, where logits are called input. Raises
    ValueError, naming the argument. Cox (1958), https://doi.org/10.1111/j.2517-6161.1958.tb00292.x.

    >>> binary_cross_entropy_with_logits(np.array([0.0, 1e4]), np.array([1.0, 0.0]), reduction="none").round(4)
    array([6.931e-01, 1.000e+04])
    """
    checks.loss.binary_operands(logits, target, weight, pos_weight, reduction, np.ndarray)
    with np.errstate(invalid="ignore"):
        cost = _softplus(-logits)
        if pos_weight is not None:
            cost = (1 + (pos_weight - 1) * target) * cost
        losses = ((1 - target) * logits + cost) * (1 if weight is None else weight)
        return _reduced(losses, losses.size, reduction)


def binary_cross_entropy_with_logits_backward(
    grad_output: np.ndarray | float,
    logits: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    pos_weight: np.ndarray | None = None,
    reduction: str = "mean",
) -> tuple[np.ndarray, np.ndarray]:
    """Return (grad_logits, grad_target): without weights σ − target, and −logits.

    In general (1 + (p − 1) t) σ − p t, and p log(1 + e⁻ᶻ) − log(1 + eᶻ).

    >>> binary_cross_entropy_with_logits_backward(1.0, np.array([0.0, 1e4]), np.array([1.0, 0.0]), reduction="sum")
    (array([-0.5,  1. ]), array([    -0., -10000.]))
    """
    checks.loss.binary_operands(logits, target, weight, pos_weight, reduction, np.ndarray)
    share = _shares(grad_output, "logits", logits, logits.shape, logits.size, reduction)
    with np.errstate(invalid="ignore"):
        share = share * (1 if weight is None else weight)
        grad_logits, grad_target = _sigmoid(logits) - target, -logits
        if pos_weight is not None:
            grad_logits = (1 + (pos_weight - 1) * target) * _sigmoid(logits) - pos_weight * target
            grad_target = pos_weight * _softplus(-logits) - _softplus(logits)
        return np.asarray(grad_logits * share), np.asarray(grad_target * share)


def _classes(values, target, weight, ignore_index):
    """Return for values (N, …, C) the weight of each class, where each target stands, and its weight: 0 if ignored."""
    C = values.shape[-1]
    weight = np.ones(C, values.dtype) if weight is None else weight
    counted = target != ignore_index
    one_hot = (target[..., None] == np.arange(C)) & counted[..., None]  # (N, …, C)
    return weight, one_hot, np.where(counted, weight[np.where(counted, target, 0)], 0)


def _reduced(losses, norm, reduction):
    """Return the losses, their sum, or that over `norm`."""
    if reduction == "none":
        return np.asarray(losses)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = losses.sum()
        return np.asarray(total / np.asarray(norm, total.dtype) if reduction == "mean" else total)


def _shares(grad_output, name, values, losses, norm, reduction):
    """Return the gradient of the sum of the losses that reaches each of them: of their shape for "none", else ()."""
    checks.loss.upstream(grad_output, name, values, losses, reduction, np.ndarray)
    upstream, norm = np.asarray(grad_output, values.dtype), np.asarray(norm, values.dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        return upstream / norm if reduction == "mean" else upstream
