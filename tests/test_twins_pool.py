"""Drawn poolings: both twins, their backwards and torch agree."""

from __future__ import annotations

import pytest
import torch.nn.functional as F
from draws import DTYPES, arrays, poolings
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import agree, assert_every_option_is_drawn, by_autograd, tensors

from cnnlib import ops_numpy, ops_torch
from cnnlib.testing import adjoint_gap


@settings(max_examples=250)
@given(poolings(dilated=True), st.integers(0, 2**32 - 1), st.sampled_from(DTYPES), st.booleans())
def test_max_pool2d(layer, seed, dtype, ties):
    size, kernel_size, options = layer
    (x,) = arrays(seed, dtype, size, ties=ties)
    y, indices = ops_numpy.max_pool2d(x, kernel_size, **options)
    (grad_output,) = arrays(seed + 1, dtype, y.shape)
    tx, tg = tensors(x, grad_output)
    agree((y, indices), ops_torch.max_pool2d(tx, kernel_size, **options))
    grad_x = ops_numpy.max_pool2d_backward(grad_output, indices, input_size=size[2:])
    agree(grad_x, ops_torch.max_pool2d_backward(tg, tensors(indices)[0], input_size=size[2:]))
    flat = {**options, "padding": options["padding"] and tuple(p[0] for p in options["padding"])}
    if options["padding"] == 0 or all(before == after for before, after in options["padding"]):
        agree((y, indices), F.max_pool2d(tx, kernel_size, **flat, return_indices=True))
        agree(grad_x, by_autograd(lambda x: F.max_pool2d(x, kernel_size, **flat), tg, tx)[0])


@settings(max_examples=250)
@given(poolings(dilated=False), st.integers(0, 2**32 - 1), st.sampled_from(DTYPES))
def test_avg_pool2d(layer, seed, dtype):
    size, kernel_size, options = layer
    (x,) = arrays(seed, dtype, size)
    y = ops_numpy.avg_pool2d(x, kernel_size, **options)
    (grad_output,) = arrays(seed + 1, dtype, y.shape)
    tx, tg = tensors(x, grad_output)
    agree(y, ops_torch.avg_pool2d(tx, kernel_size, **options), ops_numpy.avg_pool2d(abs(x), kernel_size, **options))
    grad_x = ops_numpy.avg_pool2d_backward(grad_output, kernel_size, input_size=size[2:], **options)
    agree(grad_x, ops_torch.avg_pool2d_backward(tg, kernel_size, input_size=size[2:], **options))
    if dtype == "float64":
        assert adjoint_gap(y, grad_output, x, grad_x) < 1e-12
    flat = {**options, "padding": options["padding"] and tuple(p[0] for p in options["padding"])}
    if options["padding"] == 0 or all(before == after for before, after in options["padding"]):
        agree(y, F.avg_pool2d(tx, kernel_size, **flat), ops_numpy.avg_pool2d(abs(x), kernel_size, **options))
        agree(grad_x, by_autograd(lambda x: F.avg_pool2d(x, kernel_size, **flat), tg, tx)[0])


@pytest.mark.parametrize(
    ("layers", "defaults"),
    [
        (poolings(dilated=True), {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}),
        (
            poolings(dilated=False),
            {"stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True, "divisor_override": None},
        ),
    ],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    assert_every_option_is_drawn(layers, defaults)
