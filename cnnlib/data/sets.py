"""The data sets that networks are trained on, by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnnlib.data.included import digits, split
from cnnlib.data.published import CIFAR10_MEAN, CIFAR10_STD, MNIST_MEAN, MNIST_STD, cifar10, mnist

NAMES = ("digits", "mnist", "cifar10")
DIGITS_MEAN, DIGITS_STD = (0.3055,), (0.3761,)  # of the training images


class DataSet(NamedTuple):
    """Images (N, C, H, W) and labels (N,) to train on and to test on; mean and standard deviation of each channel."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(name: str) -> DataSet:
    """Return a data set: "digits" comes with the package, "mnist" and "cifar10" as their own functions say.

    Of the digits a fifth of each class, always the same, is the test set. Raises ValueError for another name.

    >>> [images.shape for images, labels in load("digits")[:2]]
    [(1438, 1, 8, 8), (359, 1, 8, 8)]
    """
    if name == "digits":
        images, labels = digits()
        images = images[:, None].astype(np.float32)
        train, test = split(labels, 0.2, np.random.default_rng(0))
        return DataSet((images[train], labels[train]), (images[test], labels[test]), DIGITS_MEAN, DIGITS_STD)
    if name == "mnist":
        return DataSet(mnist("train"), mnist("test"), MNIST_MEAN, MNIST_STD)
    if name == "cifar10":
        return DataSet(cifar10("train"), cifar10("test"), CIFAR10_MEAN, CIFAR10_STD)
    raise ValueError(f"name is {name!r}; expected one of {', '.join(map(repr, NAMES))}")
