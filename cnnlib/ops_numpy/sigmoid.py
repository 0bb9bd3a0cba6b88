"""The logistic function and its kin: tanh, a sigmoid stretched to (−1, 1), and softplus, its integral."""

from __future__ import annotations

import numpy as np

from cnnlib import checks


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + e⁻ˣ), as eˣ / (1 + eˣ) where x < 0, so that nothing overflows.

    x of any shape. Raises ValueError unless x is a float32 or float64 array. Rumelhart, Hinton and Williams (1986),
    https://doi.org/10.1038/323533a0.

    >>> sigmoid(np.array([-np.inf, 0.0, np.log(3)]))
    array([0.  , 0.5 , 0.75])
    """
    checks.floating("x", x, np.ndarray)
    return np.asarray(_sigmoid(x))


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def sigmoid_backward(grad_output: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Scale the gradient by y(1 − y), where y = sigmoid(x): at most ¼, which is how sigmoids make gradients vanish.

    >>> sigmoid_backward(np.ones(3), np.array([0.0, 0.5, 0.75]))
    array([0.    , 0.25  , 0.1875])
    """
    checks.matching("grad_output", grad_output, "y", y, np.ndarray)
    return np.asarray(grad_output * (y * (1 - y)))


def tanh(x: np.ndarray) -> np.ndarray:
    """Return (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ) = 2 sigmoid(2x) − 1: a sigmoid whose outputs are centred at 0.

    x of any shape. Raises ValueError unless x is a float32 or float64 array. LeCun et al. (1998), section 4.4,
    https://doi.org/10.1007/3-540-49430-8_2.

    >>> tanh(np.array([-np.inf, 0.0, np.log(2)]))
    array([-1. ,  0. ,  0.6])
    """
    checks.floating("x", x, np.ndarray)
    return np.asarray(np.tanh(x))


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def tanh_backward(grad_output: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Scale the gradient by 1 − y², where y = tanh(x).

    >>> tanh_backward(np.ones(3), np.array([-1.0, 0.0, 0.5]))
    array([0.  , 1.  , 0.75])
    """
    checks.matching("grad_output", grad_output, "y", y, np.ndarray)
    return np.asarray(grad_output * (1 - y * y))


def softplus(x: np.ndarray, *, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """Return log(1 + exp(βx)) / β, a smooth max(x, 0); where βx > threshold, x itself, as in torch.

    Nothing would overflow here without the threshold: it is torch's, and at 20 moves the derivative by e⁻²⁰ = 2e-9,
    the value by 2e-9/β. x of any shape. Raises ValueError unless x is a float32 or float64 array and both options are
    finite numbers, beta not 0. Glorot, Bordes and Bengio (2011), section 3,
    https://proceedings.mlr.press/v15/glorot11a.html.

    >>> softplus(np.array([-np.inf, 0.0, 100.0])).round(4)
    array([  0.    ,   0.6931, 100.    ])
    """
    checks.floating("x", x, np.ndarray)
    beta, threshold = checks.softplus_options(beta, threshold)
    z = beta * x
    return np.where(z > threshold, x, _softplus(z) / beta)


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def softplus_backward(
    grad_output: np.ndarray, x: np.ndarray, *, beta: float = 1.0, threshold: float = 20.0
) -> np.ndarray:
    """Scale the gradient by sigmoid(βx), and by 1 where βx > threshold.

    It takes x, as y alone does not tell on which side of the threshold x was.

    >>> softplus_backward(np.ones(3), np.array([-np.inf, 0.0, 100.0]))
    array([0. , 0.5, 1. ])
    """
    checks.matching("grad_output", grad_output, "x", x, np.ndarray)
    beta, threshold = checks.softplus_options(beta, threshold)
    z = beta * x
    return np.asarray(grad_output * np.where(z > threshold, 1, _sigmoid(z)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))  # never more than 1
    return np.where(x < 0, small, 1) / (1 + small)


def _softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
