"""Drawn attention, of one head and of many: both twins, their backwards and torch's autograd agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from affine import hold
from draws import DTYPES, often
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import assert_every_option_is_drawn, compare, tensor

seeds, dtypes = st.integers(0, 2**32 - 1), st.sampled_from(DTYPES)
lengths, features = st.integers(3, 6), st.integers(2, 5)


@st.composite
def attentions(draw, **others):
    """Return options of attention: a mask by its kind, or the causal one; its own scale or none."""
    kind = draw(st.sampled_from((None, "causal", "causal", "booleans", "numbers", "padding")))
    options = {"attn_mask": None if kind == "causal" else kind, "is_causal": kind == "causal"}
    return options | {k: draw(v) for k, v in others.items()}


def mask(kind, generator, shape, dtype):
    """Return a mask that broadcasts to `shape`: of its last two axes, or of keys alone.

    A query sees nothing (as the first does of booleans) or at least two keys: of one alone the weight is 1 and the
    gradient of the scores 0, which torch's kernels miss by a rounding.
    """
    if kind is None:
        return None
    seen = generator.uniform(size=(*shape[:-2], 1, shape[-1]) if kind == "padding" else shape) < 0.7
    seen[..., :2] = True
    if kind == "numbers":
        return np.where(seen, generator.normal(size=shape), -np.inf).astype(dtype)
    if kind == "padding":
        return seen
    seen[..., 0, :] = False
    return seen[(0,) * (len(shape) - 2)]


def terms(query, key, value, grad_output, scale):
    """Return what float32's bound is relative to: the largest sums of |terms| of the three gradients.

    Every weight counts as 1, with the rounding of its score, which the exponential makes relative.
    """
    query, key, value, grad_output = (abs(a) for a in (query, key, value, grad_output))
    scores = query @ key.swapaxes(-2, -1) * scale
    weights = 1 + scores.max(-1, keepdims=True) + 0 * scores
    slopes = 2 * scale * weights * (grad_output @ value.swapaxes(-2, -1)).max(-1, keepdims=True)
    return slopes @ key, slopes.swapaxes(-2, -1) @ query, weights.swapaxes(-2, -1) @ grad_output


scales = st.sampled_from((0.2, 0.8))


@settings(max_examples=200)
@given(
    seeds,
    dtypes,
    st.sampled_from(((), (3,), (2, 3))),
    st.tuples(lengths, lengths, features, features),
    attentions(scale=often(None, scales)),
)
def test_scaled_dot_product_attention(seed, dtype, leading, sizes, options):
    (L, S, E, E_v), generator = sizes, np.random.default_rng(seed)
    shapes = {"query": (*leading, L, E), "key": (*leading, S, E), "value": (*leading, S, E_v)}
    arguments = {k: generator.normal(size=shape).astype(dtype) for k, shape in shapes.items()}
    options = options | {"attn_mask": mask(options["attn_mask"], generator, (*leading, L, S), dtype)}
    theirs = {k: tensor(v) for k, v in options.items()}

    def reference(query, key, value):
        return F.scaled_dot_product_attention(query, key, value, **theirs)

    grad_output = np.random.default_rng(seed + 1).normal(size=(*leading, L, E_v))
    magnitudes = (arguments["value"], terms(*arguments.values(), grad_output, options["scale"] or E**-0.5))
    compare(
        "scaled_dot_product_attention",
        arguments,
        reference,
        seed=seed + 1,
        linear=("value",),
        magnitudes=magnitudes,
        **options,
    )


def many_headed(num_heads, attn_mask, is_causal):
    """Return `torch.nn.functional.multi_head_attention_forward` with our order of axes and meaning of True."""

    def reference(query, key, value, in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias):
        (N, L, E), S = query.shape, key.shape[1]
        theirs = torch.ones(L, S, dtype=torch.bool).tril() if is_causal else tensor(attn_mask)
        if theirs is not None:
            theirs = theirs.to(query.device).expand(N, num_heads, L, S).reshape(N * num_heads, L, S)
            theirs = theirs.logical_not() if theirs.dtype == torch.bool else theirs
        y, _ = F.multi_head_attention_forward(
            *(t.transpose(0, 1) for t in (query, key, value)),
            E,
            num_heads,
            in_proj_weight,
            in_proj_bias,
            None,
            None,
            False,
            0.0,
            out_proj_weight,
            out_proj_bias,
            need_weights=False,
            attn_mask=theirs,
        )
        return y.transpose(0, 1)

    return reference


def many_terms(arguments):
    """Return the function that gives `terms` of multi-head attention, all its heads taken as one."""
    sizes = {k: abs(v) for k, v in arguments.items()}
    inputs, into = [sizes[k] for k in ("query", "key", "value")], np.split(sizes["in_proj_weight"], 3)
    biases = np.split(sizes["in_proj_bias"], 3)
    slices = [x @ weight.T + bias for x, weight, bias in zip(inputs, into, biases, strict=True)]

    def magnitudes(grad_output):
        grad_y = abs(grad_output) @ sizes["out_proj_weight"]
        grads = terms(*slices, grad_y, 1)
        grad_inputs = [(g @ weight).max() for g, weight in zip(grads, into, strict=True)]
        grad_weight = max(np.einsum("nld,nle->de", g, x).max() for g, x in zip(grads, inputs, strict=True))
        grad_bias = max(g.sum((0, 1)).max() for g in grads)
        total = abs(grad_output).sum((0, 1)).max()
        return *grad_inputs, grad_weight, grad_bias, total * slices[2].max(), total

    return magnitudes


def many_heads():
    return attentions(num_heads=often(1, st.integers(2, 3)), in_proj_bias=st.booleans(), out_proj_bias=st.booleans())


@settings(max_examples=120)
@given(seeds, dtypes, st.tuples(st.integers(1, 3), lengths, lengths, st.integers(2, 4)), many_heads())
def test_multi_head_attention(seed, dtype, sizes, options):
    (N, L, S, depth), heads, generator = sizes, options["num_heads"], np.random.default_rng(seed)
    E = heads * depth
    shapes = {"query": (N, L, E), "key": (N, S, E), "value": (N, S, E)}
    shapes |= {"in_proj_weight": (3 * E, E), "in_proj_bias": (3 * E,), "out_proj_weight": (E, E), "out_proj_bias": (E,)}
    arguments = {k: generator.normal(size=shape).astype(dtype) for k, shape in shapes.items()}
    absent = [k for k in ("in_proj_bias", "out_proj_bias") if not options[k]]
    arguments["in_proj_weight"] /= 2 * E**0.5  # else scores are large, and gradients lost in their rounding
    arguments |= {k: np.zeros_like(arguments[k]) for k in absent}
    settled = {"attn_mask": mask(options["attn_mask"], generator, (N, heads, L, S), dtype)}
    settled |= {"is_causal": options["is_causal"], "num_heads": heads}
    hold(
        "multi_head_attention",
        arguments,
        many_headed(**settled),
        seed=seed,
        absent=absent,
        linear=("value", "out_proj_weight", "out_proj_bias"),
        magnitudes=many_terms(arguments),
        **settled,
    )


@pytest.mark.parametrize(
    ("layers", "defaults"),
    [
        (attentions(scale=often(None, scales)), {"attn_mask": None, "is_causal": False, "scale": None}),
        (many_heads(), {"num_heads": 1, "in_proj_bias": True, "out_proj_bias": True, "attn_mask": None}),
        (many_heads(), {"is_causal": False, "in_proj_bias": False, "out_proj_bias": False}),
    ],
)
def test_every_option_is_drawn_often_enough(layers, defaults):
    assert_every_option_is_drawn(st.tuples(seeds, layers), defaults)
