"""`cnnlib.ops_numpy` again, with the same names, signatures and values, as fast as NumPy goes."""

from cnnlib.fast.activation import relu, relu_backward
from cnnlib.fast.conv import conv2d, conv2d_backward, conv2d_backward_parameters
from cnnlib.fast.norm import batch_norm, batch_norm_backward, batch_norm_saving, batch_norm_saving_backward
from cnnlib.fast.pool import (
    max_pool2d,
    max_pool2d_backward,
    max_pool2d_values,
    max_pool2d_values_backward,
)

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_saving",
    "batch_norm_saving_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_backward_parameters",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_values",
    "max_pool2d_values_backward",
    "relu",
    "relu_backward",
]
