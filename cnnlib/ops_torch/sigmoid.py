"""The logistic function and its kin in torch, on any device: the twins of `cnnlib.ops_numpy.sigmoid`."""

from __future__ import annotations

import torch

from cnnlib import checks


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """Return 1 / (1 + e⁻ˣ).

    >>> sigmoid(torch.tensor([-torch.inf, 0.0, 100.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    checks.floating("x", x, torch.Tensor)
    return torch.sigmoid(x)


def sigmoid_backward(grad_output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Scale the gradient by y(1 − y), where y = sigmoid(x).

    >>> sigmoid_backward(torch.ones(3), torch.tensor([0.0, 0.5, 0.75]))
    tensor([0.0000, 0.2500, 0.1875])
    """
    checks.matching("grad_output", grad_output, "y", y, torch.Tensor)
    return grad_output * (y * (1 - y))


def tanh(x: torch.Tensor) -> torch.Tensor:
    """Return (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).

    >>> tanh(torch.tensor([-torch.inf, 0.0, 100.0]))
    tensor([-1.,  0.,  1.])
    """
    checks.floating("x", x, torch.Tensor)
    return torch.tanh(x)


def tanh_backward(grad_output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Scale the gradient by 1 − y² = (1 − y)(1 + y), where y = tanh(x).

    >>> tanh_backward(torch.ones(3), torch.tensor([-1.0, 0.0, 0.5]))
    tensor([0.0000, 1.0000, 0.7500])
    """
    checks.matching("grad_output", grad_output, "y", y, torch.Tensor)
    return grad_output * ((1 - y) * (1 + y))


def softplus(x: torch.Tensor, *, beta: float = 1.0, threshold: float = 20.0) -> torch.Tensor:
    """Return log(1 + exp(βx)) / β, a smooth max(x, 0); where βx > threshold, x itself.

    >>> softplus(torch.tensor([-torch.inf, 0.0, 100.0]))
    tensor([  0.0000,   0.6931, 100.0000])
    """
    checks.floating("x", x, torch.Tensor)
    beta, threshold = checks.softplus_options(beta, threshold)
    z = beta * x
    return torch.where(z > threshold, x, torch.logaddexp(z, torch.zeros_like(z)) / beta)  # F.softplus would overflow


def softplus_backward(
    grad_output: torch.Tensor, x: torch.Tensor, *, beta: float = 1.0, threshold: float = 20.0
) -> torch.Tensor:
    """Scale the gradient by sigmoid(βx), and by 1 where βx > threshold.

    >>> softplus_backward(torch.ones(3), torch.tensor([-torch.inf, 0.0, 100.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    checks.matching("grad_output", grad_output, "x", x, torch.Tensor)
    beta, threshold = checks.softplus_options(beta, threshold)
    return torch.where(beta * x > threshold, grad_output, grad_output * torch.sigmoid(beta * x))
