"""Drawn upsamplings: both twins, their backwards and torch agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from draws import DTYPES, arrays
from draws_pool import upsamplings
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import assert_every_option_is_drawn, compare

from cnnlib import ops_numpy


@pytest.mark.parametrize("name", ["nearest", "bilinear"])
def test_upsampling(name):
    operator = f"upsample_{name}2d"

    @settings(max_examples=150)
    @given(upsamplings(corners=name == "bilinear"), st.integers(0, 2**32 - 1), st.sampled_from(DTYPES))
    def agrees(layer, seed, dtype):
        shape, options = layer
        (x,) = arrays(seed, dtype, shape)
        ones = np.ones_like(getattr(ops_numpy, operator)(x, **options))
        weights = getattr(ops_numpy, f"{operator}_backward")(ones, input_size=shape[2:], **options)
        compare(
            operator,
            {"x": x},
            lambda x: F.interpolate(x.cpu(), mode=name, **options).to(x.device),  # torch's GPU rounds otherwise
            seed=seed,
            linear=("x",),
            magnitudes=(np.full_like(x, abs(x).max()), 3 * weights),
            **options,
        )

    agrees()


@pytest.mark.parametrize(
    ("layers", "defaults"),
    [
        (upsamplings(corners=False), {"size": None, "scale_factor": None}),
        (upsamplings(corners=True), {"size": None, "scale_factor": None, "align_corners": False}),
    ],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    assert_every_option_is_drawn(layers, defaults)
