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
    target, ignore_index = checks.loss.class_operands(
        "logits", logits, target, weight, ignore_index, reduction, torch.Tensor
    )
    return F.cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=checks.fraction("label_smoothing", label_smoothing),
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

    By the chain rule through log-softmax: g − softmax · Σg, where g is what its logarithm receives.

    >>> cross_entropy_backward(1.0, torch.zeros(1, 2), torch.tensor([0]))
    tensor([[-0.5000,  0.5000]])
    """
    target, ignore_index = checks.loss.class_operands(
        "logits", logits, target, weight, ignore_index, reduction, torch.Tensor
    )
    smoothing = checks.fraction("label_smoothing", label_smoothing)
    upstream, classes, of_target = _upstream(grad_output, "logits", logits, target, weight, ignore_index, reduction)
    received = torch.zeros_like(logits).scatter(1, classes, -(1 - smoothing) * upstream * of_target)
    if smoothing:
        each = logits.new_ones(logits.shape[1]) if weight is None else weight
        each = each.reshape(-1, *[1] * (logits.ndim - 2))  # (C, 1, …)
        received = received - smoothing / len(each) * each * upstream
    return received - F.softmax(logits, dim=1) * received.sum(dim=1, keepdim=True)


def nll_loss(
    log_probabilities: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> torch.Tensor:
    """Return the mean of −log_probabilities[target].

    >>> nll_loss(torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log(), torch.tensor([1, 0]), reduction="none")
    tensor([0.2877, 0.6931])
    """
    target, ignore_index = checks.loss.class_operands(
        "log_probabilities", log_probabilities, target, weight, ignore_index, reduction, torch.Tensor
    )
    return F.nll_loss(log_probabilities, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def nll_loss_backward(
    grad_output: torch.Tensor | float,
    log_probabilities: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> torch.Tensor:
    """Return grad_log_probabilities: −weight at each target, 0 elsewhere, over Σ weight for the mean.

    >>> nll_loss_backward(1.0, torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log(), torch.tensor([1, 0]))
    tensor([[ 0.0000, -0.5000],
            [-0.5000,  0.0000]])
    """
    target, ignore_index = checks.loss.class_operands(
        "log_probabilities", log_probabilities, target, weight, ignore_index, reduction, torch.Tensor
    )
    upstream, classes, of_target = _upstream(
        grad_output, "log_probabilities", log_probabilities, target, weight, ignore_index, reduction
    )
    return torch.zeros_like(log_probabilities).scatter(1, classes, -upstream * of_target)


def mse_loss(
    x: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, reduction: str = "mean"
) -> torch.Tensor:
    """Return the mean of weight · (x − target)², where "mean" divides by the sum of the weights.

    >>> float(mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])))
    2.5
    """
    checks.loss.mse_operands(x, target, weight, reduction, torch.Tensor)
    if weight is None:
        return F.mse_loss(x, target, reduction=reduction)
    losses = weight * F.mse_loss(x, target, reduction="none")  # older versions of torch know no weight
    if reduction == "none":
        return losses
    return losses.sum() / weight.sum() if reduction == "mean" else losses.sum()


def mse_loss_backward(
    grad_output: torch.Tensor | float,
    x: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    reduction: str = "mean",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_target): ±2 weight · (x − target), over the sum of the weights for the mean.

    >>> mse_loss_backward(1.0, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))
    (tensor([ 1., -2.]), tensor([-1.,  2.]))
    """
    checks.loss.mse_operands(x, target, weight, reduction, torch.Tensor)
    each = torch.ones_like(x) if weight is None else weight
    upstream = _given(grad_output, "x", x, x.shape, reduction)
    grad_x = upstream * (each / each.sum() if reduction == "mean" else each) * 2 * (x - target)
    return grad_x, -grad_x


def binary_cross_entropy_with_logits(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    pos_weight: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    """Return the mean of −weight · (p · target · log σ + (1 − target) · log(1 − σ)), σ = sigmoid(logits).

    >>> logits, target = torch.tensor([0.0, 1e4]), torch.tensor([1.0, 0.0])
    >>> binary_cross_entropy_with_logits(logits, target, reduction="none")
    tensor([6.9315e-01, 1.0000e+04])
    """
    checks.loss.binary_operands(logits, target, weight, pos_weight, reduction, torch.Tensor)
    return F.binary_cross_entropy_with_logits(logits, target, weight=weight, pos_weight=pos_weight, reduction=reduction)


def binary_cross_entropy_with_logits_backward(
    grad_output: torch.Tensor | float,
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    pos_weight: torch.Tensor | None = None,
    reduction: str = "mean",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (grad_logits, grad_target): (1 − t) σ − p t (1 − σ), and log(1 − σ) − p log σ.

    >>> logits, target = torch.tensor([0.0, 1e4]), torch.tensor([1.0, 0.0])
    >>> binary_cross_entropy_with_logits_backward(1.0, logits, target, reduction="sum")
    (tensor([-0.5000,  1.0000]), tensor([    -0., -10000.]))
    """
    checks.loss.binary_operands(logits, target, weight, pos_weight, reduction, torch.Tensor)
    share = _given(grad_output, "logits", logits, logits.shape, reduction)
    share = share / logits.numel() if reduction == "mean" and logits.numel() else share
    share = share if weight is None else share * weight
    p = 1 if pos_weight is None else pos_weight
    grad_logits = (1 - target) * torch.sigmoid(logits) - p * target * torch.sigmoid(-logits)
    if pos_weight is None:
        return grad_logits * share, -logits * share
    return grad_logits * share, (F.logsigmoid(-logits) - p * F.logsigmoid(logits)) * share


def _given(grad_output, name, values, losses, reduction):
    """Return grad_output as a tensor: of the shape `losses` for "none", else ()."""
    checks.loss.upstream(grad_output, name, values, tuple(losses), reduction, torch.Tensor)
    return torch.as_tensor(grad_output, dtype=values.dtype, device=values.device)


def _upstream(grad_output, name, scores, target, weight, ignore_index, reduction):
    """Return the gradient of the sum of the losses that reaches each, its class and its weight, all (N, 1, …)."""
    counted = target != ignore_index
    classes = target.where(counted, 0)
    of_target = (torch.ones_like(classes, dtype=scores.dtype) if weight is None else weight[classes]).where(counted, 0)
    upstream = _given(grad_output, name, scores, target.shape, reduction)
    if reduction == "mean":
        upstream = upstream / of_target.sum()
    return (v.unsqueeze(1) for v in (upstream.expand(target.shape).where(counted, 0), classes, of_target))
