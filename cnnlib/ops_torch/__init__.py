"""The operators in torch, on CPU, CUDA and MPS: the same files, names and signatures as `cnnlib.ops_numpy`.

Each backward is derived by hand here too: none of them asks autograd.
"""

from cnnlib.ops_torch.activation import relu, relu_backward
from cnnlib.ops_torch.conv import (
    conv2d,
    conv2d_backward,
    conv2d_matrix,
    conv_transpose2d,
    conv_transpose2d_backward,
)
from cnnlib.ops_torch.linear import linear, linear_backward
from cnnlib.ops_torch.loss import cross_entropy, cross_entropy_backward
from cnnlib.ops_torch.pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_matrix",
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
