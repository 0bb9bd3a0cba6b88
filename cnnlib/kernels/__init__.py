"""Convolution as a GPU computes it: programs in Triton, for CUDA tensors in half and single precision.

Triton comes with torch on Linux; elsewhere, or beside a CPU torch, the extra `cnnlib[triton]` brings it.
"""

try:
    import torch as torch
    import triton as triton
except ImportError as error:
    raise ImportError('cnnlib.kernels needs torch and Triton: pip install "cnnlib[triton]"') from error

from cnnlib.kernels.conv import conv2d, conv2d_backward

__all__ = ["conv2d", "conv2d_backward"]
