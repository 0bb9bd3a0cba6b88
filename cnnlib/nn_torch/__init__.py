"""The layers, networks and training of `cnnlib.nn_numpy` in torch: autograd functions and modules over `ops_torch`.

Any optimiser of torch moves the parameters, whose names are those of `cnnlib.nn_numpy`.
"""

from cnnlib.nn_torch.containers import Parallel, Residual, Sequential
from cnnlib.nn_torch.functions import (
    AvgPool2dFunction,
    BatchNormFunction,
    Conv2dFunction,
    CrossEntropyFunction,
    DropoutFunction,
    LinearFunction,
    MaxPool2dFunction,
    ReLUFunction,
)
from cnnlib.nn_torch.layers import (
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
from cnnlib.nn_torch.networks import digits_cnn, lenet5, resnet20
from cnnlib.nn_torch.training import load, state, train_step

__all__ = [
    "AvgPool2d",
    "AvgPool2dFunction",
    "BatchNorm2d",
    "BatchNormFunction",
    "Conv2d",
    "Conv2dFunction",
    "CrossEntropyFunction",
    "Dropout",
    "DropoutFunction",
    "Flatten",
    "GlobalAvgPool2d",
    "Linear",
    "LinearFunction",
    "MaxPool2d",
    "MaxPool2dFunction",
    "PadChannels",
    "Parallel",
    "ReLU",
    "ReLUFunction",
    "Residual",
    "Sequential",
    "digits_cnn",
    "he_normal",
    "lenet5",
    "load",
    "resnet20",
    "state",
    "train_step",
]
