"""Attention: each position asks all others, and takes a mean of their values, weighted by how well they answer."""

from __future__ import annotations

import numpy as np

from cnnlib.checks import attention as checks
from cnnlib.ops_numpy.linear import linear, linear_backward
from cnnlib.ops_numpy.softmax import softmax, softmax_backward

Gradients = tuple[np.ndarray, ...]


def scaled_dot_product_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    *,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> np.ndarray:
    """Return softmax(scale · Q Kᵀ + mask) V, the softmax over the keys.

    query (…, L, E), key (…, S, E), value (…, S, E_v) → (…, L, E_v); the leading axes are the same in all three.
    `scale` is 1/√E unless given, which keeps the variance of the scores that of one product. `attn_mask` broadcasts to
    (…, L, S): booleans say which keys take *part*, numbers are added to the scores. `is_causal` lets query i see the
    keys 0 to i, and excludes a mask. A query that sees no key gets zeros, as in torch 2.13, and no gradient; plain
    softmax would say NaN. What is masked still spreads its NaN: −∞ is added to its score and 0 multiplies its value.
    As `torch.nn.functional.scaled_dot_product_attention` without its dropout and `enable_gqa`. The weights themselves
    are what comes out where `value` is the identity. Raises ValueError, naming the argument, for shapes and dtypes that
    do not match and for empty axes but leading ones. Vaswani et al. (2017), section 3.2.1,
    https://arxiv.org/abs/1706.03762.

    >>> query, key = np.zeros((1, 2)), np.ones((2, 2))
    >>> scaled_dot_product_attention(query, key, np.array([[1.0], [5.0]]))  # nothing to choose by: the plain mean
    array([[3.]])
    """
    scale = checks.attention_operands(query, key, value, attn_mask, is_causal, scale, np.ndarray)
    with np.errstate(invalid="ignore", over="ignore"):
        return _weights(query, key, attn_mask, is_causal, scale) @ value


def scaled_dot_product_attention_backward(
    grad_output: np.ndarray,
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    *,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Gradients:
    """Return (grad_query, grad_key, grad_value) of `scaled_dot_product_attention`; the mask is a constant.

    With A the weights, grad_value = Aᵀ g and grad_A = g Vᵀ, which goes back through the softmax, row by row, to the
    scores scale · Q Kᵀ, a product of two factors.

    >>> ones = np.ones((2, 2))
    >>> scaled_dot_product_attention_backward(np.ones((1, 1)), ones[:1], ones, ones[:, :1])[2]  # equal keys share it
    array([[0.5],
           [0.5]])
    """
    scale = checks.attention_operands(query, key, value, attn_mask, is_causal, scale, np.ndarray)
    checks.shaped("grad_output", grad_output, (*query.shape[:-1], value.shape[-1]), np.ndarray)
    checks.like("grad_output", grad_output, "query", query)
    with np.errstate(invalid="ignore", over="ignore"):
        weights = _weights(query, key, attn_mask, is_causal, scale)  # (…, L, S)
        grad_weights = grad_output @ value.swapaxes(-2, -1)
        grad_scores = scale * softmax_backward(grad_weights, weights, dim=-1)
        return grad_scores @ key, grad_scores.swapaxes(-2, -1) @ query, weights.swapaxes(-2, -1) @ grad_output


def _weights(
    query: np.ndarray, key: np.ndarray, attn_mask: np.ndarray | None, is_causal: bool, scale: float
) -> np.ndarray:
    """Return the softmax of the masked scores, (…, L, S), and zeros where all of them are masked."""
    scores = scale * query @ key.swapaxes(-2, -1)
    if is_causal:
        attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is not None:
        if attn_mask.dtype == bool:
            attn_mask = np.where(attn_mask, 0, -np.inf).astype(scores.dtype)
        scores = scores + attn_mask
    return np.where((scores == -np.inf).all(-1, keepdims=True), 0, softmax(scores, dim=-1))


def multi_head_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    in_proj_weight: np.ndarray,
    in_proj_bias: np.ndarray | None,
    out_proj_weight: np.ndarray,
    out_proj_bias: np.ndarray | None,
    *,
    num_heads: int,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
) -> np.ndarray:
    """Project queries, keys and values, attend in `num_heads` slices of the features at once, project what comes out.

    query (N, L, E), key and value (N, S, E); in_proj_weight (3E, E) holds the weights for queries, keys and values, one
    upon the other, in_proj_bias (3E,); out_proj_weight (E, E), out_proj_bias (E,) → (N, L, E). Head h works on the
    features h·E/heads onwards. The parameters are those of `torch.nn.MultiheadAttention(E, num_heads,
    batch_first=True)`, whose function, `torch.nn.functional.multi_head_attention_forward`, takes (L, N, E) and returns
    the weights too. Here is no dropout, and no key or value but of E features. `attn_mask` broadcasts to
    (N, num_heads, L, S) and means what it does in `scaled_dot_product_attention`: a padding mask (N, S) goes in as
    `mask[:, None, None, :]`, and True *takes part*. The function of torch reads booleans the other way round: give it
    `~attn_mask`. Raises ValueError, naming the argument. Vaswani et al. (2017), section 3.2.2,
    https://arxiv.org/abs/1706.03762.

    >>> x, identity = np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.eye(2)
    >>> weight = np.concatenate([0 * identity, identity, identity])  # no question is asked: the plain mean again
    >>> multi_head_attention(x, x, x, weight, None, identity, None, num_heads=2)
    array([[[2., 3.],
            [2., 3.]]])
    """
    projections = {"in_proj_weight": in_proj_weight, "in_proj_bias": in_proj_bias}
    projections |= {"out_proj_weight": out_proj_weight, "out_proj_bias": out_proj_bias}
    heads = checks.multi_head_operands(query, key, value, projections, num_heads, np.ndarray)
    with np.errstate(invalid="ignore", over="ignore"):
        slices = _project(query, key, value, in_proj_weight, in_proj_bias, heads)
        y = scaled_dot_product_attention(*slices, attn_mask=attn_mask, is_causal=is_causal)
        return linear(_join(y), out_proj_weight, out_proj_bias)


