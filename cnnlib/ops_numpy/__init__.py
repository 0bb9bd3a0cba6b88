"""The operators in NumPy, each with its hand-derived backward; `cnnlib.ops_torch` has the same names in torch."""

from cnnlib.ops_numpy.activation import relu, relu_backward
from cnnlib.ops_numpy.conv import (
    conv2d,
    conv2d_backward,
    conv2d_matrix,
    conv2d_naive,
    conv_transpose2d,
    conv_transpose2d_backward,
)
from cnnlib.ops_numpy.linear import linear, linear_backward
from cnnlib.ops_numpy.loss import cross_entropy, cross_entropy_backward
from cnnlib.ops_numpy.pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_matrix",
    "conv2d_naive",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "linear",
    "linear_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
]
