"""Drawn windows as columns, convolutions as matrices and local connections: both twins, their backwards and torch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from draws import DTYPES, arrays, convolutions
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import agree, by_autograd, compare, tensors

from cnnlib import geometry, ops_numpy, ops_torch
from cnnlib.testing import adjoint_gap, assert_close

SEEDS = st.integers(0, 2**32 - 1)


def windows_of(layer):
    """Return the options of `layer` that unfold knows, its geometry and its padding as `F.pad` wants it."""
    x_size, weight_size, options = layer
    options = {k: options[k] for k in ("dilation", "padding", "stride")}
    layout = geometry.conv_geometry(x_size[2:], weight_size[2:], **options)
    return options, layout, [amount for pair in reversed(layout.padding) for amount in pair]


@settings(max_examples=150)
@given(convolutions(), SEEDS, st.sampled_from(DTYPES))
def test_unfold_and_fold(layer, seed, dtype):
    (N, C, H, W), (*_, kh, kw), _ = layer
    options, layout, pads = windows_of(layer)
    length = int(np.prod(layout.output_size))
    x, columns = arrays(seed, dtype, (N, C, H, W), (N, C * kh * kw, length))
    tx, tc = tensors(x, columns)

    def reference(x):
        return F.unfold(F.pad(x, pads), (kh, kw), layout.dilation, 0, layout.stride)

    y = ops_numpy.unfold(x, (kh, kw), **options)
    agree(y, ops_torch.unfold(tx, (kh, kw), **options))
    agree(y, reference(tx))
    grad_x = ops_numpy.unfold_backward(columns, (kh, kw), input_size=(H, W), **options)
    terms = ops_numpy.fold(abs(columns), (H, W), (kh, kw), **options)
    agree(grad_x, ops_torch.unfold_backward(tc, (kh, kw), input_size=(H, W), **options), terms)
    agree(grad_x, by_autograd(reference, tc, tx), terms)
    assert dtype == "float32" or adjoint_gap(y, columns, x, grad_x) < 1e-12

    def folded(x):
        full = F.fold(x, (H + sum(pads[2:]), W + sum(pads[:2])), (kh, kw), layout.dilation, 0, layout.stride)
        return full[:, :, pads[2] : pads[2] + H, pads[0] : pads[0] + W]

    compare(
        "fold",
        {"x": columns},
        folded,
        seed=seed,
        linear=("x",),
        magnitudes=(terms, abs(y)),
        output_size=(H, W),
        kernel_size=(kh, kw),
        **options,
    )


@settings(max_examples=80)
@given(convolutions(), SEEDS)
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


@settings(max_examples=150)
@given(convolutions(), SEEDS, st.sampled_from(DTYPES))
def test_locally_connected2d(layer, seed, dtype):
    x_size, weight_size, options = layer
    _, layout, pads = windows_of(layer)
    (oh, ow), groups, C_out = layout.output_size, options["groups"], weight_size[0]
    operands = arrays(seed, dtype, x_size, (oh, ow, *weight_size), (oh, ow, C_out))

    def reference(x, weight, bias):
        columns = F.unfold(F.pad(x, pads), layout.kernel_size, layout.dilation, 0, layout.stride)
        columns = columns.reshape(len(x), groups, -1, oh * ow)  # (N, groups, C/groups · taps, L)
        filters = weight.reshape(oh * ow, groups, C_out // groups, -1)
        y = torch.einsum("ngkl,lgfk->ngfl", columns, filters)
        return y.reshape(len(x), C_out, oh, ow) + bias.permute(2, 0, 1)

    x, weight, bias = map(abs, operands)
    terms = ops_numpy.locally_connected2d(x, weight, bias, **options)
    grad_output = abs(np.random.default_rng(seed).normal(size=terms.shape).astype(dtype))
    compare(
        "locally_connected2d",
        dict(zip(("x", "weight", "bias"), operands, strict=True)),
        reference,
        seed=seed,
        linear=("x", "weight", "bias"),
        magnitudes=(terms, ops_numpy.locally_connected2d_backward(grad_output, x, weight, **options)),
        **options,
    )


@settings(max_examples=80)
@given(convolutions(), SEEDS)
def test_shared_weights_make_a_convolution(layer, seed):
    x_size, weight_size, options = layer
    x, weight, bias = arrays(seed, "float64", x_size, weight_size, weight_size[:1])
    y = ops_numpy.conv2d(x, weight, bias, **options)
    (grad_output,) = arrays(seed + 1, "float64", y.shape)
    positions = y.shape[2:]
    repeated = [np.broadcast_to(a, (*positions, *a.shape)) for a in (weight, bias)]
    assert_close(ops_numpy.locally_connected2d(x, *repeated, **options), y)
    shared = ops_numpy.conv2d_backward(grad_output, x, weight, **options)
    grad_x, *unshared = ops_numpy.locally_connected2d_backward(grad_output, x, repeated[0], **options)
    assert_close(grad_x, shared[0])
    for ours, expected in zip(unshared, shared[1:], strict=True):  # a shared weight gathers from every position
        assert_close(ours.sum(axis=(0, 1)), expected)