def multi_head_attention_backward(
    grad_output: np.ndarray,
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    in_proj_weight: np.ndarray,
    in_proj_bias: np.ndarray | None,
    out_proj_weight: np.ndarray,
    *,
    num_heads: int,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
) -> Gradients:
    """Return the gradients of the seven arrays of `multi_head_attention`, in their order: its steps in reverse.

    In self-attention the gradient of x is the sum of the first three. Where there are no biases, theirs are those at 0.

    >>> x, weight = np.ones((1, 3, 2)), np.ones((2, 2))
    >>> grads = multi_head_attention_backward(x, x, x, x, np.ones((6, 2)), None, weight, num_heads=1)
    >>> [g.shape for g in grads]
    [(1, 3, 2), (1, 3, 2), (1, 3, 2), (6, 2), (6,), (2, 2), (2,)]
    """
    projections = {"in_proj_weight": in_proj_weight, "in_proj_bias": in_proj_bias, "out_proj_weight": out_proj_weight}
    heads = checks.multi_head_operands(query, key, value, projections, num_heads, np.ndarray)
    checks.shaped("grad_output", grad_output, query.shape, np.ndarray)
    checks.like("grad_output", grad_output, "query", query)
    with np.errstate(invalid="ignore", over="ignore"):
        slices = _project(query, key, value, in_proj_weight, in_proj_bias, heads)
        y = scaled_dot_product_attention(*slices, attn_mask=attn_mask, is_causal=is_causal)
        grad_y, grad_out_weight, grad_out_bias = linear_backward(grad_output, _join(y), out_proj_weight)
        grad_slices = scaled_dot_product_attention_backward(
            _split(grad_y, heads), *slices, attn_mask=attn_mask, is_causal=is_causal
        )
        thirds = zip(grad_slices, (query, key, value), np.split(in_proj_weight, 3), strict=True)
        grads = [linear_backward(_join(grad), x, weight) for grad, x, weight in thirds]
        inputs, weights, biases = zip(*grads, strict=True)
        return *inputs, np.concatenate(weights), np.concatenate(biases), grad_out_weight, grad_out_bias


def _project(query, key, value, in_proj_weight, in_proj_bias, heads):
    """Return the projected queries, keys and values, (N, heads, L or S, E // heads) each."""
    biases = (None,) * 3 if in_proj_bias is None else np.split(in_proj_bias, 3)
    thirds = zip((query, key, value), np.split(in_proj_weight, 3), biases, strict=True)
    return [_split(linear(x, weight, bias), heads) for x, weight, bias in thirds]


def _split(x: np.ndarray, heads: int) -> np.ndarray:
    """Turn (N, L, E) into (N, heads, L, E // heads)."""
    N, L, E = x.shape
    return x.reshape(N, L, heads, E // heads).swapaxes(1, 2)


def _join(x: np.ndarray) -> np.ndarray:
    """Turn (N, heads, L, E // heads) back into (N, L, E)."""
    N, heads, L, depth = x.shape
    return x.swapaxes(1, 2).reshape(N, L, heads * depth)
