"""The two packages have the same names and signatures, and over drawn configurations the same values and gradients.

Torch's autograd, on torch's own operators, is the third opinion. `CNNLIB_DEVICE=cuda` runs the same draws on a GPU.
"""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from draws import DTYPES, arrays, convolutions, losses, poolings, transposed_convolutions
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import geometry, ops_numpy, ops_torch
from cnnlib.testing import adjoint_gap, assert_close

DEVICE = os.environ.get("CNNLIB_DEVICE", "cpu")
FLOAT32 = 2e-6  # sums of at most a few hundred products, in another order
NAIVE = 5_000  # multiply–adds that plain loops are given


@pytest.fixture(autouse=True)
def _no_tf32():
    """On a GPU, compare float32 with float32."""
    kept = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = kept


def tensors(*values):
    return [torch.from_numpy(np.ascontiguousarray(v)).to(DEVICE) for v in values]


def agree(numpy_values, torch_values, magnitudes=None):
    """Compare float64 to 1e-12 of the largest value, float32 to FLOAT32 of the largest sum of |terms|."""
    ours, theirs = (v if isinstance(v, tuple) else (v,) for v in (numpy_values, torch_values))
    scales = ours if magnitudes is None else magnitudes if isinstance(magnitudes, tuple) else (magnitudes,)
    for mine, other, scale in zip(ours, theirs, scales, strict=True):
        rtol = None
        if mine.dtype == np.float32:
            rtol = FLOAT32 * float(np.abs(scale).max(initial=0) / (np.abs(mine).max(initial=0) or 1))
        assert_close(other, mine, rtol=rtol)


def by_autograd(f, grad_output, *values):
    """Return the gradients of ⟨grad_output, f(*values)⟩ as torch itself computes them."""
    leaves = [v.clone().requires_grad_() for v in values]
    return torch.autograd.grad(f(*leaves), leaves, grad_output, materialize_grads=True)


def public(module):
    return {name: getattr(module, name) for name in module.__all__ if not name.endswith("_naive")}


def test_names_and_signatures_are_the_same():
    ours, theirs = public(ops_numpy), public(ops_torch)
    assert ours.keys() == theirs.keys()
    for name, function in ours.items():
        mine, other = inspect.signature(function), inspect.signature(theirs[name])
        described = [[(p.name, p.kind, p.default) for p in s.parameters.values()] for s in (mine, other)]
        assert described[0] == described[1], name


def test_files_and_their_order_are_the_same():
    for name, function in public(ops_numpy).items():
        other = public(ops_torch)[name]
        assert function.__module__.split(".")[-1] == other.__module__.split(".")[-1]
    for stem in ("conv", "pool", "linear", "activation", "loss"):
        orders = [
            [n for n, f in sorted(public(m).items(), key=lambda item: inspect.getsourcelines(item[1])[1])
             if f.__module__.endswith(f".{stem}")]
            for m in (ops_numpy, ops_torch)
        ]  # fmt: skip
        assert orders[0] == orders[1]


def test_every_operator_has_its_backward():
    names = set(public(ops_numpy)) - {"conv2d_matrix"}
    assert {f"{n}_backward" for n in names if not n.endswith("_backward")} == {
        n for n in names if n.endswith("_backward")
    }


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


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 99), st.sampled_from(DTYPES)
)
def test_linear(leading, out_features, seed, dtype):
    x, weight, bias = arrays(seed, dtype, (*leading, 6), (out_features, 6), (out_features,))
    y = ops_numpy.linear(x, weight, bias)
    (grad_output,) = arrays(seed + 1, dtype, y.shape)
    tx, tw, tb, tg = tensors(x, weight, bias, grad_output)
    terms = ops_numpy.linear(abs(x), abs(weight), abs(bias))
    agree(y, ops_torch.linear(tx, tw, tb), terms)
    agree(y, F.linear(tx, tw, tb), terms)
    grads = ops_numpy.linear_backward(grad_output, x, weight)
    slopes = ops_numpy.linear_backward(abs(grad_output), abs(x), abs(weight))
    agree(grads, ops_torch.linear_backward(tg, tx, tw), slopes)
    agree(grads, by_autograd(F.linear, tg, tx, tw, tb), slopes)


@settings(max_examples=30)
@given(st.integers(0, 99), st.sampled_from(DTYPES))
def test_relu(seed, dtype):
    x, grad_output = arrays(seed, dtype, (2, 3, 4), (2, 3, 4), ties=True)  # many exact zeros: the kink
    tx, tg = tensors(x, grad_output)
    agree(ops_numpy.relu(x), ops_torch.relu(tx))
    grad_x = ops_numpy.relu_backward(grad_output, x)
    agree(grad_x, ops_torch.relu_backward(tg, tx))
    agree(grad_x, by_autograd(F.relu, tg, tx)[0])


@settings(max_examples=120)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(DTYPES),
    losses(),
    st.sampled_from(((), (3,), (2, 2))),
)
def test_cross_entropy(seed, dtype, options, spatial):
    generator = np.random.default_rng(seed)
    (logits,) = arrays(seed, dtype, (4, 5, *spatial))
    target = generator.integers(0, 5, (4, *spatial))
    target.flat[0] = 0  # at least one target is not ignored
    weight = generator.uniform(0.5, 2, 5).astype(dtype) if options["weight"] else None
    ours, theirs = (
        {**options, "weight": weight},
        {**options, "weight": None if weight is None else tensors(weight)[0]},
    )
    loss = ops_numpy.cross_entropy(logits, target, **ours)
    grad_output = generator.normal(size=loss.shape).astype(dtype)
    tl, tt, tg = tensors(logits, target, grad_output)
    tg = tg.reshape(loss.shape)
    agree(loss, ops_torch.cross_entropy(tl, tt, **theirs))
    agree(loss, F.cross_entropy(tl, tt, **theirs))
    grad = ops_numpy.cross_entropy_backward(grad_output, logits, target, **ours)
    agree(grad, ops_torch.cross_entropy_backward(tg, tl, tt, **theirs))
    agree(grad, by_autograd(lambda z: F.cross_entropy(z, tt, **theirs), tg, tl)[0])


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
        (
            transposed_convolutions(),
            {"stride": 1, "padding": 0, "output_padding": (0, 0), "groups": 1, "dilation": 1},
        ),
        (poolings(dilated=True), {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}),
        (
            poolings(dilated=False),
            {"stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True, "divisor_override": None},
        ),
        (losses(), {"weight": False, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}),
    ],
    ids=["conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "cross_entropy"],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    seen = []

    @settings(max_examples=300)
    @given(layers)
    def collect(layer):
        seen.append(layer[-1] if isinstance(layer, tuple) else layer)

    collect()
    assert len(seen) == 300
    for name, default in defaults.items():
        assert sum(options[name] != default for options in seen) >= 0.15 * len(seen), name
    nested = [o["padding"] for o in seen if isinstance(o.get("padding"), tuple)]
    if "groups" in defaults:  # padding that differs at the two ends
        uneven = sum(any(isinstance(p, tuple) and p[0] != p[1] for p in padding) for padding in nested)
        assert uneven >= 0.15 * len(seen)
