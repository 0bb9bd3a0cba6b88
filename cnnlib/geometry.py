"""Where the windows of a layer lie: its options checked once, for any number of spatial axes.

Both packages of operators ask here, so that they refuse the same input in the same words. `cnnlib.shapes` answers for
one axis what a reader asks. The arithmetic is that of Dumoulin and Visin, "A guide to convolution arithmetic for deep
learning" (2016), https://arxiv.org/abs/1603.07285, with asymmetric padding added.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

AXES = {1: ("width",), 2: ("height", "width"), 3: ("depth", "height", "width")}

IntOrTuple = int | Sequence[int]
PairPadding = int | tuple[int, int]
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]


class Geometry(NamedTuple):
    """Where the windows of a layer lie: one entry per spatial axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # ((before, after), …) zeros at each end
    dilation: tuple[int, ...]
    output_size: tuple[int, ...]

    @property
    def span(self) -> tuple[int, ...]:
        """Input positions between the first and the last tap, both counted: d(k − 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))


def as_int(name: str, value: object, minimum: int) -> int:
    """Return `value` as an int of at most 64 bits, or raise a ValueError that names it."""
    if not isinstance(value, bool) and "bool" not in str(getattr(value, "dtype", "")):
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            if number >= 2**63:
                raise ValueError(f"{name} is {value!r}; expected an integer of 64 bits")
            if number >= minimum:
                return number
    raise ValueError(f"{name} is {value!r}; expected an integer of at least {minimum}")


def as_flag(name: str, value: Any) -> bool:
    """Return `value`, True or False, as a bool; nothing else is taken for one or the other."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise ValueError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def as_ints(name: str, value: object, rank: int, minimum: int) -> tuple[int, ...]:
    """Return `value`, an int for all axes or one int per axis, as a tuple of `rank` ints.

    >>> as_ints("stride", 2, 2, 1)
    (2, 2)
    """
    if isinstance(value, (tuple, list)):
        if len(value) != rank:
            raise ValueError(f"{name} is {value!r}; expected an integer or {rank} integers ({', '.join(AXES[rank])})")
        return tuple(as_int(name, v, minimum) for v in value)
    return (as_int(name, value, minimum),) * rank


