"""One step of training, batches in random order, and the accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cnnlib import ops_numpy as ops
from cnnlib.geometry import as_int
from cnnlib.nn_numpy.base import Layer, layers_of
from cnnlib.nn_numpy.optimisers import Optimiser


def train_step(model: Layer, optimiser: Optimiser, x: np.ndarray, target: np.ndarray) -> float:
    """Take one step of gradient descent on the cross-entropy of a batch; return the loss before it."""
    logits = model.forward(x)
    model.backward_parameters(ops.cross_entropy_backward(1.0, logits, target))
    optimiser.step()
    return float(ops.cross_entropy(logits, target))


def batches(n: int, batch_size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the indices 0 … n − 1 in a random order, `batch_size` at a time; the last batch may be smaller.

    >>> [len(b) for b in batches(5, 2, np.random.default_rng(0))]
    [2, 2, 1]
    """
    order = generator.permutation(n)
    for start in range(0, n, as_int("batch_size", batch_size, 1)):
        yield order[start : start + batch_size]


def accuracy(model: Layer, x: np.ndarray, target: np.ndarray) -> float:
    """Return the fraction of the images x (N, C, H, W) whose largest logit is that of their class, target (N,).

    The model acts as in use, and is then as it was.
    """
    if target.shape != (len(x),):
        raise ValueError(f"target has shape {target.shape}; expected {(len(x),)}")
    with in_use(model):
        return float((model.forward(x).argmax(axis=1) == target).mean())


@contextmanager
def in_use(model: Layer) -> Iterator[None]:
    """Let a model act as in use for a while; then every layer has its own mode again.

    >>> from cnnlib.nn_numpy import Dropout
    >>> layer = Dropout(0.5, generator=np.random.default_rng(0))
    >>> with in_use(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    modes = [(layer, layer.training) for layer in layers_of(model)]
    model.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training
