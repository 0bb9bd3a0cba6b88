"""Activations in torch, on any device: the twins of `cnnlib.ops_numpy.activation`, which says all.

The forwards are torch's own; the backwards are derived anew, where that is natural by another way.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from cnnlib import checks

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


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
    checks.matching("grad_output", grad_output, "x", x, torch.Tensor)
    return torch.where(x <= 0, 0, grad_output)


def leaky_relu(x: torch.Tensor, *, negative_slope: float = 0.01) -> torch.Tensor:
    """Return x where x > 0, else negative_slope · x.

    >>> leaky_relu(torch.tensor([-2.0, 0.0, 3.0]))
    tensor([-0.0200,  0.0000,  3.0000])
    """
    checks.floating("x", x, torch.Tensor)
    return F.leaky_relu(x, checks.number("negative_slope", negative_slope))


def leaky_relu_backward(grad_output: torch.Tensor, x: torch.Tensor, *, negative_slope: float = 0.01) -> torch.Tensor:
    """Scale the gradient by 1 where x > 0, by the slope elsewhere, at the kink and at NaN too.

    >>> leaky_relu_backward(torch.ones(3), torch.tensor([-2.0, 0.0, 3.0]))
    tensor([0.0100, 0.0100, 1.0000])
    """
    checks.matching("grad_output", grad_output, "x", x, torch.Tensor)
    negative_slope = checks.number("negative_slope", negative_slope)
    return grad_output * torch.full_like(x, negative_slope).masked_fill(x > 0, 1)


def elu(x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """Return x where x ≥ 0, else α(eˣ − 1).

    >>> elu(torch.tensor([-math.log(2), 0.0, 3.0]))
    tensor([-0.5000,  0.0000,  3.0000])
    """
    checks.floating("x", x, torch.Tensor)
    return F.elu(x, checks.number("alpha", alpha))


def elu_backward(grad_output: torch.Tensor, x: torch.Tensor, *, alpha: float = 1.0) -> torch.Tensor:
    """Scale the gradient by 1 where x > 0, else by αeˣ.

    >>> elu_backward(torch.ones(3), torch.tensor([-math.log(2), 0.0, 3.0]), alpha=2.0)
    tensor([1., 2., 1.])
    """
    checks.matching("grad_output", grad_output, "x", x, torch.Tensor)
    return grad_output * torch.where(x > 0, 1, checks.number("alpha", alpha) * x.exp())


def selu(x: torch.Tensor) -> torch.Tensor:
    """Return λ elu(x, α) with the α and λ that keep mean 0 and variance 1.

    >>> selu(torch.tensor([-100.0, 0.0, 1.0]))
    tensor([-1.7581,  0.0000,  1.0507])
    """
    checks.floating("x", x, torch.Tensor)
    return F.selu(x)


def selu_backward(grad_output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Scale the gradient by λ where x > 0, else by λαeˣ.

    >>> selu_backward(torch.ones(3), torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 1.7581, 1.0507])
    """
    checks.matching("grad_output", grad_output, "x", x, torch.Tensor)
    return grad_output * torch.where(x > 0, SELU_SCALE, SELU_SCALE * SELU_ALPHA * x.exp())


def gelu(x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    """Return x Φ(x), or its approximation by a tanh.

    Torch's own kernel for float32 on CPU turns +∞ into NaN; its others, and the twin, into +∞.

    >>> gelu(torch.tensor([-1.0, 0.0, 1.0])), gelu(torch.tensor([-1.0, 0.0, 1.0]), approximate="tanh")
    (tensor([-0.1587,  0.0000,  0.8413]), tensor([-0.1588,  0.0000,  0.8412]))
    """
    checks.floating("x", x, torch.Tensor)
    checks.choice("approximate", approximate, ("none", "tanh"))
    return F.gelu(x, approximate=approximate)


def gelu_backward(grad_output: torch.Tensor, x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    """Scale the gradient by (xΦ)' = Φ + xΦ'.

    The approximation is x σ(u) with u = 2√(2/π)(x + 0.044715 x³), as ½(1 + tanh v) = σ(2v), and σ' = σ(1 − σ).

    >>> gelu_backward(torch.ones(3), torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.0833,  0.5000,  1.0833])
    """
    checks.matching("grad_output", grad_output, "x", x, torch.Tensor)
    checks.choice("approximate", approximate, ("none", "tanh"))
    if approximate == "none":
        phi = (1 + torch.erf(x / math.sqrt(2))) / 2
        return grad_output * (phi + x * torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi))
    rate = 2 * math.sqrt(2 / math.pi)
    gate = torch.sigmoid(rate * (x + 0.044715 * x**3))
    return grad_output * (gate + x * gate * (1 - gate) * rate * (1 + 3 * 0.044715 * x.square()))


def maxout(x: torch.Tensor, pieces: int) -> torch.Tensor:
    """Return the maximum of every `pieces` consecutive channels: x (N, C, …) → (N, C / pieces, …).

    >>> maxout(torch.tensor([[1.0, 5.0, -2.0, -3.0]]), 2)
    tensor([[ 5., -2.]])
    """
    pieces = checks.maxout_operands(x, pieces, torch.Tensor)
    return x.unflatten(1, (-1, pieces)).max(dim=2).values


def maxout_backward(grad_output: torch.Tensor, x: torch.Tensor, pieces: int) -> torch.Tensor:
    """Send each gradient to the channel that won: the first maximum, or the first NaN.

    >>> maxout_backward(torch.tensor([[7.0, 8.0]]), torch.tensor([[5.0, 5.0, -2.0, -3.0]]), 2)
    tensor([[7., 0., 8., 0.]])
    """
    pieces = checks.maxout_operands(x, pieces, torch.Tensor)
    grouped = x.unflatten(1, (-1, pieces))  # (N, C / pieces, pieces, …)
    winners = grouped.max(dim=2, keepdim=True).indices
    checks.shaped("grad_output", grad_output, tuple(grouped.select(2, 0).shape), torch.Tensor)
    checks.like("grad_output", grad_output, "x", x)
    return torch.zeros_like(grouped).scatter(2, winners, grad_output.unsqueeze(2)).flatten(1, 2)
