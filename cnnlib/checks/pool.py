"""What both twins check of the options of pooling and upsampling that no geometry of equal windows describes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cnnlib.checks import arrays
from cnnlib.geometry import AXES, IntOrTuple, Padding, as_ints, as_padding

Windows = list[tuple[int, int]]  # (start, end) of each window along one axis


def plane_indices(indices: Any, shape: tuple[int, ...], size: Sequence[int], array_type: Any) -> None:
    """Check that `indices` holds positions of a plane, or volume, of `size`, counted in row-major order."""
    arrays.integers("indices", indices, shape, array_type)
    positions, indices = math.prod(size), arrays.as_int64(indices)
    if math.prod(shape) and not 0 <= int(indices.min()) <= int(indices.max()) < positions:
        raise ValueError(
            f"indices runs from {int(indices.min())} to {int(indices.max())}; expected 0 to {positions - 1}"
        )


def unpooled_shape(indices: Any, grad_output: Any) -> tuple[int, ...]:
    """Return the shape (N, C, H, W) that the indices of an unpooling must have, given any H and W."""
    shape = tuple(getattr(indices, "shape", ()))
    if shape and (len(shape) != 4 or 0 in shape[2:]):
        raise ValueError(f"indices has shape {shape}; expected 4 axes (N, C, H, W), no axis but N to be empty")
    return (*grad_output.shape[:2], *shape[2:])


def adaptive_windows(input_size: Sequence[int], output_size: object) -> tuple[Windows, Windows]:
    """Return where each window of an adaptive pooling begins and ends, along the height and the width.

    Window i of n along an axis of s pixels runs from ⌊i·s/n⌋ to before ⌈(i + 1)·s/n⌉. None keeps the axis as it is.

    >>> adaptive_windows((5, 4), (3, None))
    ([(0, 2), (1, 4), (3, 5)], [(0, 1), (1, 2), (2, 3), (3, 4)])
    """
    if isinstance(output_size, (tuple, list)) and len(output_size) == len(input_size):
        output_size = [s if o is None else o for s, o in zip(input_size, output_size, strict=True)]
    counts = as_ints("output_size", output_size, 2, 1)
    height, width = (
        [(i * s // n, -((i + 1) * -s // n)) for i in range(n)] for s, n in zip(input_size, counts, strict=True)
    )
    return height, width


def unpool_size(
    input_size: Sequence[int],
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None,
    padding: Padding,
    output_size: IntOrTuple | None,
) -> tuple[int, ...]:
    """Return the size (H, W) before the pooling that unpooling undoes: less than a stride from the smallest reading."""
    kernel = as_ints("kernel_size", kernel_size, 2, 1)
    strides = kernel if stride is None else as_ints("stride", stride, 2, 1)
    pads = as_padding(padding, kernel, strides, (1, 1))
    plain = [s * (n - 1) + k - sum(pad) for n, k, s, pad in zip(input_size, kernel, strides, pads, strict=True)]
    sizes = tuple(plain) if output_size is None else as_ints("output_size", output_size, 2, 1)
    for name, size, near, step in zip(AXES[2], sizes, plain, strides, strict=True):
        if size < 1:
            raise ValueError(f"padding is {padding!r}; expected less, as the {name} of the output is {size}")
        if abs(size - near) >= step:
            raise ValueError(
                f"output_size is {output_size!r}; expected a {name} from {max(1, near - step + 1)} to {near + step - 1}"
            )
    return sizes


def upsample_size(
    input_size: Sequence[int], size: IntOrTuple | None, scale_factor: Any
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the output size (H, W), and how many pixels of the input one pixel of the output spans along each axis.

    >>> upsample_size((4, 5), None, 1.5)
    ((6, 7), (0.6666666666666666, 0.6666666666666666))
    """
    if (size is None) == (scale_factor is None):
        raise ValueError(f"size is {size!r} and scale_factor {scale_factor!r}; expected one of them")
    if size is not None:
        sizes = as_ints("size", size, 2, 1)
        return sizes, tuple(n / o for n, o in zip(input_size, sizes, strict=True))
    given = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor, scale_factor)
    factors = [arrays.real(f) for f in given]
    if len(given) != 2 or not all(map(math.isfinite, factors)):
        raise ValueError(f"scale_factor is {scale_factor!r}; expected a number or two (height, width)")
    for factor, n in zip(factors, input_size, strict=True):
        if n * factor < 1:
            raise ValueError(f"scale_factor is {scale_factor!r}; expected to leave at least one of {n} pixels")
    return tuple(int(n * f) for n, f in zip(input_size, factors, strict=True)), tuple(1 / f for f in factors)


def norm_type(value: Any) -> float:
    """Return the exponent of a power-mean pooling, a positive number."""
    found = arrays.real(value)
    if not 0 < found < math.inf:
        raise ValueError(f"norm_type is {value!r}; expected a positive number")
    return found


def blur_options(
    input_size: Sequence[int], kernel_size: IntOrTuple, stride: IntOrTuple
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Return the kernel size, the stride and the padding (before, after), which must leave a pixel to mirror at."""
    kernel = as_ints("kernel_size", kernel_size, 2, 1)
    for name, k, n in zip(AXES[2], kernel, input_size, strict=True):
        if k // 2 >= n:
            raise ValueError(f"kernel_size is {k} along the {name}; expected at most {2 * n - 1}, to mirror {n} pixels")
    return kernel, as_ints("stride", stride, 2, 1), tuple(((k - 1) // 2, k // 2) for k in kernel)
