"""Drawn normalisations: both twins, their backwards and torch's autograd agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from affine import hold
from draws import DTYPES, often
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import assert_every_option_is_drawn, compare

seeds, dtypes = st.integers(0, 2**32 - 1), st.sampled_from(DTYPES)
channels = st.integers(1, 4)
spatials = st.sampled_from(((5,), (2, 3), (4, 4), (2, 3, 2)))


def affine(**others):
    """Return options of a normalisation: a weight, a bias or neither, and eps."""
    eps = often(1e-5, st.sampled_from((1e-3, 0.1)))
    return st.fixed_dictionaries({"weight": st.booleans(), "bias": st.booleans(), "eps": eps, **others})


def batch_norms():
    return affine(training=st.booleans(), momentum=often(0.1, st.sampled_from((0.0, 0.5, 1.0))), running=st.booleans())


def operands(seed, dtype, shape, features, options):
    """Return x, weight and bias, which are ones and zeros where they will be left out, and the names of those."""
    generator = np.random.default_rng(seed)
    x = 3 + 2 * generator.normal(size=shape)
    weight = generator.normal(size=features) if options["weight"] else np.ones(features)
    bias = generator.normal(size=features) if options["bias"] else np.zeros(features)
    arguments = {k: np.asarray(v, dtype) for k, v in (("x", x), ("weight", weight), ("bias", bias))}
    return arguments, [k for k in ("weight", "bias") if not options[k]]


def terms(arguments, deviations):
    """Return what float32's bound is relative to: the largest sums of |terms| of the three gradients.

    `deviations` are the standard deviations that x is divided by.
    """
    steepest = 4 * abs(arguments["weight"]).max() / deviations.min()

    def magnitudes(grad_output):
        total = abs(grad_output).sum() / arguments["weight"].size
        return abs(grad_output).max() * steepest, 3 * total, total

    return magnitudes


@settings(max_examples=160)
@given(seeds, dtypes, channels, st.sampled_from(((), (3,), (2, 3), (2, 1, 2))), batch_norms())
def test_batch_norm(seed, dtype, C, spatial, options):
    options = dict(options)
    kept = options.pop("running") or not options["training"]
    arguments, absent = operands(seed, dtype, (6, C, *spatial), (C,), options)
    generator = np.random.default_rng((seed, 2))
    mean, var = (generator.normal(size=C).astype(dtype), generator.uniform(0.5, 2, C).astype(dtype))
    settled = {k: options[k] for k in ("training", "momentum", "eps")}

    def reference(x, weight, bias):
        running = [torch.from_numpy(v.copy()).to(x.device) if kept else None for v in (mean, var)]
        return F.batch_norm(x, *running, weight, bias, **settled), *running

    deviations = np.moveaxis(arguments["x"], 1, 0).reshape(C, -1).std(1) if options["training"] else np.sqrt(var)
    hold(
        "batch_norm",
        arguments,
        reference,
        seed=seed,
        absent=absent,
        linear=("weight", "bias"),
        magnitudes=terms(arguments, deviations),
        running_mean=mean if kept else None,
        running_var=var if kept else None,
        **settled,
    )


@settings(max_examples=120)
@given(seeds, dtypes, st.lists(st.integers(1, 3), max_size=2), st.sampled_from((6, (5,), [2, 4], (2, 3, 2))), affine())
def test_layer_norm(seed, dtype, leading, shape, options):
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    arguments, absent = operands(seed, dtype, (*leading, *sizes), sizes, options)
    eps = options["eps"]
    hold(
        "layer_norm",
        arguments,
        lambda x, weight, bias: F.layer_norm(x, sizes, weight, bias, eps),
        seed=seed,
        absent=absent,
        linear=("weight", "bias"),
        magnitudes=terms(arguments, arguments["x"].reshape(-1, np.prod(sizes)).std(1)),
        normalized_shape=shape,
        eps=eps,
    )


@settings(max_examples=120)
@given(seeds, dtypes, channels, st.integers(1, 3), spatials, affine())
def test_group_norm(seed, dtype, depth, groups, spatial, options):
    C, eps = depth * groups, options["eps"]
    arguments, absent = operands(seed, dtype, (2, C, *spatial), (C,), options)
    hold(
        "group_norm",
        arguments,
        lambda x, weight, bias: F.group_norm(x, groups, weight, bias, eps),
        seed=seed,
        absent=absent,
        linear=("weight", "bias"),
        magnitudes=terms(arguments, arguments["x"].reshape(2 * groups, -1).std(1)),
        num_groups=groups,
        eps=eps,
    )


@settings(max_examples=100)
@given(seeds, dtypes, channels, spatials, affine())
def test_instance_norm(seed, dtype, C, spatial, options):
    arguments, absent = operands(seed, dtype, (2, C, *spatial), (C,), options)
    eps = options["eps"]
    hold(
        "instance_norm",
        arguments,
        lambda x, weight, bias: F.instance_norm(x, weight=weight, bias=bias, eps=eps),
        seed=seed,
        absent=absent,
        linear=("weight", "bias"),
        magnitudes=terms(arguments, arguments["x"].reshape(2 * C, -1).std(1)),
        eps=eps,
    )


def responses():
    return st.fixed_dictionaries(
        {
            "alpha": often(1e-4, st.sampled_from((0.0, 1.0))),
            "beta": often(0.75, st.sampled_from((0.5, 1.0))),
            "k": often(1.0, st.sampled_from((0.5, 2.0))),
        }
    )


@settings(max_examples=120)
@given(seeds, dtypes, st.integers(1, 7), st.integers(1, 9), st.sampled_from(((3,), (2, 3), (1, 2, 2))), responses())
def test_local_response_norm(seed, dtype, C, size, spatial, options):
    x = np.random.default_rng(seed).normal(size=(2, C, *spatial)).astype(dtype)
    compare(
        "local_response_norm",
        {"x": x},
        lambda x: F.local_response_norm(x, size, **options),
        seed=seed + 1,
        size=size,
        **options,
    )


def contrasts():
    return st.fixed_dictionaries(
        {
            "size": often(9, st.sampled_from((1, 3, 5))),
            "sigma": often(None, st.sampled_from((0.5, 2.0))),
            "eps": often(1e-5, st.sampled_from((1e-3, 0.9))),
        }
    )


def contrast(x, size, sigma, eps):
    """Compute a local contrast norm in torch, as its docstring defines it, for autograd."""
    C = x.shape[1]
    distance = torch.arange(size, dtype=x.dtype, device=x.device) - size // 2
    line = torch.exp(-(distance**2) / (2 * (sigma or size / 4) ** 2))
    window = (line[:, None] * line).repeat(1, C, 1, 1)
    inside = F.conv2d(torch.ones_like(x), window, padding=size // 2)
    v = x - F.conv2d(x, window, padding=size // 2) / inside
    s = (F.conv2d(v**2, window, padding=size // 2) / inside).sqrt()
    return v / torch.maximum(s.mean((2, 3), keepdim=True), s).clamp(min=eps)


@settings(max_examples=100)
@given(seeds, dtypes, st.integers(2, 4), st.integers(1, 7), st.integers(2, 7), contrasts())
def test_local_contrast_norm(seed, dtype, C, H, W, options):
    x = np.random.default_rng(seed).normal(size=(2, C, H, W)).astype(dtype)
    compare("local_contrast_norm", {"x": x}, lambda x: contrast(x, **options), seed=seed + 1, **options)


@pytest.mark.parametrize(
    ("layers", "defaults"),
    [
        (affine(), {"weight": False, "bias": False, "eps": 1e-5}),
        (affine(), {"weight": True, "bias": True}),
        (batch_norms(), {"weight": False, "training": False, "momentum": 0.1, "eps": 1e-5, "running": True}),
        (responses(), {"alpha": 1e-4, "beta": 0.75, "k": 1.0}),
        (contrasts(), {"size": 9, "sigma": None, "eps": 1e-5}),
    ],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    assert_every_option_is_drawn(st.tuples(seeds, layers), defaults)
