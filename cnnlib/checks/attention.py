"""What both twins check of the operands of attention, once, at the public boundary; see `cnnlib.checks`."""

from __future__ import annotations

from typing import Any

from cnnlib.checks.arrays import dtype_name, floating, like, number, plain, shaped
from cnnlib.geometry import as_flag, as_int


def attention_operands(
    query: Any, key: Any, value: Any, attn_mask: Any, is_causal: bool, scale: Any, array_type: type
) -> float:
    """Check query (…, L, E), key (…, S, E), value (…, S, E_v) and the mask; return the scale, 1/√E by default."""
    arrays: dict[str, tuple[Any, str]] = {"query": (query, "L, E"), "key": (key, "S, E"), "value": (value, "S, E_v")}
    for name, (array, axes) in arrays.items():
        floating(name, array, array_type)
        like(name, array, "query", query)
        if array.ndim < 2 or 0 in array.shape[-2:]:
            raise ValueError(f"{name} has shape {tuple(array.shape)}; expected (…, {axes}), neither of them 0")
    *leading, L, E = tuple(query.shape)
    S = key.shape[-2]
    if tuple(key.shape) != (*leading, S, E):
        raise ValueError(f"key has shape {tuple(key.shape)}; expected {(*leading, S, E)}, as query has but for S")
    E_v = value.shape[-1]
    if tuple(value.shape) != (*leading, S, E_v):
        raise ValueError(f"value has shape {tuple(value.shape)}; expected {(*leading, S, E_v)}, as key has but for E_v")
    _attention_mask(attn_mask, is_causal, query, (*leading, L, S), array_type)
    return float(E) ** -0.5 if scale is None else number("scale", scale)


def _attention_mask(attn_mask: Any, is_causal: bool, query: Any, shape: tuple[int, ...], array_type: Any) -> None:
    """Check that the mask is of booleans or of the query's dtype, and that it broadcasts to `shape`."""
    is_causal = as_flag("is_causal", is_causal)
    if attn_mask is None:
        return
    if is_causal:
        raise ValueError("attn_mask is given beside is_causal=True; expected one of the two")
    if not plain(attn_mask, array_type):
        raise ValueError(f"attn_mask is a {type(attn_mask).__name__}; expected a {array_type.__name__}")
    if dtype_name(attn_mask) != "bool":
        floating("attn_mask", attn_mask, array_type)
        like("attn_mask", attn_mask, "query", query)
    given = tuple(attn_mask.shape)
    fits = all(m in (1, s) for m, s in zip(reversed(given), reversed(shape), strict=False))
    if len(given) > len(shape) or not fits:
        raise ValueError(f"attn_mask has shape {given}; expected one that broadcasts to {shape}")


def multi_head_operands(
    query: Any, key: Any, value: Any, projections: dict[str, Any], num_heads: Any, array_type: type
) -> int:
    """Check query (N, L, E), key and value (N, S, E), and the weights and biases by name; return `num_heads`."""
    floating("query", query, array_type, "N, L, E")
    N, _, E = query.shape
    floating("key", key, array_type, "N, S, E")
    for name, array in (("key", key), ("value", value)):
        shaped(name, array, (N, key.shape[1], E), array_type)
        like(name, array, "query", query)
    heads = as_int("num_heads", num_heads, 1)
    if E % heads:
        raise ValueError(f"num_heads is {heads}; expected a divisor of the {E} features of query")
    shapes = {
        "in_proj_weight": (3 * E, E),
        "in_proj_bias": (3 * E,),
        "out_proj_weight": (E, E),
        "out_proj_bias": (E,),
    }
    for name, array in projections.items():
        if array is not None or name.endswith("weight"):
            shaped(name, array, shapes[name], array_type)
            like(name, array, "query", query)
    return heads
