"""The integer arithmetic of layers: output sizes, leftovers, receptive fields, parameters, multiply–adds.

No array is touched here. The sizes are those of Dumoulin and Visin, "A guide to convolution arithmetic for
deep learning" (2016), https://arxiv.org/abs/1603.07285, with asymmetric padding added.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

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
    """Return `value` as an int, or raise a ValueError that names it."""
    if not isinstance(value, bool):
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            if number >= minimum:
                return number
    raise ValueError(f"{name} is {value!r}; expected an integer of at least {minimum}")


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
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
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
    rank = len(input_size)
    sizes = as_ints("input_size", tuple(input_size), rank, 1)
    kernel = as_ints("kernel_size", kernel_size, rank, 1)
    strides = as_ints("stride", stride, rank, 1)
    dilations = as_ints("dilation", dilation, rank, 1)
    paddings = as_padding(padding, kernel, strides, dilations)
    geometry = Geometry(kernel, strides, paddings, dilations, ())
    output = []
    for i, span in enumerate(geometry.span):
        padded = sizes[i] + sum(paddings[i])
        if span > padded:
            dilated = f" with dilation {dilations[i]} (spanning {span})" if dilations[i] > 1 else ""
            raise ValueError(
                f"kernel_size is {kernel[i]}{dilated} along the {AXES[rank][i]}; expected a span of at most "
                f"{padded}, the input's {sizes[i]} and padding {paddings[i]}"
            )
        output.append((padded - span) // strides[i] + 1)
    return geometry._replace(output_size=tuple(output))


def _axis_padding(padding: PairPadding | str) -> Padding:
    """For one axis a pair means (before, after)."""
    return (padding,) if isinstance(padding, (tuple, list)) else padding


def conv_output_size(
    size: int, kernel_size: int, *, stride: int = 1, padding: PairPadding | str = 0, dilation: int = 1
) -> int:
    """Return the output size of a convolution along one axis: ⌊(size + padding − d(k − 1) − 1) / stride⌋ + 1.

    `padding` is an int at both ends, a pair (before, after), "valid" or "same".
    Raises ValueError where the kernel does not fit into the padded input. Dumoulin and Visin (2016), relationship 15.

    >>> [conv_output_size(7, 3, stride=s) for s in (1, 2, 3)]
    [5, 3, 2]
    """
    return conv_geometry(
        (size,), kernel_size, stride=stride, padding=_axis_padding(padding), dilation=dilation
    ).output_size[0]


def conv_leftover(
    size: int, kernel_size: int, *, stride: int = 1, padding: PairPadding | str = 0, dilation: int = 1
) -> int:
    """Return how many positions at the end of the padded axis lie beyond the last window.

    It is the remainder that the floor of `conv_output_size` drops without a word.

    >>> [conv_leftover(7, 3, stride=s) for s in (1, 2, 3)]
    [0, 0, 1]
    """
    geometry = conv_geometry((size,), kernel_size, stride=stride, padding=_axis_padding(padding), dilation=dilation)
    last = geometry.stride[0] * (geometry.output_size[0] - 1) + geometry.span[0]
    return size + sum(geometry.padding[0]) - last


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

    With `ceil_mode` a last window may overhang the padded input, provided that it starts inside the input or the
    padding before it, as in torch. As there, padding is at most half of `kernel_size` at each end. Unlike there, a
    window larger than the padded input is refused in ceil mode too, and so is a dilated one that sees only padding.
    """
    stride = kernel_size if stride is None else stride
    geometry = conv_geometry(input_size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    output = list(geometry.output_size)
    for i, (size, span) in enumerate(zip(input_size, geometry.span, strict=True)):
        before, after = geometry.padding[i]
        half = geometry.kernel_size[i] // 2
        if max(before, after) > half:
            raise ValueError(f"padding is {padding!r}; expected at most {half}, half of kernel_size {kernel_size!r}")
        step = geometry.stride[i]
        if ceil_mode and (size + before + after - span) % step and output[i] * step < size + before:
            output[i] += 1
        starts = range(-before, -before + step * output[i], step)
        taps = range(0, span, geometry.dilation[i])
        if any(all(not 0 <= start + tap < size for tap in taps) for start in starts):
            raise ValueError(f"padding is {padding!r}; expected that no window lies wholly in it")
    return geometry._replace(output_size=tuple(output))


def pool_divisors(geometry: Geometry, input_size: Sequence[int], count_include_pad: bool) -> list[list[int]]:
    """Return, for each axis, how many positions of each window count for a mean.

    With `count_include_pad` the padding counts; what overhangs it in ceil mode never does.
    """
    counts = []
    for i, size in enumerate(input_size):
        before, after = geometry.padding[i]
        low, high = (-before, size + after) if count_include_pad else (0, size)
        starts = (geometry.stride[i] * o - before for o in range(geometry.output_size[i]))
        counts.append([min(start + geometry.span[i], high) - max(start, low) for start in starts])
    return counts


def pool_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: PairPadding | str = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Return the output size of a pooling layer along one axis.

    >>> pool_output_size(6, 3, stride=2), pool_output_size(6, 3, stride=2, ceil_mode=True)
    (2, 3)
    """
    return pool_geometry(
        (size,), kernel_size, stride=stride, padding=_axis_padding(padding), dilation=dilation, ceil_mode=ceil_mode
    ).output_size[0]


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
    rank = len(input_size)
    sizes = as_ints("input_size", tuple(input_size), rank, 1)
    kernel = as_ints("kernel_size", kernel_size, rank, 1)
    strides = as_ints("stride", stride, rank, 1)
    dilations = as_ints("dilation", dilation, rank, 1)
    extra = as_ints("output_padding", output_padding, rank, 0)
    paddings = as_padding(padding, kernel, strides, dilations)
    geometry = Geometry(kernel, strides, paddings, dilations, sizes)
    output = []
    for i, span in enumerate(geometry.span):
        if extra[i] >= max(strides[i], dilations[i]):
            raise ValueError(
                f"output_padding is {output_padding!r}; expected less than the stride {strides[i]} "
                f"or the dilation {dilations[i]}"
            )
        size = strides[i] * (sizes[i] - 1) + span - sum(paddings[i]) + extra[i]
        if size < 1:
            raise ValueError(f"padding is {padding!r}; expected less, as the {AXES[rank][i]} of the output is {size}")
        output.append(size)
    return geometry, tuple(output)


def conv_transpose_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: PairPadding = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """Return the output size of a transposed convolution along one axis.

    >>> conv_transpose_output_size(4, 3, stride=2, padding=1, output_padding=1)
    8
    """
    _, output = conv_transpose_geometry(
        (size,),
        kernel_size,
        stride=stride,
        padding=_axis_padding(padding),
        output_padding=output_padding,
        dilation=dilation,
    )
    return output[0]


def conv_parameters(
    in_channels: int, out_channels: int, kernel_size: IntOrTuple, *, groups: int = 1, bias: bool = True
) -> int:
    """Return the number of weights and biases of a 2-D convolution.

    >>> conv_parameters(3, 10, 5)
    760
    """
    kh, kw = as_ints("kernel_size", kernel_size, 2, 1)
    check_groups(in_channels, out_channels, groups)
    return out_channels * (in_channels // groups) * kh * kw + (out_channels if bias else 0)


def conv_macs(
    in_channels: int, out_channels: int, kernel_size: IntOrTuple, output_size: IntOrTuple, *, groups: int = 1
) -> int:
    """Return the multiply–adds of a 2-D convolution on one image; `output_size` is an int or (height, width).

    Taps that fall on padding are counted, as is usual; the bias is not.

    >>> conv_macs(3, 10, 5, (32, 32))
    768000
    """
    oh, ow = as_ints("output_size", output_size, 2, 1)
    return conv_parameters(in_channels, out_channels, kernel_size, groups=groups, bias=False) * oh * ow


def check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Raise ValueError unless `groups` divides both numbers of channels."""
    as_int("in_channels", in_channels, 1)
    as_int("out_channels", out_channels, 1)
    as_int("groups", groups, 1)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups is {groups}; expected a divisor of the {in_channels} input and {out_channels} output channels"
        )


def receptive_field(layers: Iterable[Sequence[int]]) -> int:
    """Return how many input positions along one axis one output of a stack of layers can see.

    `layers`, from input to output: (kernel_size, stride) or (kernel_size, stride, dilation) of each.
    Each layer adds d(k − 1) steps of the product of the strides before it.

    >>> receptive_field([(3, 1), (3, 1), (3, 1)]), receptive_field([(7, 2), (3, 2)])
    (7, 11)
    """
    field, jump = 1, 1
    for layer in layers:
        if len(layer) not in {2, 3}:
            raise ValueError(
                f"layers holds {layer!r}; expected (kernel_size, stride) or (kernel_size, stride, dilation)"
            )
        kernel_size, stride, dilation = (*layer, 1)[:3]
        field += as_int("dilation", dilation, 1) * (as_int("kernel_size", kernel_size, 1) - 1) * jump
        jump *= as_int("stride", stride, 1)
    return field
