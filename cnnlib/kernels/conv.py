"""Convolution as one matrix product, in Triton: what cuDNN calls implicit GEMM.

A convolution is Y = P·Wᵀ, with a row of the patch matrix P for each of the M = N·H_out·W_out windows, a column of Y for
each of the C_out filters, and sums of length K = C·kh·kw. P is kh·kw times as large as x and is never built: each
program computes a tile of Y and reads the entries of P that it needs from x, where they stand (Chetlur et al., "cuDNN:
Efficient Primitives for Deep Learning", 2014, section 3, https://arxiv.org/abs/1410.0759). The gradients are two more
such products: grad_x, M = N·H·W, sums over filters and taps; grad_weight, C_out × C·kh·kw, sums over all windows, and
is cut into parts that run side by side. The tiling is that of Tillet et al., "Triton: an intermediate language and
compiler for tiled neural network computations" (2019), https://doi.org/10.1145/3315508.3329973.
"""

from __future__ import annotations

import torch

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_groups, conv_geometry
from cnnlib.kernels import _correlation

DTYPES = ("bfloat16", "float16", "float32")
MOST_PIXELS = 2**30  # they are counted in 32 bits, and a last tile reaches beyond them


def _operands(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: int) -> int:
    """Check the operands as `cnnlib.ops_torch.conv2d` does, but for their dtypes, and return `groups` as an int."""
    checks.floating("x", x, torch.Tensor, "N, C, H, W", dtypes=DTYPES)
    checks.floating("weight", weight, torch.Tensor, "C_out, C_in // groups, kh, kw", dtypes=DTYPES)
    checks.like("weight", weight, "x", x)
    _, _, groups = as_groups(x.shape[1], weight.shape[0], groups)
    if weight.shape[1] * groups != x.shape[1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected {x.shape[1] // groups} in its second axis, "
            f"the {x.shape[1]} channels of x over groups {groups}"
        )
    if bias is not None:
        checks.shaped("bias", bias, (weight.shape[0],), torch.Tensor, dtypes=DTYPES)
        checks.like("bias", bias, "x", x)
    return groups


def _geometry(
    x: torch.Tensor, weight: torch.Tensor, stride: IntOrTuple, padding: Padding, dilation: IntOrTuple
) -> Geometry:
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    (oh, ow), (N, _, H, W) = geometry.output_size, x.shape
    if N * max(H * W, oh * ow) >= MOST_PIXELS:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected fewer than 2³⁰ pixels in the batch and its output")
    return geometry


def _at_home(x: torch.Tensor) -> None:
    """Check that x is where the programs run."""
    home, why = ("cpu", "as TRITON_INTERPRET is set") if _correlation.INTERPRETED else ("cuda", "where Triton compiles")
    if x.device.type != home:
        raise ValueError(f"x is on {x.device}; expected {home}, {why}")


def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Correlate images with filters on a GPU: as `cnnlib.ops_numpy.conv2d`, which says all, in other precisions.

    x (N, C, H, W), weight (C_out, C // groups, kh, kw), bias (C_out,) → (N, C_out, H_out, W_out), all CUDA tensors of
    one dtype: bfloat16, float16 or float32, not float64. Sums are taken in float32. Float32 factors are rounded to
    TF32, ten bits, where `torch.backends.cudnn.allow_tf32` is set, as for torch's own convolutions, so that one switch
    rules both. Tensors in torch.channels_last are read in place, others copied; the result is channels_last. Groups
    of fewer than 16 channels are correct and slow. The first call of a shape, whatever its batch, tries the tiles.

    Under TRITON_INTERPRET=1, set before the first import, it runs in NumPy on CPU tensors, in float16 or float32.
    Raises ValueError as `cnnlib.ops_numpy.conv2d` does, for tensors elsewhere, and for 2³⁰ pixels or more in a batch.

    >>> x = torch.ones(1, 1, 3, 3, device="cuda", dtype=torch.bfloat16)  # doctest: +SKIP
    >>> conv2d(x, x[:, :, :2, :2])[0, 0].tolist()  # doctest: +SKIP
    [[4.0, 4.0], [4.0, 4.0]]
    """
    groups = _operands(x, weight, bias, groups)
    geometry = _geometry(x, weight, stride, padding, dilation)
    _at_home(x)
    if x.shape[0] == 0:
        return x.new_empty((0, weight.shape[0], *geometry.output_size))
    with torch.cuda.device_of(x):
        return _correlation.correlate(x, weight, bias, geometry, groups)


def conv2d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `conv2d`, given grad_output (N, C_out, H_out, W_out).

    No sum is taken by atomic addition: the same call gives the same bits, as long as the tiles stay those first chosen,
    on one GPU and in one process. Raises ValueError as `conv2d` does, and where `grad_output` does not have the shape,
    dtype or device of its output.
    """
    groups = _operands(x, weight, None, groups)
    geometry = _geometry(x, weight, stride, padding, dilation)
    shape = (x.shape[0], weight.shape[0], *geometry.output_size)
    checks.shaped("grad_output", grad_output, shape, torch.Tensor, dtypes=DTYPES)
    checks.like("grad_output", grad_output, "x", x)
    _at_home(x)
    if x.shape[0] == 0:
        return torch.zeros_like(x), torch.zeros_like(weight), weight.new_zeros(weight.shape[0])
    with torch.cuda.device_of(x):
        grad_x = _correlation.correlate_adjoint(grad_output, weight, geometry, groups, tuple(x.shape[2:]))
        grad_weight = _correlation.correlate_weight(grad_output, x, geometry, groups, tuple(weight.shape))
    return grad_x, grad_weight, grad_output.sum(dim=(0, 2, 3))
