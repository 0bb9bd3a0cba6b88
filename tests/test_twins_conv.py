"""Drawn convolutions: both twins, their backwards and torch agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from draws import DTYPES, arrays, convolutions, transposed_convolutions
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import agree, assert_every_option_is_drawn, by_autograd, tensors

from cnnlib import geometry, ops_numpy, ops_torch
from cnnlib.testing import adjoint_gap, assert_close

NAIVE = 5_000  # multiply–adds that plain loops are given


@settings(max_examples=500)
@given(convolutions(), st.integers(0, 2**32 - 1), st.sampled_from(DTYPES))
def test_conv2d(layer, seed, dtype):
    x_size, weight_size, options = layer
    x, weight, bias = arrays(seed, dtype, x_size, weight_size, weight_size[:1])
    y = ops_numpy.conv2d(x, weight, bias, **options)
    (grad_output,) = arrays(seed + 1, dtype, y.shape)
    tx, tw, tb, tg = tensors(x, weight, bias, grad_output)
    terms = ops_numpy.conv2d(abs(x), abs(weight), abs(bias), **options)
    slopes = ops_numpy.conv2d_backward(abs(grad_output), abs(x), abs(weight), **options)
    agree(y, ops_torch.conv2d(tx, tw, tb, **options), terms)
    if y.size * weight[0].size < NAIVE:
        agree(y, ops_numpy.conv2d_naive(x, weight, bias, **options), terms)
    grads = ops_numpy.conv2d_backward(grad_output, x, weight, **options)
    agree(grads, ops_torch.conv2d_backward(tg, tx, tw, **options), slopes)

    layout = geometry.conv_geometry(
        x_size[2:], weight_size[2:], **{k: options[k] for k in ("stride", "padding", "dilation")}
    )
    (top, bottom), (left, right) = layout.padding

    def reference(x, weight, bias):
        padded = F.pad(x, (left, right, top, bottom))
        return F.conv2d(padded, weight, bias, layout.stride, 0, layout.dilation, options["groups"])

    agree(y, reference(tx, tw, tb), terms)
    agree(grads, by_autograd(reference, tg, tx, tw, tb), slopes)
    if dtype == "float64":  # y − b is linear in x, and in the weight
        centred = y - bias[:, None, None]
        assert adjoint_gap(centred, grad_output, x, grads[0]) < 1e-12
        assert adjoint_gap(centred, grad_output, weight, grads[1]) < 1e-12


@settings(max_examples=250)
@given(transposed_convolutions(), st.integers(0, 2**32 - 1), st.sampled_from(DTYPES))
def test_conv_transpose2d(layer, seed, dtype):
    x_size, weight_size, options = layer
    x, weight, bias = arrays(seed, dtype, x_size, weight_size, (weight_size[1] * options["groups"],))
    y = ops_numpy.conv_transpose2d(x, weight, bias, **options)
    (grad_output,) = arrays(seed + 1, dtype, y.shape)
    tx, tw, tb, tg = tensors(x, weight, bias, grad_output)
    terms = ops_numpy.conv_transpose2d(abs(x), abs(weight), abs(bias), **options)
    slopes = ops_numpy.conv_transpose2d_backward(abs(grad_output), abs(x), abs(weight), **options)
    agree(y, ops_torch.conv_transpose2d(tx, tw, tb, **options), terms)
    grads = ops_numpy.conv_transpose2d_backward(grad_output, x, weight, **options)
    agree(grads, ops_torch.conv_transpose2d_backward(tg, tx, tw, **options), slopes)

    (top, bottom), (left, right) = geometry.as_padding(options["padding"], weight_size[2:], (1, 1), (1, 1))

    def reference(x, weight, bias):
        full = F.conv_transpose2d(
            x, weight, bias, options["stride"], 0, options["output_padding"], options["groups"], options["dilation"]
        )
        return full[:, :, top : full.shape[2] - bottom, left : full.shape[3] - right]

    agree(y, reference(tx, tw, tb), terms)
    agree(grads, by_autograd(reference, tg, tx, tw, tb), slopes)
    if dtype == "float64":
        assert adjoint_gap(y - bias[:, None, None], grad_output, x, grads[0]) < 1e-12


@settings(max_examples=80)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_conv2d_matrix(layer, seed):
    x_size, weight_size, options = layer
    x, weight = arrays(seed, "float64", x_size, weight_size)
    rows, columns, values, shape = ops_numpy.conv2d_matrix(weight, x_size[2:], **options)
    agree((rows, columns, values), ops_torch.conv2d_matrix(tensors(weight)[0], x_size[2:], **options)[:3])
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == len(rows)
    matrix = np.zeros(shape)
    matrix[rows, columns] = values
    y = ops_numpy.conv2d(x, weight, **options)
    assert_close((x.reshape(len(x), -1) @ matrix.T).reshape(y.shape), y)
    grad_x, _, _ = ops_numpy.conv2d_backward(y, x, weight, **options)
    assert_close((y.reshape(len(x), -1) @ matrix).reshape(x.shape), grad_x)


@pytest.mark.parametrize(
    ("layers", "defaults"),
    [
        (convolutions(), {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}),
        (transposed_convolutions(), {"stride": 1, "padding": 0, "output_padding": (0, 0), "groups": 1, "dilation": 1}),
    ],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    seen = assert_every_option_is_drawn(layers, defaults)
    nested = [o["padding"] for o in seen if isinstance(o["padding"], tuple)]  # padding that differs at the two ends
    assert sum(any(isinstance(p, tuple) and p[0] != p[1] for p in padding) for padding in nested) >= 0.15 * len(seen)
