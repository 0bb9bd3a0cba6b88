"""Drawn losses: both twins, their backwards and torch agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from draws import DTYPES, arrays, losses
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import assert_every_option_is_drawn, compare, tensor

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
reductions = st.sampled_from(("mean", "sum", "none"))
classified = losses()
squares = st.fixed_dictionaries({"weight": st.booleans(), "reduction": reductions})
binaries = st.fixed_dictionaries(
    {
        "weight": st.sampled_from((None, 0, 1)),  # of no axes, one, or all
        "pos_weight": st.sampled_from((None, 0, 1)),
        "reduction": reductions,
    }
)


def own(name, options):
    """Return torch's own loss with these options, which may hold arrays."""
    converted = {k: tensor(v) for k, v in options.items()}
    return lambda **arguments: getattr(F, name)(*arguments.values(), **converted)


@pytest.mark.parametrize(("name", "scores"), [("cross_entropy", "logits"), ("nll_loss", "log_probabilities")])
@settings(max_examples=120)
@given(seeds, st.sampled_from(DTYPES), classified, st.sampled_from(((), (3,), (2, 2))), st.integers(1, 4))
def test_losses_of_classes(name, scores, seed, dtype, options, spatial, batch):
    generator = np.random.default_rng(seed)
    (values,) = arrays(seed, dtype, (batch, 5, *spatial))
    target = generator.integers(0, 5, (batch, *spatial))
    target.flat[0] = 0  # at least one target is not ignored
    weight = generator.uniform(0.5, 2, 5).astype(dtype) if options["weight"] else None
    options = {k: v for k, v in options.items() if name == "cross_entropy" or k != "label_smoothing"}
    options["weight"] = weight
    compare(name, {scores: values, "target": target}, own(name, options), seed=seed, **options)


@settings(max_examples=100)
@given(seeds, st.sampled_from(DTYPES), shapes, squares)
def test_mse_loss(seed, dtype, shape, options):
    x, target, weight = (np.asarray(a, dtype) for a in arrays(seed, dtype, shape, shape, shape))
    options = {**options, "weight": np.asarray(weight**2) if options["weight"] else None}
    compare("mse_loss", {"x": x, "target": target}, own("mse_loss", options), seed=seed, **options)


@settings(max_examples=120)
@given(seeds, st.sampled_from(DTYPES), shapes, binaries, st.sampled_from((1, 50)))
def test_binary_cross_entropy_with_logits(seed, dtype, shape, options, scale):
    (logits,) = arrays(seed, dtype, shape)
    generator = np.random.default_rng(seed)
    target = np.asarray(generator.uniform(size=shape), dtype)
    drawn = {k: v for k, v in options.items() if k != "reduction"}
    for k, axes in drawn.items():
        sizes = shape[len(shape) - axes :] if axes is not None else None
        drawn[k] = None if sizes is None else np.asarray(generator.uniform(0.5, 3, sizes), dtype)
    options = {**options, **drawn}
    name = "binary_cross_entropy_with_logits"
    arguments = {"logits": np.asarray(scale * logits, dtype), "target": target}
    weight, positive = (1 if options[k] is None else options[k] for k in ("weight", "pos_weight"))
    terms = weight * (1 + positive) * (1 + np.abs(arguments["logits"]))  # (1 − t) z and p log σ may cancel
    reduced = {"none": terms, "sum": terms.sum(), "mean": terms.mean()}[options["reduction"]]
    upstream = np.random.default_rng(seed).normal(size=np.shape(reduced))  # as `compare` draws it
    below = np.abs(upstream) * terms / (terms.size if options["reduction"] == "mean" else 1)
    compare(name, arguments, own(name, options), seed=seed, magnitudes=(reduced, (below, below)), **options)


@pytest.mark.parametrize(
    ("options", "defaults"),
    [
        (classified, {"weight": False, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}),
        (squares, {"weight": False, "reduction": "mean"}),
        (binaries, {"weight": None, "pos_weight": None, "reduction": "mean"}),
    ],
)
def test_every_option_is_drawn_often_enough(options, defaults):
    assert_every_option_is_drawn(st.tuples(seeds, options), defaults)
