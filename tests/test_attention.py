"""Attention by hand and by finite differences, its masks, where nothing is seen, and what it refuses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients


def drawn(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape) for shape in shapes]


@both
def test_by_hand(backend):
    query, key = backend.array([[2, 0]]), backend.array([[0, 5], [np.log(3), 5]])
    value = backend.array([[4, 0], [0, 8]])
    y = backend.ops.scaled_dot_product_attention(query, key, value, scale=0.5)  # scores 0 and ln 3
    assert_close(y, backend.array([[1, 6]]))
    grads = backend.ops.scaled_dot_product_attention_backward(backend.array([[1, 0]]), query, key, value, scale=0.5)
    slope = 0.25 * 0.75 * (4 - 0) * 0.5  # of the first score, times scale
    assert_close(grads[0], backend.array([[-slope * np.log(3), 0]]))
    assert_close(grads[1], backend.array([[2 * slope, 0], [-2 * slope, 0]]))
    assert_close(grads[2], backend.array([[0.25, 0], [0.75, 0]]))


@both
def test_the_weights_come_out_where_the_value_is_the_identity(backend):
    query, key = (backend.array(a) for a in drawn((3, 4), (5, 4)))
    weights = backend.ops.scaled_dot_product_attention(query, key, backend.array(np.eye(5)))
    assert_close(weights.sum(1), backend.array(np.ones(3)))
    value = backend.array(drawn((5, 2))[0])
    assert_close(weights @ value, backend.ops.scaled_dot_product_attention(query, key, value))


@both
def test_a_query_sees_the_keys_up_to_its_own_place(backend):
    equal = backend.array(np.zeros((3, 2))), backend.array(np.zeros((2, 2)))
    y = backend.ops.scaled_dot_product_attention(*equal, backend.array(np.eye(2)), is_causal=True)
    assert_close(y, backend.array([[1, 0], [0.5, 0.5], [0.5, 0.5]]), rtol=0)
    y = backend.ops.scaled_dot_product_attention(*equal[::-1], backend.array(np.eye(3)), is_causal=True)
    assert_close(y, backend.array([[1, 0, 0], [0.5, 0.5, 0]]), rtol=0)


@both
def test_true_takes_part(backend):
    query, key, value = (backend.array(a) for a in drawn((2, 3), (2, 3), (2, 3)))
    of_booleans = backend.ops.scaled_dot_product_attention(
        query, key, value, attn_mask=backend.array([[True, False], [False, True]], "bool")
    )
    assert_close(of_booleans, value, rtol=0)
    numbers = backend.array([[0, -np.inf], [-np.inf, 0]])
    assert_close(backend.ops.scaled_dot_product_attention(query, key, value, attn_mask=numbers), value, rtol=0)


@both
@pytest.mark.parametrize("dtype", ["bool", "float64"])
def test_a_query_that_sees_nothing_gets_zeros(backend, dtype):
    arrays = drawn((2, 3, 4), (2, 5, 4), (2, 5, 4), (2, 3, 4))
    seen = np.ones((3, 5), bool)
    seen[1] = False
    mask = seen if dtype == "bool" else np.where(seen, 0.5, -np.inf)
    query, key, value, grad_output = (backend.array(a) for a in arrays)
    y = backend.ops.scaled_dot_product_attention(query, key, value, attn_mask=backend.array(mask, dtype))
    assert_close(y[:, 1], backend.array(np.zeros((2, 4))), rtol=0)
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays[:3]]
    theirs = F.scaled_dot_product_attention(*leaves, attn_mask=torch.tensor(mask))
    assert_close(y, theirs.detach())
    grads = backend.ops.scaled_dot_product_attention_backward(
        grad_output, query, key, value, attn_mask=backend.array(mask, dtype)
    )
    for grad, expected in zip(grads, torch.autograd.grad(theirs, leaves, torch.tensor(arrays[3])), strict=True):
        assert_close(grad, expected)
    assert_close(grads[0][:, 1], backend.array(np.zeros((2, 4))), rtol=0)


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_scores_do_not_overflow(backend, dtype):
    query, key = backend.array([[1e4], [-1e4]], dtype), backend.array([[1e4], [-1e4]], dtype)
    value = backend.array([[1, 2], [3, 4]], dtype)
    assert_close(backend.ops.scaled_dot_product_attention(query, key, value), value, rtol=0)
    grads = backend.ops.scaled_dot_product_attention_backward(value, query, key, value)
    for grad, expected in zip(grads, (0 * query, 0 * key, value), strict=True):
        assert_close(grad, expected, rtol=0)


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("is_causal", [False, True])
def test_what_is_not_finite_is_as_in_torch(backend, value, place, is_causal):
    *arrays, grad_output = drawn((2, 3, 3), (2, 3, 3), (2, 3, 3), (2, 3, 3))
    arrays[place][0, 1, 0] = value
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = F.scaled_dot_product_attention(*leaves, is_causal=is_causal)
    ours = [backend.array(a) for a in arrays]
    assert_close(backend.ops.scaled_dot_product_attention(*ours, is_causal=is_causal), expected.detach())
    grads = backend.ops.scaled_dot_product_attention_backward(backend.array(grad_output), *ours, is_causal=is_causal)
    theirs = torch.autograd.grad(expected, leaves, torch.tensor(grad_output))
    for grad, other in zip(grads, theirs, strict=True):
        assert_close(grad, other)


MASKS = (
    {},
    {"is_causal": True},
    {"attn_mask": np.arange(15).reshape(3, 5) % 4 > 0},
    {"attn_mask": np.sin(np.arange(30)).reshape(2, 3, 5)},
)


@pytest.mark.parametrize("options", [*MASKS, {"scale": -2.0}])
def test_gradients_are_those_of_finite_differences(options):
    *arrays, grad_output = drawn((2, 3, 4), (2, 5, 4), (2, 5, 2), (2, 3, 2))
    grads = ops_numpy.scaled_dot_product_attention_backward(grad_output, *arrays, **options)
    check_gradients(lambda *a: ops_numpy.scaled_dot_product_attention(*a, **options), grads, arrays, grad_output)


@pytest.mark.parametrize("options", MASKS)
def test_gradients_of_many_heads_are_those_of_finite_differences(options):
    *arrays, grad_output = drawn((2, 3, 4), (2, 5, 4), (2, 5, 4), (12, 4), (12,), (4, 4), (4,), (2, 3, 4))
    options = options | {"num_heads": 2}
    grads = ops_numpy.multi_head_attention_backward(grad_output, *arrays[:-1], **options)
    check_gradients(lambda *a: ops_numpy.multi_head_attention(*a, **options), grads, arrays, grad_output)


@both
def test_the_parameters_are_those_of_torchs_module(backend):
    torch.manual_seed(0)
    module = torch.nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64)
    x, padding = torch.randn(2, 4, 6, dtype=torch.float64), torch.tensor([[True] * 4, [True, True, False, False]])
    theirs, _ = module(x, x, x, key_padding_mask=~padding)
    parameters = [backend.array(p.detach().numpy()) for p in module.parameters()]
    x = backend.array(x.numpy())
    mask = backend.array(padding.numpy(), "bool")[:, None, None, :]
    y = backend.ops.multi_head_attention(x, x, x, *parameters, num_heads=3, attn_mask=mask)
    assert_close(y, theirs.detach())


@both
def test_each_head_has_features_of_its_own(backend):
    identity, x = backend.array(np.eye(4)), [backend.array(a) for a in drawn((2, 3, 4), (2, 5, 4), (2, 5, 4))]
    y = backend.ops.multi_head_attention(
        *x, backend.array(np.tile(np.eye(4), (3, 1))), None, identity, None, num_heads=2
    )
    for head in (slice(0, 2), slice(2, 4)):
        assert_close(y[..., head], backend.ops.scaled_dot_product_attention(*(a[..., head] for a in x)))


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_batch_works(backend, dtype):
    x = backend.array(np.ones((0, 3, 4)), dtype)
    assert_close(backend.ops.scaled_dot_product_attention(x, x, x), x)
    for grad in backend.ops.scaled_dot_product_attention_backward(x, x, x, x):
        assert_close(grad, x)
    shapes = (12, 4), (12,), (4, 4), (4,)
    parameters = [backend.array(np.ones(s), dtype) for s in shapes]
    assert_close(backend.ops.multi_head_attention(x, x, x, *parameters, num_heads=2), x)
    grads = backend.ops.multi_head_attention_backward(x, x, x, x, *parameters[:3], num_heads=2)
    for grad, shape in zip(grads, (x.shape,) * 3 + shapes, strict=True):
        assert_close(grad, backend.array(np.zeros(shape), dtype))


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    query, key, value = array(np.ones((2, 3, 4))), array(np.ones((2, 5, 4))), array(np.ones((2, 5, 6)))
    for call, message in (
        (
            lambda: ops.scaled_dot_product_attention(array([1]), key, value),
            r"query has shape \(1,\); expected \(…, L, E\)",
        ),
        (lambda: ops.scaled_dot_product_attention(query[:, :0], key, value), r"query has shape \(2, 0, 4\)"),
        (lambda: ops.scaled_dot_product_attention(query, key[:, :0], value), r"key has shape \(2, 0, 4\)"),
        (
            lambda: ops.scaled_dot_product_attention(query, key[:1], value),
            r"key has shape \(1, 5, 4\); expected \(2, 5, 4\)",
        ),
        (
            lambda: ops.scaled_dot_product_attention(query, value, value),
            r"key has shape \(2, 5, 6\); expected \(2, 5, 4\)",
        ),
        (
            lambda: ops.scaled_dot_product_attention(query, key, query),
            r"value has shape \(2, 3, 4\); expected \(2, 5, 4\)",
        ),
        (lambda: ops.scaled_dot_product_attention(query, key, array([[1]], "float32")), "value has dtype float32"),
        (lambda: ops.scaled_dot_product_attention(array([[1]], "int64"), key, value), "query has dtype int64"),
        (lambda: ops.scaled_dot_product_attention(query, key, value, scale="1"), "scale is '1'; expected a finite"),
        (
            lambda: ops.scaled_dot_product_attention_backward(query, query, key, value),
            r"grad_output has shape \(2, 3, 4\); expected \(2, 3, 6\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@both
def test_bad_masks_are_named(backend):
    ops, array = backend.ops, backend.array
    query, key, value = array(np.ones((2, 3, 4))), array(np.ones((2, 5, 4))), array(np.ones((2, 5, 6)))
    for call, message in (
        (
            lambda: ops.scaled_dot_product_attention(
                query, key, value, is_causal=True, attn_mask=array([True], "bool")
            ),
            "attn_mask is given beside is_causal=True; expected one of the two",
        ),
        (lambda: ops.scaled_dot_product_attention(query, key, value, attn_mask=[[True]]), "attn_mask is a list"),
        (
            lambda: ops.scaled_dot_product_attention(query, key, value, attn_mask=array([1], "int64")),
            "attn_mask has dtype int64",
        ),
        (
            lambda: ops.scaled_dot_product_attention(query, key, value, attn_mask=array(np.ones((3, 4)))),
            r"attn_mask has shape \(3, 4\); expected one that broadcasts to \(2, 3, 5\)",
        ),
        (
            lambda: ops.scaled_dot_product_attention(query, key, value, attn_mask=array(np.ones((1, 2, 3, 5)))),
            r"attn_mask has shape \(1, 2, 3, 5\); expected",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@both
def test_bad_heads_are_named(backend):
    x, key = backend.array(np.ones((2, 3, 4))), backend.array(np.ones((2, 5, 4)))
    into, bias = backend.array(np.ones((12, 4))), backend.array(np.ones(12))
    out, out_bias = backend.array(np.ones((4, 4))), backend.array(np.ones(4))

    def call(query=x, key=key, value=key, into=into, bias=bias, out=out, out_bias=out_bias, num_heads=2, **options):
        return backend.ops.multi_head_attention(
            query, key, value, into, bias, out, out_bias, num_heads=num_heads, **options
        )

    for changed, message in (
        ({"query": x[0]}, r"query has shape \(3, 4\); expected 3 axes \(N, L, E\)"),
        ({"key": x}, r"value has shape \(2, 5, 4\); expected \(2, 3, 4\)"),
        ({"key": key[:1]}, r"key has shape \(1, 5, 4\); expected \(2, 5, 4\)"),
        ({"into": out}, r"in_proj_weight has shape \(4, 4\); expected \(12, 4\)"),
        ({"into": None}, "in_proj_weight is a builtins.NoneType"),
        ({"bias": out_bias}, r"in_proj_bias has shape \(4,\); expected \(12,\)"),
        ({"out": into}, r"out_proj_weight has shape \(12, 4\); expected \(4, 4\)"),
        ({"out_bias": backend.array(np.ones(4), "float32")}, "out_proj_bias has dtype float32; expected float64"),
        ({"num_heads": 3}, "num_heads is 3; expected a divisor of the 4 features of query"),
        ({"num_heads": 0}, "num_heads is 0; expected an integer of at least 1"),
        ({"attn_mask": out}, r"attn_mask has shape \(4, 4\); expected one that broadcasts to \(2, 2, 3, 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call(**changed)
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 5, 4\); expected \(2, 3, 4\)"):
        backend.ops.multi_head_attention_backward(key, x, key, key, into, bias, out, num_heads=2)


@both
def test_a_mask_of_keys_alone_serves_every_query_and_head(backend):
    rng = np.random.default_rng(0)
    x, into, out = (backend.array(rng.normal(size=shape)) for shape in ((2, 3, 4), (12, 4), (4, 4)))
    keys = backend.array([True, False, True], "bool")
    arguments = (x, x, x, into, None, out)
    for mask in (keys, backend.array(True, "bool")):
        whole = backend.array(np.broadcast_to(np.asarray(mask), (2, 2, 3, 3)), "bool")
        y, expected = (
            backend.ops.multi_head_attention(*arguments, None, num_heads=2, attn_mask=m) for m in (mask, whole)
        )
        assert_close(y, expected)
        grads, same = (
            backend.ops.multi_head_attention_backward(x, *arguments, num_heads=2, attn_mask=m) for m in (mask, whole)
        )
        for grad, other in zip(grads, same, strict=True):
            assert_close(grad, other)
