"""Mistakes that people make with the backward pass of a convolution, each as the function that makes it."""

from __future__ import annotations

import numpy as np

from cnnlib.grading.exercises.convolution_mistakes import padded
from cnnlib.grading.spec import Mistake
from cnnlib.ops_numpy import conv2d_backward

Three = tuple[np.ndarray, np.ndarray, np.ndarray]


def _right(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    return conv2d_backward(g, x, w, stride=s, padding=p)


def _crop(grad: np.ndarray, x: np.ndarray, p: int) -> np.ndarray:
    """Cut the padding off again: (N, C, H + 2p, W + 2p) → (N, C, H, W)."""
    H, W = x.shape[2:]
    return grad[:, :, p : p + H, p : p + W]


def _one_of_the_batch(image: slice, g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    _, grad_weight, grad_bias = _right(g[image], x[image], w, s, p)
    return _right(g, x, w, s, p)[0], grad_weight, grad_bias


def _batch_kept(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    each = [_right(g[i : i + 1], x[i : i + 1], w, s, p) for i in range(len(x))]
    grad_x, grad_weight, grad_bias = (np.stack([one[i] for one in each]) for i in range(3))
    return grad_x[:, 0], grad_weight, grad_bias


def _divided(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    grad_x, grad_weight, grad_bias = _right(g, x, w, s, p)
    return grad_x / len(x), grad_weight / len(x), grad_bias / len(x)


def _mean_bias(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    grad_x, grad_weight, _ = _right(g, x, w, s, p)
    return grad_x, grad_weight, g.mean(axis=(0, 2, 3))


def _flipped(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    grad_x = _right(g, x, w[:, :, ::-1, ::-1].copy(), s, p)[0]
    _, grad_weight, grad_bias = _right(g, x, w, s, p)
    return grad_x, grad_weight[:, :, ::-1, ::-1], grad_bias


def _stride_ignored(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    zeros_around = padded(x, p, p)
    rows, columns = g.shape[2] + w.shape[2] - 1, g.shape[3] + w.shape[3] - 1
    corner, grad_weight, grad_bias = _right(g, zeros_around[:, :, :rows, :columns].copy(), w, 1, 0)
    grad_padded = np.zeros_like(zeros_around)
    grad_padded[:, :, :rows, :columns] = corner
    return _crop(grad_padded, x, p), grad_weight, grad_bias


def _overwritten(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int, filters: slice) -> Three:
    """Write each window's share over what was there, in row-major order; of the filters only those given."""
    grad_padded = np.zeros_like(padded(x, p, p))
    shares = np.einsum("nfij,fckl->ijnckl", g[:, filters], w[filters])
    kh, kw = w.shape[2:]
    for i in range(g.shape[2]):
        for j in range(g.shape[3]):
            grad_padded[:, :, s * i : s * i + kh, s * j : s * j + kw] = shares[i, j]
    _, grad_weight, grad_bias = _right(g, x, w, s, p)
    return _crop(grad_padded, x, p), grad_weight, grad_bias


def _padding_kept(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    return _right(g, padded(x, p, p), w, s, 0)


def _cropped_at_the_end(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    grad_x, grad_weight, grad_bias = _padding_kept(g, x, w, s, p)
    return _crop(grad_x, x, 0), grad_weight, grad_bias


def _leftover_dropped(g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    grad_x, grad_weight, grad_bias = _padding_kept(g, x, w, s, p)
    rows, columns = (s * (g.shape[i] - 1) + w.shape[i] - p for i in (2, 3))
    return grad_x[:, :, p:rows, p:columns], grad_weight, grad_bias


def _some_filters(filters: slice, g: np.ndarray, x: np.ndarray, w: np.ndarray, s: int, p: int) -> Three:
    _, grad_weight, grad_bias = _right(g, x, w, s, p)
    return _right(g[:, filters], x, w[filters], s, p)[0], grad_weight, grad_bias


NOT_SUMMED = "You forgot to sum over the batch: every image used the same weights, so all of them send gradient back."
OVERWRITTEN = (
    "grad_x is not accumulated where windows overlap: an input position belongs to several windows, and receives the "
    "sum of what they send (+=, not =)."
)
FIRST, LAST, ALL = slice(0, 1), slice(-1, None), slice(None)

BACKWARD = (
    Mistake(NOT_SUMMED, _batch_kept),
    Mistake(NOT_SUMMED, lambda g, x, w, s, p: _one_of_the_batch(FIRST, g, x, w, s, p)),
    Mistake(NOT_SUMMED, lambda g, x, w, s, p: _one_of_the_batch(LAST, g, x, w, s, p)),
    Mistake("You divided by the batch size N: the gradient is a sum over the images, not a mean.", _divided),
    Mistake("grad_bias is a mean: it must be the sum over images, rows and columns.", _mean_bias),
    Mistake("Your kernel is flipped: check which tap joins which input position to which output position.", _flipped),
    Mistake("The stride was ignored: window i begins at stride · i.", _stride_ignored),
    Mistake(OVERWRITTEN, lambda g, x, w, s, p: _overwritten(g, x, w, s, p, ALL)),
    Mistake(OVERWRITTEN, lambda g, x, w, s, p: _overwritten(g, x, w, s, p, LAST)),
    Mistake("grad_x still has its padding: the gradient of x has the shape of x.", _padding_kept),
    Mistake("The padding was cut off grad_x on one side only: there was as much at both ends.", _cropped_at_the_end),
    Mistake("grad_x lacks the positions that no window reached: they have a gradient too.", _leftover_dropped),
    Mistake(
        "Only the first filter's gradient arrived in grad_x: each input position feeds every filter.",
        lambda g, x, w, s, p: _some_filters(FIRST, g, x, w, s, p),
    ),
    Mistake(
        "Only the last filter's gradient arrived in grad_x: did you write = where += is meant?",
        lambda g, x, w, s, p: _some_filters(LAST, g, x, w, s, p),
    ),
    Mistake("The signs are turned round.", lambda g, x, w, s, p: tuple(-one for one in _right(g, x, w, s, p))),
)
