"""The fully connected layer."""

from __future__ import annotations

import numpy as np

from cnnlib import checks


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Return x Wᵀ + b: x (…, in_features), weight (out_features, in_features), bias (out_features,).

    As `torch.nn.functional.linear`. Raises ValueError, naming the argument, for other dtypes than float32 and float64
    and for sizes that do not match. Rosenblatt (1958), the perceptron, https://doi.org/10.1037/h0042519.

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.0, 1.0]))
    array([[11., 18.]])
    """
    checks.linear_operands(x, weight, bias, np.ndarray)
    with np.errstate(invalid="ignore"):  # 0 · ∞
        y = x @ weight.T
        return y if bias is None else y + bias


def linear_backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias), given grad_output (…, out_features).

    >>> linear_backward(np.array([[1.0]]), np.array([[2.0, 3.0]]), np.array([[4.0, 5.0]]))
    (array([[4., 5.]]), array([[2., 3.]]), array([1.]))
    """
    checks.linear_operands(x, weight, None, np.ndarray)
    checks.shaped("grad_output", grad_output, (*x.shape[:-1], weight.shape[0]), np.ndarray)
    checks.like("grad_output", grad_output, "x", x)
    rows = grad_output.reshape(-1, weight.shape[0])
    with np.errstate(invalid="ignore"):
        return grad_output @ weight, rows.T @ x.reshape(-1, weight.shape[1]), rows.sum(axis=0)
