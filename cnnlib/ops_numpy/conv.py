"""Convolution, as networks compute it: cross-correlation, the kernel is not flipped.

True convolution turns the kernel by 180° first: `conv2d(x, weight[:, :, ::-1, ::-1])`. Each backward is derived by
hand: y = W·columns(x) is linear in both factors, so the gradients are products with the transposes, and the transpose
of cutting windows out is adding them back.
"""

from __future__ import annotations

import numpy as np

from cnnlib import checks
from cnnlib.geometry import Geometry, IntOrTuple, Padding, as_ints, conv_geometry, conv_transpose_geometry
from cnnlib.ops_numpy._windows import patches, scatter_patches


def _columns(x: np.ndarray, geometry: Geometry, groups: int) -> np.ndarray:
    """Return the windows as the columns of one matrix per image and group, (N, groups, C/groups · taps, positions)."""
    rank = len(geometry.output_size)
    windows = patches(x, geometry)  # (N, C, *output_size, *kernel_size)
    positions, taps = tuple(range(2, 2 + rank)), tuple(range(2 + rank, 2 + 2 * rank))
    N, C = x.shape[:2]
    depth = C // groups * int(np.prod(geometry.kernel_size))
    return windows.transpose(0, 1, *taps, *positions).reshape(N, groups, depth, int(np.prod(geometry.output_size)))


