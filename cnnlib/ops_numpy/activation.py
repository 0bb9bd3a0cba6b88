"""Activations: one number in, one number out."""

from __future__ import annotations

import numpy as np

from cnnlib import checks


def relu(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0), element by element; NaN stays NaN.

    x of any shape. Raises ValueError unless x is a float32 or float64 array. Nair and Hinton (2010), section 2.

    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    checks.floating("x", x, np.ndarray)
    return np.asarray(np.maximum(x, 0))  # of a single number too


def relu_backward(grad_output: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Let the gradient pass where x > 0, or NaN. At the kink, x = 0, it is 0, as in torch.

    Any value from 0 to 1 would be a subgradient there.

    >>> relu_backward(np.ones(3), np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 1.])
    """
    checks.floating("x", x, np.ndarray)
    checks.shaped("grad_output", grad_output, x.shape, np.ndarray)
    checks.like("grad_output", grad_output, "x", x)
    return np.where(x <= 0, 0, grad_output)