def as_padding(
    padding: object, kernel_size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Return the zeros before and after each axis.

    `padding` is an int, one int per axis, one pair (before, after) per axis, "valid" (none) or "same" (as many as
    keep the size at stride 1; an odd one goes after, which ONNX calls SAME_UPPER). As in torch, "same" asks for
    stride 1.

    >>> as_padding("same", (3, 2), (1, 1), (1, 1))
    ((1, 1), (0, 1))
    """
    rank = len(kernel_size)
    if isinstance(padding, str) and padding == "valid":
        return ((0, 0),) * rank
    if isinstance(padding, str) and padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"padding is 'same' with stride {stride}; expected stride 1, or padding in numbers")
        totals = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, (tuple, list)):
        if len(padding) == rank and all(isinstance(p, (tuple, list)) and len(p) == 2 for p in padding):
            return tuple((as_int("padding", a, 0), as_int("padding", b, 0)) for a, b in padding)
        if len(padding) == rank and not any(isinstance(p, (tuple, list, str)) for p in padding):
            return tuple((p, p) for p in as_ints("padding", padding, rank, 0))
    elif not isinstance(padding, str):
        return ((as_int("padding", padding, 0),) * 2,) * rank
    raise ValueError(
        f"padding is {padding!r}; expected a non-negative integer, {rank} integers, {rank} pairs (before, after), "
        "'valid' or 'same'"
    )


def as_rank(input_size: Sequence[int]) -> int:
    """Return the number of spatial axes, 1 to 3, or raise a ValueError."""
    if not isinstance(input_size, Sequence) or len(input_size) not in AXES:
        raise ValueError(f"input_size is {input_size!r}; expected one to three sizes")
    return len(input_size)


def as_groups(in_channels: int, out_channels: int, groups: int) -> tuple[int, int, int]:
    """Return the three as Python ints; raise ValueError unless `groups` divides both numbers of channels."""
    groups = as_int("groups", groups, 1)
    in_channels, out_channels = as_int("in_channels", in_channels, 1), as_int("out_channels", out_channels, 1)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups is {groups}; expected a divisor of the {in_channels} input and {out_channels} output channels"
        )
    return in_channels, out_channels, groups


def _layout(
    input_size: Sequence[int], kernel_size: IntOrTuple, stride: IntOrTuple, padding: Padding, dilation: IntOrTuple
) -> tuple[tuple[int, ...], Geometry]:
    """Check what the options of all layers with windows share; return the input's sizes and a geometry without output.

    Raises ValueError, naming the argument.
    """
    rank = as_rank(input_size)
    sizes = as_ints("input_size", tuple(input_size), rank, 1)
    kernel = as_ints("kernel_size", kernel_size, rank, 1)
    strides, dilations = as_ints("stride", stride, rank, 1), as_ints("dilation", dilation, rank, 1)
    return sizes, Geometry(kernel, strides, as_padding(padding, kernel, strides, dilations), dilations, ())


def conv_geometry(
    input_size: Sequence[int],
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
) -> Geometry:
    """Check the options of a convolution over any number of axes and say where its windows lie.

    Raises ValueError, naming the argument, where an option is malformed or the kernel spans more than the padded input.

    >>> conv_geometry((7, 7), 3, stride=2).output_size
    (3, 3)
    """
    sizes, geometry = _layout(input_size, kernel_size, stride, padding, dilation)
    kernel, strides, paddings, dilations, _ = geometry
    output = []
    for i, span in enumerate(geometry.span):
        padded = sizes[i] + sum(paddings[i])
        if span > padded:
            dilated = f" with dilation {dilations[i]} (spanning {span})" if dilations[i] > 1 else ""
            raise ValueError(
                f"kernel_size is {kernel[i]}{dilated} along the {AXES[len(sizes)][i]}; expected a span of at most "
                f"{padded}, the input's {sizes[i]} and padding {paddings[i]}"
            )
        output.append((padded - span) // strides[i] + 1)
    return geometry._replace(output_size=tuple(output))


def pool_geometry(
    input_size: Sequence[int],
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple | None = None,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
) -> Geometry:
    """Say where the windows of a pooling layer lie; `stride` defaults to `kernel_size`.

    With `ceil_mode` a last window may overhang the padded input, by less than a stride, provided that it starts inside
    the input or the padding before it. Padding is at most half of `kernel_size` at each end. All this is torch's;
    unlike there, a window that sees only padding, as only a dilated one may, is refused. Raises ValueError, naming the
    argument.
    """
    stride, ceil_mode = kernel_size if stride is None else stride, as_flag("ceil_mode", ceil_mode)
    sizes, geometry = _layout(input_size, kernel_size, stride, padding, dilation)
    return geometry._replace(
        output_size=tuple(_windows_along(i, size, geometry, ceil_mode) for i, size in enumerate(sizes))
    )


def _windows_along(axis: int, size: int, geometry: Geometry, ceil_mode: bool) -> int:
    """Return how many windows of a pooling layer lie along an axis, or raise a ValueError if none may."""
    kernel, step, dilation = geometry.kernel_size[axis], geometry.stride[axis], geometry.dilation[axis]
    (before, after), span = geometry.padding[axis], geometry.span[axis]
    half = kernel // 2
    if max(before, after) > half:
        raise ValueError(f"padding is {max(before, after)}; expected at most {half}, half of kernel_size {kernel}")
    room = size + before + after + (step - 1 if ceil_mode else 0)
    if span > room:
        name = AXES[len(geometry.kernel_size)][axis]
        dilated = f" with dilation {dilation} (spanning {span})" if dilation > 1 else ""
        overhang = f" and an overhang of {step - 1}" if ceil_mode else ""
        raise ValueError(
            f"kernel_size is {kernel}{dilated} along the {name}; expected a span of at most {room}, the input's "
            f"{size}, padding {(before, after)}{overhang}"
        )
    count = (room - span) // step + 1
    if ceil_mode and (count - 1) * step >= size + before:
        count -= 1  # it would begin in the padding after the input
    starts = range(-before, min(0, step * count - before), step)  # a later window begins on a pixel
    taps = range(0, span, dilation)
    if any(all(not 0 <= start + tap < size for tap in taps) for start in starts):
        raise ValueError(f"padding is {(before, after)}; expected that no window lies wholly in it")
    return count


def pool_divisors(geometry: Geometry, input_size: Sequence[int], count_include_pad: bool) -> list[list[int]]:
    """Return, for each axis, how many positions of each window count for a mean.

    With `count_include_pad` the padding counts; what overhangs it in ceil mode never does.
    """
    counts, count_include_pad = [], as_flag("count_include_pad", count_include_pad)
    for i, size in enumerate(input_size):
        before, after = geometry.padding[i]
        low, high = (-before, size + after) if count_include_pad else (0, size)
        starts = (geometry.stride[i] * o - before for o in range(geometry.output_size[i]))
        counts.append([min(start + geometry.span[i], high) - max(start, low) for start in starts])
    return counts


def conv_transpose_geometry(
    input_size: Sequence[int],
    kernel_size: IntOrTuple,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
) -> tuple[Geometry, tuple[int, ...]]:
    """Return the geometry of the convolution that a transposed convolution transposes, and its own output size.

    The geometry's `output_size` is the transposed convolution's *input* size.
    """
    sizes, geometry = _layout(input_size, kernel_size, stride, padding, dilation)
    _, strides, paddings, dilations, _ = geometry
    extra = as_ints("output_padding", output_padding, len(sizes), 0)
    output = []
    for i, span in enumerate(geometry.span):
        if extra[i] >= max(strides[i], dilations[i]):
            raise ValueError(
                f"output_padding is {output_padding!r}; expected less than the stride {strides[i]} "
                f"or the dilation {dilations[i]}"
            )
        size = strides[i] * (sizes[i] - 1) + span - sum(paddings[i]) + extra[i]
        if size < 1:
            raise ValueError(
                f"padding is {padding!r}; expected less, as the {AXES[len(sizes)][i]} of the output is {size}"
            )
        output.append(size)
    return geometry._replace(output_size=sizes), tuple(output)
