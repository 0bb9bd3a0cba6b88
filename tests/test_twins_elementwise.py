"""Drawn linear maps, activations and losses: both twins, their backwards and torch agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from draws import DTYPES, arrays, losses
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import agree, assert_every_option_is_drawn, by_autograd, tensors

from cnnlib import ops_numpy, ops_torch


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


@pytest.mark.parametrize(
    ("layers", "defaults"),
    [
        (losses(), {"weight": False, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}),
    ],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    assert_every_option_is_drawn(layers, defaults)
