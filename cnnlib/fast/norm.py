"""Batch norm in few passes over memory, on all threads.

The readable batch norm makes a dozen arrays as large as x, and each costs a journey to memory and back. Here a block of
images is read once and stays in the cache while its sums are taken, by matrix products with ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np

from cnnlib import ops_numpy
from cnnlib.checks import norm as checks
from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import contiguous_channels_last
from cnnlib.fast.threads import over_batch

BLOCK_BYTES = 1 << 20
Gradients = tuple[np.ndarray, np.ndarray, np.ndarray]


def batch_norm(
    x: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """`ops_numpy.batch_norm`, which says all.

    >>> y, mean, var = batch_norm(np.array([[1.0], [3.0]]), np.zeros(1), np.ones(1), training=True)
    >>> y.round(3).ravel(), mean, var  # var = 0.9 · 1 + 0.1 · 2
    (array([-1.,  1.]), array([0.2]), array([1.1]))
    """
    C, eps = checks.batch_norm_operands(x, running_mean, running_var, training, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight, bias=bias)
    momentum = checks.number("momentum", momentum)
    if not training and running_mean is not None and running_var is not None:
        return _scaled(x, running_mean, running_var, weight, bias, eps), running_mean, running_var
    mean, variance = _moments(x)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        return ops_numpy.batch_norm(
            x, running_mean, running_var, weight, bias, training=True, momentum=momentum, eps=eps
        )
    if running_mean is not None and running_var is not None and len(x):
        m = x.size // C
        running_mean = ((1 - momentum) * running_mean + momentum * mean).astype(x.dtype)
        running_var = ((1 - momentum) * running_var + momentum * variance * (m / (m - 1))).astype(x.dtype)
    return _scaled(x, mean, variance, weight, bias, eps), running_mean, running_var


def batch_norm_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None = None,
    *,
    training: bool = False,
    eps: float = 1e-5,
) -> Gradients:
    """`ops_numpy.batch_norm_backward`, which says all.

    >>> x, grad_output = np.array([[1.0], [3.0], [5.0]]), np.array([[1.0], [0.0], [0.0]])
    >>> batch_norm_backward(grad_output, x, np.zeros(1), np.ones(1), eps=0.0)[0].ravel()
    array([1., 0., 0.])
    """
    C, eps = checks.batch_norm_operands(x, running_mean, running_var, training, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight)
    checks.upstream(grad_output, x, np.ndarray)
    if training:
        return _training_backward(grad_output, x, *_moments(x), weight, eps)
    return ops_numpy.batch_norm_backward(grad_output, x, running_mean, running_var, weight, training=training, eps=eps)


def batch_norm_saving(
    x: np.ndarray, weight: np.ndarray | None = None, bias: np.ndarray | None = None, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the y of `batch_norm` in training, and the mean and biased variance of each channel, float64 (C,).

    `batch_norm_saving_backward` takes them, and is spared to find them again: half of its time.

    >>> y, mean, variance = batch_norm_saving(np.array([[1.0], [3.0]]))
    >>> y.round(3).ravel(), mean, variance
    (array([-1.,  1.]), array([2.]), array([1.]))
    """
    C, eps = checks.batch_norm_operands(x, None, None, True, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight, bias=bias)
    mean, variance = _moments(x)
    return _scaled(x, mean, variance, weight, bias, eps), mean, variance


def batch_norm_saving_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    eps: float = 1e-5,
) -> Gradients:
    """Return (grad_x, grad_weight, grad_bias) of the y of `batch_norm_saving`, which returned mean and variance.

    >>> x = np.array([[1.0], [3.0], [5.0]])
    >>> _, mean, variance = batch_norm_saving(x)
    >>> grad_x, _, grad_bias = batch_norm_saving_backward(np.ones((3, 1)), x, mean, variance)
    >>> abs(grad_x).max() < 1e-12, grad_bias
    (np.True_, array([3.]))
    """
    C, eps = checks.batch_norm_operands(x, None, None, True, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight)
    checks.upstream(grad_output, x, np.ndarray)
    checks.per_value(np.empty(0), (C,), np.ndarray, mean=mean, variance=variance)
    return _training_backward(grad_output, x, mean, variance, weight, eps)


