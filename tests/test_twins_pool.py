"""Drawn poolings: both twins, their backwards and torch agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from draws import DTYPES, arrays
from draws_pool import adaptive_poolings, blurs, poolings, power_poolings, torchs_options, unpoolings
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import agree, assert_every_option_is_drawn, by_autograd, compare, tensors

from cnnlib import ops_numpy, ops_torch

SEEDS, FLOATS = st.integers(0, 2**32 - 1), st.sampled_from(DTYPES)
EXAMPLES = {1: 100, 2: 200, 3: 100}
by_rank = pytest.mark.parametrize("rank", EXAMPLES)


@by_rank
def test_max_pool(rank):
    name = f"max_pool{rank}d"
    pool, backward = getattr(ops_numpy, name), getattr(ops_numpy, f"{name}_backward")
    twin, twin_backward = getattr(ops_torch, name), getattr(ops_torch, f"{name}_backward")

    @settings(max_examples=EXAMPLES[rank])
    @given(poolings(rank, dilated=True), SEEDS, FLOATS, st.booleans())
    def agrees(layer, seed, dtype, ties):
        shape, options = layer
        (x,) = arrays(seed, dtype, shape, ties=ties)
        y, indices = pool(x, **options)
        (grad_output,) = arrays(seed + 1, dtype, y.shape)
        tx, tg, ti = tensors(x, grad_output, indices)
        agree((y, indices), twin(tx, **options))
        grad_x = backward(grad_output, indices, input_size=shape[2:])
        agree(grad_x, twin_backward(tg, ti, input_size=shape[2:]))
        agree(grad_x, by_autograd(lambda x: twin(x, **options)[0], tg, tx)[0])
        if torchs_options(options):
            agree((y, indices), getattr(F, name)(tx, **options, return_indices=True))
            agree(grad_x, by_autograd(lambda x: getattr(F, name)(x, **options), tg, tx)[0])

    agrees()


@by_rank
def test_avg_pool(rank):
    name = f"avg_pool{rank}d"

    @settings(max_examples=EXAMPLES[rank])
    @given(poolings(rank, dilated=False), SEEDS, FLOATS)
    def agrees(layer, seed, dtype):
        shape, options = layer
        (x,) = arrays(seed, dtype, shape)
        # torch's avg_pool3d alone refuses what is smaller than the kernel before it is padded
        refused = rank == 3 and any(size < k for size, k in zip(shape[2:], options["kernel_size"], strict=True))
        torchs = getattr(F if torchs_options(options) and not refused else ops_torch, name)
        terms = getattr(ops_numpy, name)(abs(x), **options)
        compare(
            name,
            {"x": x},
            lambda x: torchs(x, **options),
            seed=seed,
            linear=("x",),
            magnitudes=(terms, np.ones_like(x)),
            **options,
        )

    agrees()


@settings(max_examples=80)
@given(adaptive_poolings(), SEEDS, FLOATS)
def test_adaptive_avg_pool2d(layer, seed, dtype):
    shape, options = layer
    (x,) = arrays(seed, dtype, shape)
    compare(
        "adaptive_avg_pool2d",
        {"x": x},
        lambda x: F.adaptive_avg_pool2d(x, **options),
        seed=seed,
        linear=("x",),
        magnitudes=(x, np.ones_like(x)),
        **options,
    )


@settings(max_examples=120)
@given(power_poolings(), SEEDS, FLOATS)
def test_lp_pool2d(layer, seed, dtype):
    shape, options = layer
    (x,) = arrays(seed, dtype, shape)
    if options["norm_type"] not in (1, 2, 4):
        x = abs(x) + x.dtype.type(0.1)  # a negative sum has no root
    terms = ops_numpy.lp_pool2d(abs(x), **options)
    compare(
        "lp_pool2d",
        {"x": x},
        lambda x: F.lp_pool2d(x, **options),
        seed=seed,
        magnitudes=(terms, ops_numpy.lp_pool2d_backward(np.ones_like(terms), abs(x), **options)),
        **options,
    )


@settings(max_examples=80)
@given(unpoolings(), SEEDS, FLOATS)
def test_max_unpool2d(layer, seed, dtype):
    shape, (height, width), options = layer
    (x,) = arrays(seed, dtype, shape)
    places = np.random.default_rng(seed).permuted(np.tile(np.arange(height * width), (*shape[:2], 1)), axis=2)
    indices = places[..., : shape[2] * shape[3]].reshape(shape)  # none twice
    compare(
        "max_unpool2d",
        {"x": x, "indices": indices},
        lambda x, indices: F.max_unpool2d(x, indices, **options),
        seed=seed,
        linear=("x",),
        **options,
    )


def blurred(x, kernel_size, stride):
    """Zhang's layer, in torch's own words."""
    kh, kw = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    rows, columns = (torch.tensor([float(math.comb(k - 1, i)) for i in range(k)]) for k in (kh, kw))
    weight = (rows[:, None] * columns / 2 ** (kh + kw - 2)).to(x)
    padded = F.pad(x, ((kw - 1) // 2, kw // 2, (kh - 1) // 2, kh // 2), mode="reflect")
    return F.conv2d(padded, weight.expand(x.shape[1], 1, kh, kw), stride=stride, groups=x.shape[1])


@settings(max_examples=80)
@given(blurs(), SEEDS, FLOATS)
def test_blur_pool2d(layer, seed, dtype):
    shape, options = layer
    (x,) = arrays(seed, dtype, shape)
    compare(
        "blur_pool2d",
        {"x": x},
        lambda x: blurred(x, **options),
        seed=seed,
        linear=("x",),
        magnitudes=(x, np.ones_like(x)),
        **options,
    )


WINDOWS = {"stride": None, "padding": 0, "ceil_mode": False}
MEANS = {**WINDOWS, "count_include_pad": True}


@pytest.mark.parametrize(
    ("layers", "defaults"),
    [
        *[(poolings(rank, dilated=True), {**WINDOWS, "dilation": 1}) for rank in EXAMPLES],
        (poolings(1, dilated=False), MEANS),
        *[(poolings(rank, dilated=False), {**MEANS, "divisor_override": None}) for rank in (2, 3)],
        (power_poolings(), {"stride": None, "ceil_mode": False}),
        (unpoolings(), {"stride": None, "padding": 0, "output_size": None}),
        (blurs(), {"stride": 2}),
    ],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    assert_every_option_is_drawn(layers, defaults, examples=200)


@by_rank
def test_padding_of_every_kind_is_drawn(rank):
    drawn = assert_every_option_is_drawn(poolings(rank, dilated=True), {}, examples=200)
    assert 0.15 < sum(torchs_options(options) is None for options in drawn) / len(drawn) < 0.5
