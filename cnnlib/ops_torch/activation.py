"""Activations in torch, on any device: the twins of `cnnlib.ops_numpy.activation`."""

from __future__ import annotations

import torch

from cnnlib import checks


def relu(x: torch.Tensor) -> torch.Tensor:
    """Return max(x, 0), element by element; NaN stays NaN.

    >>> relu(torch.tensor([-2.0, 0.0, 3.0]))
    tensor([0., 0., 3.])
    """
    checks.floating("x", x, torch.Tensor)
    return torch.relu(x)


def relu_backward(grad_output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Let the gradient pass where x > 0; at the kink, x = 0, it is 0.

    >>> relu_backward(torch.ones(3), torch.tensor([-2.0, 0.0, 3.0]))
    tensor([0., 0., 1.])
    """
    checks.floating("x", x, torch.Tensor)
    checks.shaped("grad_output", grad_output, tuple(x.shape), torch.Tensor)
    checks.like("grad_output", grad_output, "x", x)
    return torch.where(x <= 0, 0, grad_output)
