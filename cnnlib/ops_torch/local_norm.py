"""Normalisation by what stands nearby, in torch: the twins of `cnnlib.ops_numpy.local_norm`, which defines it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib import checks

Tensor = torch.Tensor


def local_response_norm(x: Tensor, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Return x / (k + alpha/size · Σ x²)^beta: the twin of `cnnlib.ops_numpy.local_response_norm`, which says all.

    >>> local_response_norm(torch.tensor([[[1.0], [2.0], [2.0]]]), 3, alpha=3.0, beta=1.0, k=0.0).ravel()
    tensor([0.2000, 0.2222, 0.2500])
    """
    checks.norm.of_channels(x, Tensor, least=3)
    size, alpha, beta, k = checks.norm.response_options(size, alpha, beta, k)
    return F.local_response_norm(x, size, alpha, beta, k)


def local_response_norm_backward(
    grad_output: Tensor,
    x: Tensor,
    size: int,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Tensor:
    """Return grad_x: the twin of `cnnlib.ops_numpy.local_response_norm_backward`, which says all.

    >>> grad_output = torch.ones(1, 1, 1)
    >>> local_response_norm_backward(grad_output, torch.tensor([[[2.0]]]), 1, alpha=1.0, beta=1.0, k=0.0)
    tensor([[[-0.2500]]])
    """
    checks.norm.of_channels(x, Tensor, least=3)
    size, alpha, beta, k = checks.norm.response_options(size, alpha, beta, k)
    checks.norm.upstream(grad_output, x, Tensor)
    before, after = size // 2, (size - 1) // 2
    D = k + alpha * _window_mean(x.square(), before, after)
    grad_mean = grad_output * x * -beta * D.pow(-beta - 1) * alpha
    return grad_output * D.pow(-beta) + 2 * x * _window_mean(grad_mean, after, before)


def _window_mean(x: Tensor, before: int, after: int) -> Tensor:
    """Return the means over the channels c − before to c + after, zeros beyond, as a pooling along that axis."""
    padded = F.pad(x.flatten(2).unsqueeze(1), (0, 0, before, after))  # (N, 1, C + before + after, pixels)
    return F.avg_pool2d(padded, (before + after + 1, 1), stride=1).reshape(x.shape)


def local_contrast_norm(x: Tensor, size: int = 9, *, sigma: float | None = None, eps: float = 1e-5) -> Tensor:
    """Return y = v / max(mean(s), s, eps): the twin of `cnnlib.ops_numpy.local_contrast_norm`, which says all.

    >>> local_contrast_norm(torch.tensor([[[[5.0, 5.0, 5.0, 9.0]]]]), 3).abs().round(decimals=1)
    tensor([[[[0.0000, 0.0000, 1.0000, 1.1000]]]])
    """
    checks.floating("x", x, Tensor, "N, C, H, W")
    size, sigma, eps = checks.norm.contrast_options(size, sigma, eps)
    v, s, mean = _contrast(x, *_window(x, size, sigma))
    return v / torch.maximum(mean, s).clamp(min=eps)


def local_contrast_norm_backward(
    grad_output: Tensor, x: Tensor, size: int = 9, *, sigma: float | None = None, eps: float = 1e-5
) -> Tensor:
    """Return grad_x: the twin of `cnnlib.ops_numpy.local_contrast_norm_backward`, which says all.

    >>> local_contrast_norm_backward(torch.ones(1, 2, 1, 1), torch.tensor([[[[1.0]], [[3.0]]]]), 1).ravel()
    tensor([0., 0.])
    """
    checks.floating("x", x, Tensor, "N, C, H, W")
    size, sigma, eps = checks.norm.contrast_options(size, sigma, eps)
    checks.norm.upstream(grad_output, x, Tensor)
    window, coverage = _window(x, size, sigma)
    v, s, mean = _contrast(x, window, coverage)
    divisor = torch.maximum(mean, s)
    scale = divisor.clamp(min=eps).reciprocal()  # y = v · scale
    grad_divisor = (grad_output * v).sum(1, keepdim=True) * -scale.square() * (divisor >= eps)
    to_s = torch.heaviside(s - mean, s.new_tensor(0.5))  # ½ where the two are equal
    grad_s = grad_divisor * to_s + (grad_divisor * (1 - to_s)).mean((2, 3), keepdim=True)
    grad_square = (grad_s / s / 2).where(s > 0, 0)
    grad_v = grad_output * scale + 2 * v * F.conv_transpose2d(grad_square / coverage, window, padding=size // 2)
    grad_mean = grad_v.sum(1, keepdim=True) / coverage
    return grad_v - F.conv_transpose2d(grad_mean, window, padding=size // 2)


def _window(x: Tensor, size: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Return the weights (1, C, size, size), of sum 1, and how much of them lies inside the image, (1, 1, H, W)."""
    distance = torch.arange(size, dtype=x.dtype, device=x.device) - size // 2
    line = torch.exp(-0.5 * (distance / sigma).square())
    square = torch.outer(line, line)
    square = (square / square.sum()).reshape(1, 1, size, size)
    coverage = F.conv2d(x.new_ones(1, 1, *x.shape[2:]), square, padding=size // 2)
    return square.expand(1, x.shape[1], -1, -1) / x.shape[1], coverage


def _contrast(x: Tensor, window: Tensor, coverage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return v (N, C, H, W), s (N, 1, H, W) and its mean (N, 1, 1, 1)."""
    reach = window.shape[-1] // 2
    x = x - x.mean((1, 2, 3), keepdim=True)  # v stays the same, and float32 does not lose it in a large mean
    v = x - F.conv2d(x, window, padding=reach) / coverage
    s = (F.conv2d(v.square(), window, padding=reach) / coverage).sqrt()
    return v, s, s.mean((2, 3), keepdim=True)