def _matrices(values: np.ndarray, groups: int) -> np.ndarray:
    """Flatten the spatial axes of (N, C, *size) and split its channels: (N, groups, C/groups, positions)."""
    N, C = values.shape[:2]
    return values.reshape(N, groups, C // groups, int(np.prod(values.shape[2:])))


def _correlate(x: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int) -> np.ndarray:
    rows = weight.reshape(groups, weight.shape[0] // groups, int(np.prod(weight.shape[1:])))
    y = rows @ _columns(x, geometry, groups)  # (N, groups, C_out/groups, positions)
    return y.reshape(x.shape[0], weight.shape[0], *geometry.output_size)


def _correlate_adjoint(
    grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int, input_size: tuple[int, ...]
) -> np.ndarray:
    rows = weight.reshape(groups, weight.shape[0] // groups, int(np.prod(weight.shape[1:])))
    columns = rows.swapaxes(1, 2) @ _matrices(grad_output, groups)  # (N, groups, C/groups · taps, positions)
    shape = (grad_output.shape[0], weight.shape[1] * groups, *geometry.kernel_size, *geometry.output_size)
    return scatter_patches(columns.reshape(shape), geometry, input_size)


def _correlate_weight(
    grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, groups: int, shape: tuple[int, ...]
) -> np.ndarray:
    products = _matrices(grad_output, groups) @ _columns(x, geometry, groups).swapaxes(2, 3)
    return products.sum(axis=0).reshape(shape)  # every image of the batch used the same weights


def conv2d_naive(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> np.ndarray:
    """Compute `conv2d` in plain loops: the definition, and the oracle of every faster way.

    >>> conv2d_naive(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    groups = checks.conv_operands(x, weight, bias, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    (sh, sw), (dh, dw), (oh, ow) = geometry.stride, geometry.dilation, geometry.output_size
    (top, _), (left, _) = geometry.padding
    N, _, H, W = x.shape
    C_out, C_group, kh, kw = weight.shape
    y = np.zeros((N, C_out, oh, ow), x.dtype)
    for n, f, i, j in np.ndindex(y.shape):
        first = f // (C_out // groups) * C_group  # the first channel of this filter's group
        total = x.dtype.type(0) if bias is None else bias[f]
        for c, u, v in np.ndindex(C_group, kh, kw):
            row, column = i * sh - top + u * dh, j * sw - left + v * dw
            inside = 0 <= row < H and 0 <= column < W
            pixel = x[n, first + c, row, column] if inside else x.dtype.type(0)  # beyond the border lie zeros
            total = total + pixel * weight[f, c, u, v]
        y[n, f, i, j] = total
    return y


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> np.ndarray:
    """Correlate images with filters.

    y[n, f, i, j] = b[f] + Σ_{c,u,v} x[n, c, i·s + u·d − p, j·s + v·d − p] · w[f, c, u, v], zeros beyond the border.

    x (N, C, H, W), weight (C_out, C // groups, kh, kw), bias (C_out,) → (N, C_out, H_out, W_out). Options as in
    `torch.nn.functional.conv2d`; `padding` may also be ((top, bottom), (left, right)). A flat pair is (height, width).
    Float32 or float64 in, the same out. Raises ValueError, naming the argument, for anything else, for channels that
    do not match and for a kernel larger than the padded input. LeCun et al. (1998), section II.A,
    https://doi.org/10.1109/5.726791.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.array([[[[1.0, 0.0], [0.0, -1.0]]]]))[0, 0]
    array([[-4., -4.],
           [-4., -4.]])
    """
    groups = checks.conv_operands(x, weight, bias, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    y = _correlate(x, weight, geometry, groups)
    return y if bias is None else y + bias[:, None, None]


def conv2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `conv2d`, given grad_output (N, C_out, H_out, W_out).

    Pixels that no window covered get a gradient of zero. Raises ValueError as `conv2d` does, and where `grad_output`
    does not have the shape of its output.

    >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> grad_x, grad_weight, grad_bias = conv2d_backward(np.ones((1, 1, 2, 2)), x, weight)
    >>> grad_x[0, 0]  # how many windows each pixel lies in
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    groups = checks.conv_operands(x, weight, None, groups, np.ndarray)
    geometry = conv_geometry(x.shape[2:], weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    checks.shaped("grad_output", grad_output, (x.shape[0], weight.shape[0], *geometry.output_size), np.ndarray)
    checks.like("grad_output", grad_output, "x", x)
    grad_x = _correlate_adjoint(grad_output, weight, geometry, groups, x.shape[2:])
    grad_weight = _correlate_weight(grad_output, x, geometry, groups, weight.shape)
    return grad_x, grad_weight, grad_output.sum(axis=(0, 2, 3))


def conv_transpose2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> np.ndarray:
    """Apply the transpose of `conv2d`'s matrix: every pixel of x stamps the kernel, scaled, into a larger output.

    x (N, C, H, W), weight (C, C_out // groups, kh, kw), bias (C_out,) → (N, C_out, H_out, W_out) with
    H_out = s(H − 1) + d(kh − 1) + 1 − padding + output_padding. `padding` cuts the *output*. Options as in
    `torch.nn.functional.conv_transpose2d`; `padding` also as in `conv2d`. Raises ValueError as `conv2d` does.
    Zeiler et al. (2010), https://doi.org/10.1109/CVPR.2010.5539957.

    >>> conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 3)), stride=2)
    array([[[[1., 1., 3., 2., 2.]]]])
    """
    groups = checks.conv_transpose_operands(x, weight, bias, groups, np.ndarray)
    geometry, output_size = conv_transpose_geometry(
        x.shape[2:],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    y = _correlate_adjoint(x, weight, geometry, groups, output_size)
    return y if bias is None else y + bias[:, None, None]


def conv_transpose2d_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `conv_transpose2d`: its transpose is the convolution again.

    >>> x, weight = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))
    >>> [g.shape for g in conv_transpose2d_backward(np.ones((1, 1, 5, 5)), x, weight, stride=2)]
    [(1, 1, 2, 2), (1, 1, 3, 3), (1,)]
    """
    groups = checks.conv_transpose_operands(x, weight, None, groups, np.ndarray)
    geometry, output_size = conv_transpose_geometry(
        x.shape[2:],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    shape = (x.shape[0], weight.shape[1] * groups, *output_size)
    checks.shaped("grad_output", grad_output, shape, np.ndarray)
    checks.like("grad_output", grad_output, "x", x)
    grad_x = _correlate(grad_output, weight, geometry, groups)
    grad_weight = _correlate_weight(x, grad_output, geometry, groups, weight.shape)
    return grad_x, grad_weight, grad_output.sum(axis=(0, 2, 3))


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
    groups = checks.matrix_operands(weight, groups, np.ndarray)
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
