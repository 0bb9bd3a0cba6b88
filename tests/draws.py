"""What hypothesis draws: layers with every option, and the arrays they work on."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from cnnlib import geometry

DTYPES = ("float64", "float32")


@st.composite
def often(draw, default, others):
    """Return `default` or, half the time, one of the other values."""
    return draw(st.one_of(st.just(default), others))


def pairs(low, high, rank=2):
    """An int for all axes, or one for each."""
    return st.one_of(st.integers(low, high), st.tuples(*[st.integers(low, high)] * rank))


def paddings(high, rank=2):
    """Padding in each of its forms."""
    amount = st.integers(0, high)
    uneven = st.tuples(amount, amount).filter(lambda p: p[0] != p[1])
    asymmetric = st.tuples(uneven, *[st.tuples(amount, amount)] * (rank - 1))
    return st.sampled_from((0, 1, 2, 3)).flatmap(
        lambda form: (st.integers(1, high), st.tuples(*[amount] * rank), asymmetric, asymmetric)[form]
    )


def kernels(rank):
    """Return kernel sizes, of fewer taps along each of three axes."""
    return st.tuples(*[st.integers(1, 3 if rank == 3 else 4)] * rank)


@st.composite
def convolutions(draw, rank=2):
    """Return (x shape, weight shape, options) of a convolution whose kernel fits."""
    groups = draw(often(1, st.integers(2, 3)))
    in_channels, out_channels = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    kernel = draw(kernels(rank))
    stride, dilation = draw(often(1, pairs(2, 3, rank))), draw(often(1, pairs(2, 3, rank)))
    named = "same" if stride == 1 else "valid"
    padding = draw(
        st.sampled_from((0, 1, 2, 3)).flatmap(lambda k: st.sampled_from((0, named)) if k == 0 else paddings(3, rank))
    )
    strides, dilations = geometry.as_ints("stride", stride, rank, 1), geometry.as_ints("dilation", dilation, rank, 1)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = geometry.as_padding(padding, kernel, strides, dilations)
    least = [max(1, span - sum(pad)) for span, pad in zip(spans, pads, strict=True)]
    size = [low + draw(st.integers(0, 3 if rank == 3 else 5)) for low in least]
    batch = draw(st.integers(1, 3))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (batch, in_channels, *size), (out_channels, in_channels // groups, *kernel), options


@st.composite
def transposed_convolutions(draw, rank=2):
    """Return (x shape, weight shape, options) of a transposed convolution with an output."""
    groups = draw(often(1, st.integers(2, 3)))
    in_channels = groups * draw(st.integers(1, 3))
    kernel = draw(kernels(rank))
    stride, dilation = draw(often(1, pairs(2, 3, rank))), draw(often(1, pairs(2, 3, rank)))
    strides, dilations = geometry.as_ints("stride", stride, rank, 1), geometry.as_ints("dilation", dilation, rank, 1)
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True))
    named = "same" if stride == 1 else "valid"
    padding = draw(
        st.sampled_from((0, 1, 2, 3)).flatmap(lambda k: st.sampled_from((0, named)) if k == 0 else paddings(2, rank))
    )
    pads = geometry.as_padding(padding, kernel, strides, dilations)
    size = []
    for s, d, k, pad, more in zip(strides, dilations, kernel, pads, extra, strict=True):
        least = 1
        while s * (least - 1) + d * (k - 1) + 1 - sum(pad) + more < 1:
            least += 1
        size.append(least + draw(st.integers(0, 2 if rank == 3 else 4)))
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": extra,
        "groups": groups,
        "dilation": dilation,
    }
    return (draw(st.integers(1, 3)), in_channels, *size), (in_channels, draw(st.integers(1, 3)), *kernel), options


def arrays(seed, dtype, *sizes, ties=False):
    """Return one array per size; with `ties` the values are small integers, so that maxima repeat."""
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(-2, 3, size) if ties else generator.normal(size=size) for size in sizes)
    return [a.astype(dtype) for a in drawn]


def losses():
    """Return options of a cross-entropy; the weights themselves are drawn by the test."""
    return st.fixed_dictionaries(
        {
            "weight": st.booleans(),
            "ignore_index": st.sampled_from((-100, 1)),
            "reduction": st.sampled_from(("mean", "sum", "none")),
            "label_smoothing": st.sampled_from((0.0, 0.1, 1.0)),
        }
    )
