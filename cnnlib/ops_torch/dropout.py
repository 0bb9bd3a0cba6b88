"""Dropout in torch, on any device: the twin of `cnnlib.ops_numpy.dropout`, which says all."""

from __future__ import annotations

import torch

from cnnlib import checks


def dropout(x: torch.Tensor, mask: torch.Tensor, *, p: float) -> torch.Tensor:
    """Return x / (1 − p) where the mask is True and 0 elsewhere.

    >>> dropout(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, True]), p=0.5)
    tensor([2., 0., 6.])
    """
    checks.mask("mask", mask, "x", x, torch.Tensor)
    p = checks.fraction("p", p)
    return x * mask * (1 / (1 - p) if p < 1 else 0)


def dropout_backward(grad_output: torch.Tensor, mask: torch.Tensor, *, p: float) -> torch.Tensor:
    """Return grad_x: dropout is its own transpose.

    >>> dropout_backward(torch.tensor([1.0, 1.0, 1.0]), torch.tensor([True, False, True]), p=0.5)
    tensor([2., 0., 2.])
    """
    checks.mask("mask", mask, "grad_output", grad_output, torch.Tensor)
    p = checks.fraction("p", p)
    return grad_output * mask * (1 / (1 - p) if p < 1 else 0)
