"""The integer arithmetic of layers: output sizes, leftovers, receptive fields, parameters, multiply–adds.

No array is touched here, and a size is one axis. The formulas are those of Dumoulin and Visin, "A guide to convolution
arithmetic for deep learning" (2016), https://arxiv.org/abs/1603.07285, with asymmetric padding added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cnnlib.geometry import (
    IntOrTuple,
    Padding,
    PairPadding,
    as_groups,
    as_int,
    as_ints,
    conv_geometry,
    conv_transpose_geometry,
    pool_geometry,
)


def _axis_padding(padding: PairPadding | str) -> Padding:
    """For one axis a pair means (before, after)."""
    if isinstance(padding, (tuple, list)):
        if len(padding) != 2:
            raise ValueError(f"padding is {padding!r}; expected a non-negative integer, (before, after), or a name")
        return (padding,)
    return padding


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

    It is the remainder that the floor of `conv_output_size` drops without a word. Raises ValueError as that does.

    >>> [conv_leftover(7, 3, stride=s) for s in (1, 2, 3)]
    [0, 0, 1]
    """
    size = as_int("input_size", size, 1)
    geometry = conv_geometry((size,), kernel_size, stride=stride, padding=_axis_padding(padding), dilation=dilation)
    last = geometry.stride[0] * (geometry.output_size[0] - 1) + geometry.span[0]
    return size + sum(geometry.padding[0]) - last


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
    """Return the number of weights and biases of a 2-D convolution. Raises ValueError unless `groups` divides.

    >>> conv_parameters(3, 10, 5)
    760
    """
    kh, kw = as_ints("kernel_size", kernel_size, 2, 1)
    in_channels, out_channels, groups = as_groups(in_channels, out_channels, groups)
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


def receptive_field(layers: Iterable[Sequence[int]]) -> int:
    """Return how many input positions along one axis one output of a stack of layers can see.

    `layers`, from input to output: (kernel_size, stride) or (kernel_size, stride, dilation) of each.
    Each layer adds d(k − 1) steps of the product of the strides before it: Araujo et al. (2019), section 2,
    https://doi.org/10.23915/distill.00021. Raises ValueError for anything else.

    >>> receptive_field([(3, 1), (3, 1), (3, 1)]), receptive_field([(7, 2), (3, 2)])
    (7, 11)
    """
    field, jump = 1, 1
    for layer in layers:
        if not isinstance(layer, Sequence) or len(layer) not in {2, 3}:
            raise ValueError(
                f"layers holds {layer!r}; expected (kernel_size, stride) or (kernel_size, stride, dilation)"
            )
        kernel_size, stride, dilation = (*layer, 1)[:3]
        field += as_int("dilation", dilation, 1) * (as_int("kernel_size", kernel_size, 1) - 1) * jump
        jump *= as_int("stride", stride, 1)
    return field
