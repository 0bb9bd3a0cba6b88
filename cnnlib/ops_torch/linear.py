"""The fully connected layer in torch, on any device: the twin of `cnnlib.ops_numpy.linear`."""

from __future__ import annotations

import torch

from cnnlib import checks


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Return x Wᵀ + b: x (…, in_features), weight (out_features, in_features), bias (out_features,).

    >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]]), torch.tensor([0.0, 1.0]))
    tensor([[11., 18.]])
    """
    checks.linear_operands(x, weight, bias, torch.Tensor)
    y = x @ weight.T
    return y if bias is None else y + bias


def linear_backward(
    grad_output: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias), given grad_output (…, out_features).

    >>> linear_backward(torch.tensor([[1.0]]), torch.tensor([[2.0, 3.0]]), torch.tensor([[4.0, 5.0]]))
    (tensor([[4., 5.]]), tensor([[2., 3.]]), tensor([1.]))
    """
    checks.linear_operands(x, weight, None, torch.Tensor)
    checks.shaped("grad_output", grad_output, (*x.shape[:-1], weight.shape[0]), torch.Tensor)
    checks.like("grad_output", grad_output, "x", x)
    rows = grad_output.reshape(-1, weight.shape[0])
    return grad_output @ weight, rows.T @ x.reshape(-1, weight.shape[1]), rows.sum(dim=0)
