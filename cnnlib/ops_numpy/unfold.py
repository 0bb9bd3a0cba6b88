"""Convolution as a product of matrices: windows as columns, or the whole layer as one sparse matrix.

`unfold` and `fold` are adjoint, ⟨unfold(x), c⟩ = ⟨x, fold(c)⟩, so each is the backward of the other. They are not
inverse: fold(unfold(x)) counts every pixel as often as windows cover it.
"""

from __future__ import annotations

import math

import numpy as np

from cnnlib.checks import floating
from cnnlib.checks.conv import column_operands, matrix_operands
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_ints, conv_geometry
from cnnlib.ops_numpy._windows import patches, scatter_patches


def _cut_out(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    windows = patches(x, geometry).transpose(0, 1, 4, 5, 2, 3)  # (N, C, kh, kw, oh, ow), a view of x
    depth, length = x.shape[1] * math.prod(geometry.kernel_size), math.prod(geometry.output_size)
    return np.array(windows, order="C").reshape(len(x), depth, length)


@np.errstate(invalid="ignore")  # ∞ − ∞ is NaN
def _put_back(columns: np.ndarray, geometry: Geometry, size: tuple[int, ...]) -> np.ndarray:
    N, C = len(columns), columns.shape[1] // math.prod(geometry.kernel_size)
    return scatter_patches(columns.reshape(N, C, *geometry.kernel_size, *geometry.output_size), geometry, size)


def unfold(
    x: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> np.ndarray:
    """Write every window as a column ("im2col"): x (N, C, H, W) → (N, C · kh · kw, L), L the number of windows.

    Windows follow one another in row-major order, and so do the taps of each channel in a column; hence
    `weight.reshape(C_out, -1) @ unfold(x, (kh, kw))` is a convolution. Options as in `torch.nn.functional.unfold`;
    `padding` may also be as in `conv2d`. Raises ValueError, naming the argument, for anything but float32 or float64
    images and for a kernel larger than the padded input. Chellapilla, Puri and Simard (2006),
    https://inria.hal.science/inria-00112631.

    >>> unfold(np.array([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    array([[[1., 2.],
            [2., 3.]]])
    """
    floating("x", x, np.ndarray, "N, C, H, W")
    geometry = conv_geometry(x.shape[2:], kernel_size, dilation=dilation, padding=padding, stride=stride)
    return _cut_out(x, geometry)


def unfold_backward(
    grad_output: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    input_size: IntOrTuple,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> np.ndarray:
    """Return grad_x (N, C, *input_size) of `unfold`, given grad_output (N, C · kh · kw, L): `fold`.

    >>> unfold_backward(np.ones((1, 2, 2)), (1, 2), input_size=(1, 3))
    array([[[[1., 2., 1.]]]])
    """
    size = as_ints("input_size", input_size, 2, 1)
    geometry = conv_geometry(size, kernel_size, dilation=dilation, padding=padding, stride=stride)
    column_operands("grad_output", grad_output, geometry, np.ndarray)
    return _put_back(grad_output, geometry, size)


def fold(
    x: np.ndarray,
    output_size: IntOrTuple,
    kernel_size: IntOrTuple,
    *,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> np.ndarray:
    """Add columns to where `unfold` cut them from ("col2im"): x (N, C · kh · kw, L) → (N, C, *output_size).

    Where windows overlap, they are summed. Options as in `torch.nn.functional.fold`; `padding` may also be as in
    `conv2d`. Raises ValueError, naming the argument, where the columns are not those of `output_size`, (H, W).

    >>> fold(np.array([[[1.0, 2.0], [20.0, 30.0]]]), (1, 3), (1, 2))
    array([[[[ 1., 22., 30.]]]])
    """
    size = as_ints("output_size", output_size, 2, 1)
    geometry = conv_geometry(size, kernel_size, dilation=dilation, padding=padding, stride=stride)
    column_operands("x", x, geometry, np.ndarray)
    return _put_back(x, geometry, size)


def fold_backward(
    grad_output: np.ndarray,
    kernel_size: IntOrTuple,
    *,
    dilation: IntOrTuple = 1,
    padding: Padding = 0,
    stride: IntOrTuple = 1,
) -> np.ndarray:
    """Return grad_x (N, C · kh · kw, L) of `fold`, given grad_output (N, C, *output_size): `unfold`.

    >>> fold_backward(np.array([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    array([[[1., 2.],
            [2., 3.]]])
    """
    floating("grad_output", grad_output, np.ndarray, "N, C, H, W")
    geometry = conv_geometry(grad_output.shape[2:], kernel_size, dilation=dilation, padding=padding, stride=stride)
    return _cut_out(grad_output, geometry)


def conv2d_matrix(
    weight: np.ndarray,
    input_size: IntOrTuple,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Write the convolution of one image of `input_size` (H, W) as a sparse matrix A with y.ravel() = A @ x.ravel().

    Returns (rows, columns, values, shape) with shape (C_out·H_out·W_out, C·H·W); no (row, column) stands twice, and
    taps on the padding are left out. For one channel and stride 1, A is doubly block Toeplitz. There is no bias.
    Torch has no such function. Gray, "Toeplitz and Circulant Matrices" (2006), https://doi.org/10.1561/0100000006.

    >>> rows, columns, values, shape = conv2d_matrix(np.ones((1, 1, 1, 2)), (1, 3))
    >>> rows, columns, shape
    (array([0, 0, 1, 1]), array([0, 1, 1, 2]), (2, 3))
    """
    groups = matrix_operands(weight, groups, np.ndarray)
    H, W = as_ints("input_size", input_size, 2, 1)
    C_out, C_group, kh, kw = weight.shape
    C = C_group * groups
    geometry = conv_geometry((H, W), (kh, kw), stride=stride, padding=padding, dilation=dilation)
    oh, ow = geometry.output_size
    numbers = np.arange(C * H * W).reshape(1, C, H, W)
    pixels = patches(numbers, geometry, fill=-1)  # which pixel each tap reads; -1 is padding; (1, C, oh, ow, kh, kw)
    pixels = pixels.reshape(groups, 1, C_group, oh, ow, kh, kw)
    shape = (groups, C_out // groups, C_group, oh, ow, kh, kw)
    taps = weight.reshape(groups, C_out // groups, C_group, 1, 1, kh, kw)
    outputs = np.arange(C_out * oh * ow).reshape(groups, C_out // groups, 1, oh, ow, 1, 1)
    order = (0, 1, 3, 4, 2, 5, 6)  # row by row, and inside a row in the order of the input
    rows, columns, values = (np.broadcast_to(a, shape).transpose(order).ravel() for a in (outputs, pixels, taps))
    real = columns >= 0
    return rows[real], columns[real], values[real], (C_out * oh * ow, C * H * W)