class _Channels:
    """How x (N, C, …) lies in memory, as (N, C·…): one image a row, in which each number belongs to some channel."""

    def __init__(self, x: np.ndarray) -> None:
        self.shape, self.C, self.dtype = x.shape, x.shape[1], x.dtype
        self.are_together = x.ndim == 2 or (x.ndim == 4 and x.strides[1] < x.strides[3])
        self.size = int(np.prod(x.shape[1:]))
        self.run = self.size // x.shape[2] if self.are_together and x.ndim == 4 else self.size // self.C
        if x.ndim == 2:
            self.run = self.C
        self.count = max(1, BLOCK_BYTES // (self.size * x.itemsize))  # images of a block
        self.ones = np.ones(max(self.run, self.count * self.size // self.run), x.dtype)

    def rows(self, a: np.ndarray) -> np.ndarray:
        """Return a (N, C, …), in the layout of x, as contiguous (N, C·…)."""
        laid_out = contiguous_channels_last(a) if self.are_together and a.ndim == 4 else np.ascontiguousarray(a)
        return laid_out.reshape(len(a), self.size)

    def restored(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (N, C·…) as (N, C, …)."""
        if self.are_together and len(self.shape) == 4:
            N, C, H, W = self.shape
            return rows.reshape(N, H, W, C).transpose(0, 3, 1, 2)
        return rows.reshape(self.shape)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return one value per channel (C,) as one per number of an image (C·…,)."""
        copies = self.size // self.C
        values = values.astype(self.dtype)
        return np.tile(values, copies) if self.are_together else np.repeat(values, copies)

    def sums(self, a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        """Return sums of a, or of a · b, over some of the numbers that share a channel, for `total` to add up."""
        runs = a.reshape(-1, self.run)
        if b is not None:
            return np.einsum("rw,rw->w" if self.are_together else "rw,rw->r", runs, b.reshape(-1, self.run))
        if self.are_together:
            return self.ones[: len(runs)] @ runs
        return runs @ self.ones[: self.run]

    def total(self, sums: Iterable[np.ndarray]) -> np.ndarray:
        """Return the sum of each channel, (C,) in float64."""
        return np.concatenate([np.zeros(self.C), *sums]).reshape(-1, self.C).sum(0)

    def blocks(self, part: slice) -> list[slice]:
        """Return the images of `part`, some at a time."""
        return [slice(k, min(k + self.count, part.stop)) for k in range(part.start, part.stop, self.count)]


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the biased variance of each channel, float64 (C,).

    All is measured from a shift s, the mean of the first block: with d = x − s, the mean is s + mean(d), and the
    variance mean(d²) − mean(d)². The first block alone makes the variance at least mean(d)² times its share of x, so
    that of the digits of mean(d²) the difference loses no more than those of the number of blocks, whatever the mean.
    """
    channels = _Channels(x)
    rows, m = channels.rows(x), max(1, x.size // channels.C)
    first = rows[: channels.count]
    with np.errstate(invalid="ignore", over="ignore"):
        shift = (channels.total([channels.sums(first)]) / max(1, first.size // channels.C)).astype(x.dtype)
        wide = channels.spread(shift)

        def work(part: slice, buffers: Workspace) -> list[tuple[np.ndarray, np.ndarray]]:
            sums = []
            with np.errstate(invalid="ignore", over="ignore"):
                for block in channels.blocks(part):
                    d = np.subtract(rows[block], wide, out=buffers.take("centred", rows[block].shape, x.dtype))
                    sums.append((channels.sums(d), channels.sums(d, d)))
            return sums

        sums = list(chain.from_iterable(over_batch(work, len(x), nanoseconds=0.5 * x.size)))
        rest, squares = (channels.total(each[k] for each in sums) / m for k in range(2))
        mean = np.where(np.isfinite(shift), shift + rest, shift)  # ∞ stays ∞
        return mean, np.maximum(0, squares - rest**2)


def _scaled(
    x: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
) -> np.ndarray:
    """Return (x − mean) / √(variance + eps) · weight + bias, as x · scale + shift, or as said where these are ∞."""
    channels = _Channels(x)
    rows = channels.rows(x)
    y = np.empty_like(rows)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        scale = (1.0 if weight is None else weight) / np.sqrt(np.asarray(variance, np.float64) + eps)
        shift = (0.0 if bias is None else bias) - mean * scale
        scales, shifts = channels.spread(scale), channels.spread(shift)
        if not (np.isfinite(scales).all() and np.isfinite(shifts).all()):
            statistics = mean.astype(x.dtype), variance.astype(x.dtype)
            return ops_numpy.batch_norm(x, *statistics, weight, bias, eps=eps)[0]

    def work(part: slice, _: Workspace) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            for block in channels.blocks(part):
                np.multiply(rows[block], scales, out=y[block])
                y[block] += shifts

    over_batch(work, len(x), nanoseconds=0.5 * x.size)
    return channels.restored(y)


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def _training_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    weight: np.ndarray | None,
    eps: float,
) -> Gradients:
    """Return the gradients, grad_x = a · g + b · x + c three numbers for each channel, or as said where one is ∞."""
    channels = _Channels(x)
    rows, grads = channels.rows(x), channels.rows(grad_output)
    grad_x, m = np.empty_like(rows), max(1, x.size // channels.C)
    means = channels.spread(mean)

    def work_on_sums(part: slice, buffers: Workspace) -> list[tuple[np.ndarray, np.ndarray]]:
        sums = []
        with np.errstate(invalid="ignore", over="ignore"):
            for block in channels.blocks(part):
                d = np.subtract(rows[block], means, out=buffers.take("centred", rows[block].shape, x.dtype))
                sums.append((channels.sums(grads[block]), channels.sums(grads[block], d)))
        return sums

    sums = list(chain.from_iterable(over_batch(work_on_sums, len(x), nanoseconds=0.5 * x.size)))
    total, products = (channels.total(each[k] for each in sums) for k in range(2))
    sigma = np.sqrt(variance + eps)
    a = (1.0 if weight is None else weight) / sigma
    b = -a * products / m / sigma**2
    grad_weight, grad_bias = (products / sigma).astype(x.dtype), total.astype(x.dtype)
    factors, slopes, offsets = (channels.spread(v) for v in (a, b, -a * total / m - b * mean))
    if not all(np.isfinite(v).all() for v in (factors, slopes, offsets, grad_weight, grad_bias)):
        return ops_numpy.batch_norm_backward(grad_output, x, None, None, weight, training=True, eps=eps)

    def work(part: slice, buffers: Workspace) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            for block in channels.blocks(part):
                sloped = np.multiply(rows[block], slopes, out=buffers.take("sloped", rows[block].shape, x.dtype))
                sloped += offsets
                np.multiply(grads[block], factors, out=grad_x[block])
                grad_x[block] += sloped

    over_batch(work, len(x), nanoseconds=0.7 * x.size)
    return channels.restored(grad_x), grad_weight, grad_bias
