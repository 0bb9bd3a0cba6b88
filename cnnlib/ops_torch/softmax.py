"""Softmax and its logarithm in torch, on any device: the twins of `cnnlib.ops_numpy.softmax`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib import checks


def softmax(x: torch.Tensor, *, dim: int) -> torch.Tensor:
    """Return exp(x) / Σ exp(x), the sum along axis `dim`.

    >>> softmax(torch.tensor([0.0, 0.0, -torch.inf]), dim=0)
    tensor([0.5000, 0.5000, 0.0000])
    """
    checks.floating("x", x, torch.Tensor)
    return F.softmax(x, dim=checks.dimension("dim", dim, "x", x))


def softmax_backward(grad_output: torch.Tensor, y: torch.Tensor, *, dim: int) -> torch.Tensor:
    """Return y (g − Σ g y), where y = softmax(x) and g = grad_output.

    >>> softmax_backward(torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75]), dim=0)
    tensor([ 0.1875, -0.1875])
    """
    checks.matching("grad_output", grad_output, "y", y, torch.Tensor)
    weighted = grad_output * y
    return weighted - y * weighted.sum(checks.dimension("dim", dim, "y", y), keepdim=True)


def log_softmax(x: torch.Tensor, *, dim: int) -> torch.Tensor:
    """Return x − log Σ exp(x), the sum along axis `dim`.

    >>> log_softmax(torch.tensor([1e4, -1e4]), dim=0)
    tensor([     0., -20000.])
    """
    checks.floating("x", x, torch.Tensor)
    return F.log_softmax(x, dim=checks.dimension("dim", dim, "x", x))


def log_softmax_backward(grad_output: torch.Tensor, y: torch.Tensor, *, dim: int) -> torch.Tensor:
    """Return g − exp(y) Σ g, where y = log_softmax(x) and g = grad_output.

    >>> log_softmax_backward(torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75]).log(), dim=0)
    tensor([ 0.7500, -0.7500])
    """
    checks.matching("grad_output", grad_output, "y", y, torch.Tensor)
    return grad_output - y.exp() * grad_output.sum(checks.dimension("dim", dim, "y", y), keepdim=True)
