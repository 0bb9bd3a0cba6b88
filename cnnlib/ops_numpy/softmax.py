"""Softmax and its logarithm: scores in, a distribution out.

The largest score is taken out first: softmax does not change, and exp cannot overflow. Blanchard, Higham and Higham
(2021), "Accurately computing the log-sum-exp and softmax functions", https://doi.org/10.1093/imanum/draa038.
"""

from __future__ import annotations

import numpy as np

from cnnlib import checks


def softmax(x: np.ndarray, *, dim: int) -> np.ndarray:
    """Return exp(x) / Σ exp(x), the sum along axis `dim`.

    x of any shape; an entry of −∞ gets 0, all of −∞ give NaN. `torch.nn.functional.softmax` may guess `dim`; here it
    must be said. Raises ValueError, naming the argument, for an axis that x has not, or that is empty. Bridle (1990),
    https://doi.org/10.1007/978-3-642-76153-9_28.

    >>> softmax(np.array([0.0, np.log(3), -np.inf]), dim=0)
    array([0.25, 0.75, 0.  ])
    """
    checks.floating("x", x, np.ndarray)
    axis = checks.dimension("dim", dim, "x", x)
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        powers = np.exp(x - x.max(axis, keepdims=True))
        return np.asarray(powers / powers.sum(axis, keepdims=True))


def softmax_backward(grad_output: np.ndarray, y: np.ndarray, *, dim: int) -> np.ndarray:
    """Return y (g − Σ g y), where y = softmax(x) and g = grad_output: the Jacobian, diag(y) − y yᵀ, is never built.

    >>> softmax_backward(np.array([1.0, 0.0]), np.array([0.25, 0.75]), dim=0)
    array([ 0.1875, -0.1875])
    """
    checks.matching("grad_output", grad_output, "y", y, np.ndarray)
    axis = checks.dimension("dim", dim, "y", y)
    with np.errstate(invalid="ignore"):
        return np.asarray(y * (grad_output - (grad_output * y).sum(axis, keepdims=True)))


def log_softmax(x: np.ndarray, *, dim: int) -> np.ndarray:
    """Return x − log Σ exp(x), the sum along axis `dim`: finite where softmax itself would underflow to 0.

    x, `dim` and errors as for `softmax`.

    >>> log_softmax(np.array([1e4, -1e4]), dim=0)
    array([     0., -20000.])
    """
    checks.floating("x", x, np.ndarray)
    return np.asarray(_log_softmax(x, checks.dimension("dim", dim, "x", x)))


def log_softmax_backward(grad_output: np.ndarray, y: np.ndarray, *, dim: int) -> np.ndarray:
    """Return g − exp(y) Σ g, where y = log_softmax(x) and g = grad_output.

    >>> log_softmax_backward(np.array([1.0, 0.0]), np.log([0.25, 0.75]), dim=0)
    array([ 0.75, -0.75])
    """
    checks.matching("grad_output", grad_output, "y", y, np.ndarray)
    axis = checks.dimension("dim", dim, "y", y)
    with np.errstate(invalid="ignore"):
        return np.asarray(grad_output - np.exp(y) * grad_output.sum(axis, keepdims=True))


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        shifted = x - x.max(axis, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
