"""Layers with a forward and a backward, networks of them, and gradient descent: training in NumPy alone.

A layer keeps in `forward` what its `backward` needs. Parameters and gradients are dictionaries by name; the names,
such as "0.weight", are those of `cnnlib.nn_torch`, so that weights move between the two.
"""

from cnnlib.nn_numpy.base import Layer, load, state
from cnnlib.nn_numpy.containers import Parallel, Residual, Sequential
from cnnlib.nn_numpy.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    PadChannels,
    ReLU,
    he_normal,
)
from cnnlib.nn_numpy.networks import digits_cnn, lenet5, resnet20
from cnnlib.nn_numpy.optimisers import SGD, Adam, AdamW, Optimiser
from cnnlib.nn_numpy.training import accuracy, batches, in_use, train_step

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Layer",
    "Linear",
    "MaxPool2d",
    "Optimiser",
    "PadChannels",
    "Parallel",
    "ReLU",
    "Residual",
    "Sequential",
    "accuracy",
    "batches",
    "digits_cnn",
    "he_normal",
    "in_use",
    "lenet5",
    "load",
    "resnet20",
    "state",
    "train_step",
]
