"""Drawn convolutions of one to three axes: both twins, their backwards and torch agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from draws import DTYPES, arrays, convolutions, transposed_convolutions
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import agree, assert_every_option_is_drawn, compare

from cnnlib import geometry, ops_numpy

NAIVE = 5_000  # multiply–adds that plain loops are given
SEEDS = st.integers(0, 2**32 - 1)
CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSES = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def magnitudes(name, seed, operands, options):
    """Return the sums of |terms| of the output and of each gradient, for the gradient that `compare` draws."""
    x, weight, bias = map(abs, operands)
    terms = getattr(ops_numpy, name)(x, weight, bias, **options)
    grad_output = abs(np.random.default_rng(seed).normal(size=terms.shape).astype(x.dtype))
    return terms, getattr(ops_numpy, f"{name}_backward")(grad_output, x, weight, **options)


def hold_convolution(rank, layer, seed, dtype):
    x_size, weight_size, options = layer
    operands = arrays(seed, dtype, x_size, weight_size, weight_size[:1])
    layout = geometry.conv_geometry(
        x_size[2:], weight_size[2:], **{k: options[k] for k in ("stride", "padding", "dilation")}
    )
    pads = [amount for pair in reversed(layout.padding) for amount in pair]

    def reference(x, weight, bias):
        return CONVOLUTIONS[rank](F.pad(x, pads), weight, bias, layout.stride, 0, layout.dilation, options["groups"])

    arguments = dict(zip(("x", "weight", "bias"), operands, strict=True))
    scales = magnitudes(f"conv{rank}d", seed, operands, options)
    linear = ("x", "weight", "bias")
    compare(f"conv{rank}d", arguments, reference, seed=seed, linear=linear, magnitudes=scales, **options)
    return operands


def hold_transpose(rank, layer, seed, dtype):
    x_size, weight_size, options = layer
    operands = arrays(seed, dtype, x_size, weight_size, (weight_size[1] * options["groups"],))
    strides, dilations = (geometry.as_ints(k, options[k], rank, 1) for k in ("stride", "dilation"))
    pads = geometry.as_padding(options["padding"], weight_size[2:], strides, dilations)

    def reference(x, weight, bias):
        full = TRANSPOSES[rank](x, weight, bias, strides, 0, options["output_padding"], options["groups"], dilations)
        ends = zip(pads, full.shape[2:], strict=True)
        return full[(slice(None), slice(None), *(slice(before, size - after) for (before, after), size in ends))]

    arguments = dict(zip(("x", "weight", "bias"), operands, strict=True))
    scales = magnitudes(f"conv_transpose{rank}d", seed, operands, options)
    linear = ("x", "weight", "bias")
    compare(f"conv_transpose{rank}d", arguments, reference, seed=seed, linear=linear, magnitudes=scales, **options)


@settings(max_examples=400)
@given(convolutions(), SEEDS, st.sampled_from(DTYPES))
def test_conv2d(layer, seed, dtype):
    x, weight, bias = hold_convolution(2, layer, seed, dtype)
    options = layer[2]
    y = ops_numpy.conv2d(x, weight, bias, **options)
    if y.size * weight[0].size < NAIVE:
        terms = ops_numpy.conv2d(abs(x), abs(weight), abs(bias), **options)
        agree(y, ops_numpy.conv2d_naive(x, weight, bias, **options), terms)


@settings(max_examples=150)
@given(convolutions(1), SEEDS, st.sampled_from(DTYPES))
def test_conv1d(layer, seed, dtype):
    hold_convolution(1, layer, seed, dtype)


@settings(max_examples=150)
@given(convolutions(3), SEEDS, st.sampled_from(DTYPES))
def test_conv3d(layer, seed, dtype):
    hold_convolution(3, layer, seed, dtype)


@settings(max_examples=200)
@given(transposed_convolutions(), SEEDS, st.sampled_from(DTYPES))
def test_conv_transpose2d(layer, seed, dtype):
    hold_transpose(2, layer, seed, dtype)


@settings(max_examples=100)
@given(transposed_convolutions(1), SEEDS, st.sampled_from(DTYPES))
def test_conv_transpose1d(layer, seed, dtype):
    hold_transpose(1, layer, seed, dtype)


@settings(max_examples=100)
@given(transposed_convolutions(3), SEEDS, st.sampled_from(DTYPES))
def test_conv_transpose3d(layer, seed, dtype):
    hold_transpose(3, layer, seed, dtype)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("layers", [convolutions, transposed_convolutions])
def test_every_option_is_drawn_often_enough(layers, rank):
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    extra = {"output_padding": (0,) * rank} if layers is transposed_convolutions else {}
    seen = assert_every_option_is_drawn(layers(rank), defaults | extra, examples=300 if rank == 2 else 150)
    nested = [o["padding"] for o in seen if isinstance(o["padding"], tuple)]  # padding that differs at the two ends
    assert sum(any(isinstance(p, tuple) and p[0] != p[1] for p in padding) for padding in nested) >= 0.15 * len(seen)
