"""`cnnlib.ops_numpy` again, with the same names, signatures and values, as fast as NumPy goes."""

from cnnlib.fast.conv import conv2d, conv2d_backward
from cnnlib.fast.pool import (
    max_pool2d,
    max_pool2d_backward,
    max_pool2d_values,
    max_pool2d_values_backward,
)

__all__ = [
    "conv2d",
    "conv2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_values",
    "max_pool2d_values_backward",
]
