"""Small networks, ready to train."""

from __future__ import annotations

import numpy as np

from cnnlib.nn_numpy.containers import Sequential
from cnnlib.nn_numpy.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU


def digits_cnn(generator: np.random.Generator) -> Sequential:
    """Return a small network for 8 × 8 digits: two convolutions, two poolings, one linear layer; 6,090 parameters.

    >>> model = digits_cnn(np.random.default_rng(0))
    >>> sum(p.size for p in model.parameters.values())
    6090
    """
    return Sequential(
        Conv2d(1, 16, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(128, 10, generator=generator),
    )
