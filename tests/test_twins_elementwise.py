"""Drawn linear maps, activations and dropout: both twins, their backwards and torch agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from draws import DTYPES, arrays, often
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import assert_every_option_is_drawn, compare, tensor

from cnnlib import ops_numpy

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)  # of no axes too

# name: (torch's own, default → the other values that are drawn)
ACTIVATIONS = {
    "relu": (F.relu, {}),
    "leaky_relu": (F.leaky_relu, {"negative_slope": (0.01, (0.0, 0.3, -2))}),
    "elu": (F.elu, {"alpha": (1.0, (0.5, 3, -1.0))}),
    "selu": (F.selu, {}),
    "gelu": (F.gelu, {"approximate": ("none", ("tanh",))}),
    "sigmoid": (torch.sigmoid, {}),
    "tanh": (torch.tanh, {}),
    "softplus": (F.softplus, {"beta": (1.0, (0.3, 4, -1.5)), "threshold": (20.0, (0, 1.0, -0.5))}),
}


def options_of(name):
    choices = ACTIVATIONS[name][1].items()
    return st.fixed_dictionaries({k: often(default, st.sampled_from(others)) for k, (default, others) in choices})


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=40)
@given(shapes, seeds, st.sampled_from(DTYPES), st.booleans(), st.data())
def test_activations(name, shape, seed, dtype, ties, data):
    options = data.draw(options_of(name))
    (x,) = arrays(seed, dtype, shape, ties=ties)  # with ties many exact zeros: the kink
    compare(name, {"x": x}, lambda x: ACTIVATIONS[name][0](x, **options), seed=seed, **options)


@settings(max_examples=60)
@given(st.integers(0, 2), st.integers(1, 3), st.integers(1, 4), st.sampled_from(((), (3,), (2, 2))), seeds, st.data())
def test_maxout(batch, groups, pieces, spatial, seed, data):
    shape = (batch, groups * pieces, *spatial)
    (x,) = arrays(seed, data.draw(st.sampled_from(DTYPES)), shape, ties=data.draw(st.booleans()))
    compare("maxout", {"x": x}, lambda x: x.unflatten(1, (groups, pieces)).max(dim=2).values, seed=seed, pieces=pieces)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@settings(max_examples=60)
@given(shapes, seeds, st.sampled_from(DTYPES), st.sampled_from((0.1, 1, 30)), st.data())
def test_softmax(name, shape, seed, dtype, scale, data):
    dim = data.draw(st.integers(-max(len(shape), 1), max(len(shape), 1) - 1))
    x = np.asarray(scale * arrays(seed, dtype, shape)[0], dtype)
    compare(name, {"x": x}, lambda x: getattr(F, name)(x, dim=dim), seed=seed, dim=dim)


@settings(max_examples=60)
@given(shapes, seeds, st.sampled_from(DTYPES), st.sampled_from((0.0, 0.2, 0.5, 0.9, 1.0)))
def test_dropout(shape, seed, dtype, p):
    (x,) = arrays(seed, dtype, shape)

    def reference(x, mask=None):
        torch.manual_seed(seed)  # torch draws the same mask again
        return F.dropout(x, p)

    mask = (reference(tensor(np.ones_like(x))) != 0).cpu().numpy()
    compare("dropout", {"x": x, "mask": mask}, reference, seed=seed, linear=("x",), p=p)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4), max_size=3), st.integers(1, 5), seeds, st.sampled_from(DTYPES))
def test_linear(leading, out_features, seed, dtype):
    x, weight, bias = arrays(seed, dtype, (*leading, 6), (out_features, 6), (out_features,))
    arguments = {"x": x, "weight": weight, "bias": bias}
    grad_output = np.random.default_rng(seed).normal(size=(*leading, out_features))
    magnitudes = (
        ops_numpy.linear(*map(abs, arguments.values())),
        ops_numpy.linear_backward(abs(grad_output).astype(dtype), abs(x), abs(weight)),
    )
    compare("linear", arguments, F.linear, seed=seed, linear=tuple(arguments), magnitudes=magnitudes)


@pytest.mark.parametrize("name", [name for name, (_, choices) in ACTIVATIONS.items() if choices])
def test_every_option_is_drawn_often_enough(name):
    drawn = st.tuples(seeds, options_of(name))
    assert_every_option_is_drawn(drawn, {k: default for k, (default, _) in ACTIVATIONS[name][1].items()})
