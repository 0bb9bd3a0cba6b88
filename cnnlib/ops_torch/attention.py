"""Attention in torch, on any device: the twins of `cnnlib.ops_numpy.attention`, which says what each means.

The backward goes through the logarithm of the weights, where the NumPy twin takes the Jacobian of the softmax, and all
heads are contracted at once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cnnlib.checks import attention as checks

Tensor = torch.Tensor


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Return softmax(scale · Q Kᵀ + mask) V: the twin of `cnnlib.ops_numpy.scaled_dot_product_attention`.

    >>> query, key = torch.zeros(1, 2), torch.ones(2, 2)
    >>> scaled_dot_product_attention(query, key, torch.tensor([[1.0], [5.0]]))
    tensor([[3.]])
    """
    scale = checks.attention_operands(query, key, value, attn_mask, is_causal, scale, Tensor)
    if attn_mask is not None:
        attn_mask = torch.atleast_2d(attn_mask)  # as torch asks
    return F.scaled_dot_product_attention(query, key, value, attn_mask, is_causal=bool(is_causal), scale=scale)


def scaled_dot_product_attention_backward(
    grad_output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> tuple[Tensor, ...]:
    """Return (grad_query, grad_key, grad_value): the twin of the same in `cnnlib.ops_numpy`, which says all.

    >>> ones = torch.ones(2, 2)
    >>> scaled_dot_product_attention_backward(torch.ones(1, 1), ones[:1], ones, ones[:, :1])[2]
    tensor([[0.5000],
            [0.5000]])
    """
    scale = checks.attention_operands(query, key, value, attn_mask, is_causal, scale, Tensor)
    checks.shaped("grad_output", grad_output, (*query.shape[:-1], value.shape[-1]), Tensor)
    checks.like("grad_output", grad_output, "query", query)
    scores = torch.einsum("...le,...se->...ls", query, key) * scale
    if is_causal:
        attn_mask = scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores + _additive(attn_mask, scores)
    weights = scores.softmax(-1).masked_fill((scores == -torch.inf).all(-1, keepdim=True), 0)
    grad_logs = weights * torch.einsum("...lv,...sv->...ls", grad_output, value)  # the gradient of log(weights)
    grad_scores = (grad_logs - weights * grad_logs.sum(-1, keepdim=True)) * scale
    grad_query = torch.einsum("...ls,...se->...le", grad_scores, key)
    grad_key = torch.einsum("...ls,...le->...se", grad_scores, query)
    return grad_query, grad_key, torch.einsum("...ls,...lv->...sv", weights, grad_output)


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    in_proj_weight: Tensor,
    in_proj_bias: Tensor | None,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    *,
    num_heads: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """Project, attend in `num_heads` slices, project: the twin of `cnnlib.ops_numpy.multi_head_attention`.

    >>> x, identity = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.eye(2)
    >>> multi_head_attention(x, x, x, torch.cat([0 * identity, identity, identity]), None, identity, None, num_heads=2)
    tensor([[[2., 3.],
             [2., 3.]]])
    """
    projections = {"in_proj_weight": in_proj_weight, "in_proj_bias": in_proj_bias}
    projections |= {"out_proj_weight": out_proj_weight, "out_proj_bias": out_proj_bias}
    heads = checks.multi_head_operands(query, key, value, projections, num_heads, Tensor)
    slices = _project((query, key, value), in_proj_weight, in_proj_bias, heads)
    y = scaled_dot_product_attention(*slices, attn_mask=attn_mask, is_causal=is_causal)
    y = torch.einsum("nhld,ohd->nlo", y, _by_head(out_proj_weight, heads))
    return y if out_proj_bias is None else y + out_proj_bias


def multi_head_attention_backward(
    grad_output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    in_proj_weight: Tensor,
    in_proj_bias: Tensor | None,
    out_proj_weight: Tensor,
    *,
    num_heads: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> tuple[Tensor, ...]:
    """Return the gradients of the seven arrays: the twin of the same in `cnnlib.ops_numpy`, which says all.

    >>> x, weight = torch.ones(1, 3, 2), torch.ones(2, 2)
    >>> grads = multi_head_attention_backward(x, x, x, x, torch.ones(6, 2), None, weight, num_heads=1)
    >>> [tuple(g.shape) for g in grads]
    [(1, 3, 2), (1, 3, 2), (1, 3, 2), (6, 2), (6,), (2, 2), (2,)]
    """
    projections = {"in_proj_weight": in_proj_weight, "in_proj_bias": in_proj_bias, "out_proj_weight": out_proj_weight}
    heads = checks.multi_head_operands(query, key, value, projections, num_heads, Tensor)
    checks.shaped("grad_output", grad_output, tuple(query.shape), Tensor)
    checks.like("grad_output", grad_output, "query", query)
    inputs = (query, key, value)
    slices = _project(inputs, in_proj_weight, in_proj_bias, heads)
    y = scaled_dot_product_attention(*slices, attn_mask=attn_mask, is_causal=is_causal)
    grad_y = torch.einsum("nlo,ohd->nhld", grad_output, _by_head(out_proj_weight, heads))
    grad_out = torch.einsum("nlo,nhld->ohd", grad_output, y).reshape(out_proj_weight.shape)
    grads = scaled_dot_product_attention_backward(grad_y, *slices, attn_mask=attn_mask, is_causal=is_causal)
    into = in_proj_weight.reshape(3, heads, -1, query.shape[-1])  # (3, heads, E // heads, E)
    grad_inputs = [torch.einsum("nhld,hde->nle", g, w) for g, w in zip(grads, into, strict=True)]
    grad_into = torch.cat([torch.einsum("nhld,nle->hde", g, x) for g, x in zip(grads, inputs, strict=True)])
    grad_in_bias = torch.cat([g.sum((0, 2)) for g in grads])  # (3 · heads, E // heads)
    return (
        *grad_inputs,
        grad_into.reshape(in_proj_weight.shape),
        grad_in_bias.ravel(),
        grad_out,
        grad_output.sum((0, 1)),
    )


def _additive(attn_mask: Tensor, scores: Tensor) -> Tensor:
    """Turn booleans into what is added to the scores: 0 where True, −∞ where False."""
    if attn_mask.dtype != torch.bool:
        return attn_mask
    return scores.new_zeros(attn_mask.shape).masked_fill(attn_mask.logical_not(), -torch.inf)


def _project(inputs, in_proj_weight, in_proj_bias, heads):
    """Return the projected queries, keys and values, (N, heads, L or S, E // heads) each."""
    into = in_proj_weight.reshape(3, heads, -1, in_proj_weight.shape[1])  # (3, heads, E // heads, E)
    slices = [torch.einsum("nle,hde->nhld", x, weight) for x, weight in zip(inputs, into, strict=True)]
    if in_proj_bias is None:
        return slices
    return [s + bias for s, bias in zip(slices, in_proj_bias.reshape(3, heads, 1, -1), strict=True)]


def _by_head(weight: Tensor, heads: int) -> Tensor:
    """Turn the columns (E, E) of the last projection into (E, heads, E // heads)."""
    return weight.reshape(weight.shape[0], heads, -1)
