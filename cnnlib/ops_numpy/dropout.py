"""Dropout, with its mask in plain sight."""

from __future__ import annotations

import numpy as np

from cnnlib import checks


def dropout(x: np.ndarray, mask: np.ndarray, *, p: float) -> np.ndarray:
    """Return x / (1 − p) where the mask is True and 0 elsewhere, so that the mean over masks is x.

    x of any shape, mask of the same shape, of booleans that are True with probability 1 − p: draw it by
    `generator.random(x.shape) >= p`. `torch.nn.functional.dropout` draws its own, with p = 0.5 unless told. Like torch,
    and unlike Srivastava et al. (2014, https://jmlr.org/papers/v15/srivastava14a.html, where p is the probability of
    *keeping* a unit, and weights are scaled when testing), p is the probability of dropping one, and values are scaled
    when training ("inverted dropout"). At p = 1 all is 0. What is dropped is multiplied by 0: NaN and ±∞ give NaN.
    Raises ValueError, naming the argument, unless mask and p are as said.

    >>> dropout(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), p=0.5)
    array([2., 0., 6.])
    """
    checks.mask("mask", mask, "x", x, np.ndarray)
    p = checks.fraction("p", p)
    with np.errstate(invalid="ignore"):  # 0 · ∞
        return np.asarray(x * _scale(mask, p, x.dtype))


def dropout_backward(grad_output: np.ndarray, mask: np.ndarray, *, p: float) -> np.ndarray:
    """Return grad_x: dropout is linear and diagonal, so that it is its own transpose.

    >>> dropout_backward(np.array([1.0, 1.0, 1.0]), np.array([True, False, True]), p=0.5)
    array([2., 0., 2.])
    """
    checks.mask("mask", mask, "grad_output", grad_output, np.ndarray)
    p = checks.fraction("p", p)
    with np.errstate(invalid="ignore"):
        return np.asarray(grad_output * _scale(mask, p, grad_output.dtype))


def _scale(mask: np.ndarray, p: float, dtype: np.dtype) -> np.ndarray:
    """Return what each value is multiplied by; at p = 1 there is nothing to scale up."""
    return mask.astype(dtype) / (1 - p) if p < 1 else np.zeros(mask.shape, dtype)
