"""Normalisation by what stands nearby: neighbouring channels, or neighbouring pixels of all channels."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnlib import checks


def local_response_norm(
    x: np.ndarray, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> np.ndarray:
    """Return x / (k + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels at the same place.

    x (N, C, L, …). The channels of the sum are c − size // 2 to c + (size − 1) // 2, an even size reaching further
    down, with zeros beyond the first and the last. All as in `torch.nn.functional.local_response_norm`, which divides
    alpha by `size`; AlexNet does not: Krizhevsky, Sutskever and Hinton (2012), section 3.3,
    https://doi.org/10.1145/3065386, with n = 5, α = 1e-4, β = 0.75, k = 2 is
    `local_response_norm(x, 5, alpha=5 * 1e-4, k=2.0)`. Raises ValueError, naming the argument.

    >>> local_response_norm(np.array([[[1.0], [2.0], [2.0]]]), 3, alpha=3.0, beta=1.0, k=0.0)  # over 5, 9 and 8
    array([[[0.2       ],
            [0.22222222],
            [0.25      ]]])
    """
    checks.norm.of_channels(x, np.ndarray, least=3)
    size, alpha, beta, k = checks.norm.response_options(size, alpha, beta, k)
    with np.errstate(all="ignore"):
        return x / _neighbourhood(x, size, alpha, k) ** beta


def local_response_norm_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    size: int,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> np.ndarray:
    """Return grad_x of `local_response_norm`.

    Let D be what is raised to beta. Channel c divides itself, which gives g D^−β, and stands in the sums of others: of
    c − (size − 1) // 2 to c + size // 2, the window turned round. Together −2β alpha/size · x Σ g x D^(−β − 1).

    >>> local_response_norm_backward(np.ones((1, 1, 1)), np.array([[[2.0]]]), 1, alpha=1.0, beta=1.0, k=0.0)  # of 1/x
    array([[[-0.25]]])
    """
    checks.norm.of_channels(x, np.ndarray, least=3)
    size, alpha, beta, k = checks.norm.response_options(size, alpha, beta, k)
    checks.norm.upstream(grad_output, x, np.ndarray)
    with np.errstate(all="ignore"):
        D = _neighbourhood(x, size, alpha, k)
        shares = _window_sum(grad_output * x / D ** (beta + 1), (size - 1) // 2, size // 2)
        return grad_output / D**beta - x * shares * (2 * beta * alpha / size)


def _neighbourhood(x: np.ndarray, size: int, alpha: float, k: float) -> np.ndarray:
    return k + alpha / size * _window_sum(x**2, size // 2, (size - 1) // 2)


def _window_sum(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Return the sums over the channels c − before to c + after."""
    padded = np.pad(x, ((0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)))
    return sliding_window_view(padded, before + after + 1, axis=1).sum(-1)


def local_contrast_norm(x: np.ndarray, size: int = 9, *, sigma: float | None = None, eps: float = 1e-5) -> np.ndarray:
    """Subtract the local mean and divide by the local standard deviation, where that is large.

    x (N, C, H, W). Let B average an image over a Gaussian window of `size` by `size` pixels and over all channels. Then
    v = x − B(x), s = √B(v²), and y = v / max(mean(s), s, eps), the mean over the image: v and y have C channels, B(x)
    and s have one, for all. So far Jarrett et al. (2009), https://doi.org/10.1109/ICCV.2009.5459469, where `size` is 9.
    What the paper leaves open, and here: `size` is odd; the Gaussian has a standard deviation of `sigma` pixels, by
    default size / 4; at the border the weights inside the image are scaled to sum to 1; `eps`, which is not in the
    paper, keeps a flat image flat. Torch has no such function. Raises ValueError, naming the argument.

    >>> x = np.array([[[[5.0, 5.0, 5.0, 9.0]]]])
    >>> abs(local_contrast_norm(x, 3)).round(1)  # flat to the left, an edge to the right
    array([[[[0. , 0. , 1. , 1.1]]]])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    size, sigma, eps = checks.norm.contrast_options(size, sigma, eps)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        v, _, _, largest = _contrast(x, _blurs(x, size, sigma), eps)
        return v / largest


def local_contrast_norm_backward(
    grad_output: np.ndarray, x: np.ndarray, size: int = 9, *, sigma: float | None = None, eps: float = 1e-5
) -> np.ndarray:
    """Return grad_x of `local_contrast_norm`: its steps in reverse, with the transpose of B.

    At the kinks of the maximum: where s equals the mean each gets one half, as of `torch.maximum`; where eps is the
    larger, none. Where s is 0, and with it v in the whole window, the slope of the root is taken to be 0, not infinite.

    >>> local_contrast_norm_backward(np.ones((1, 2, 1, 1)), np.array([[[[1.0]], [[3.0]]]]), 1).ravel()
    array([0., 0.])
    """
    checks.floating("x", x, np.ndarray, "N, C, H, W")
    size, sigma, eps = checks.norm.contrast_options(size, sigma, eps)
    checks.norm.upstream(grad_output, x, np.ndarray)
    C, pixels = x.shape[1], x.shape[2] * x.shape[3]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        rows, columns = blurs = _blurs(x, size, sigma)
        v, s, mean, largest = _contrast(x, blurs, eps)
        grad_largest = -(grad_output * v / largest**2).sum(1, keepdims=True)
        grad_largest = np.where(np.maximum(mean, s) < eps, 0, grad_largest)
        to_s = np.heaviside(s - mean, 0.5)  # ½ where the two are equal
        to_mean = (grad_largest * (1 - to_s)).sum((2, 3), keepdims=True)
        grad_s = grad_largest * to_s + to_mean / pixels  # (N, 1, H, W)
        grad_square = np.where(s == 0, 0, grad_s / (2 * s))
        grad_v = grad_output / largest + 2 / C * v * (rows.T @ grad_square @ columns)
        return grad_v - rows.T @ grad_v.mean(1, keepdims=True) @ columns


def _blurs(x: np.ndarray, size: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices (H, H) and (W, W) with B(x) = rows @ (mean of channels) @ columns.T; their rows sum to 1."""

    def blur(length: int) -> np.ndarray:
        distance = np.abs(np.arange(length)[:, None] - np.arange(length))
        weights = np.exp(-0.5 * (distance / sigma) ** 2) * (distance <= size // 2)
        return (weights / weights.sum(1, keepdims=True)).astype(x.dtype)

    return blur(x.shape[2]), blur(x.shape[3])


def _contrast(x, blurs, eps):
    """Return v (N, C, H, W), s (N, 1, H, W), its mean (N, 1, 1, 1) and the largest of mean, s and eps."""
    rows, columns = blurs
    x = x - x.mean((1, 2, 3), keepdims=True)  # v stays the same, and float32 does not lose it in a large mean
    v = x - rows @ x.mean(1, keepdims=True) @ columns.T
    s = np.sqrt(rows @ (v**2).mean(1, keepdims=True) @ columns.T)
    mean = s.mean((2, 3), keepdims=True)
    return v, s, mean, np.maximum(np.maximum(mean, s), eps)
