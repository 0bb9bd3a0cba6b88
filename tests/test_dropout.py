"""Dropout by hand, held to torch's, and its refusals."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients


@both
def test_by_hand(backend):
    x, mask = backend.array([1, -2, 3, -0.0]), backend.array([True, False, True, True], "bool")
    for p, expected in ((0.75, [4, -0.0, 12, -0.0]), (0, [1, -0.0, 3, -0.0]), (1, [0, -0.0, 0, -0.0])):
        for result in (backend.ops.dropout(x, mask, p=p), backend.ops.dropout_backward(x, mask, p=p)):
            assert_close(result, backend.array(expected), rtol=0)
            assert (np.signbit(np.asarray(result)) == np.signbit(expected)).all()


@both
def test_what_is_not_finite_is_multiplied_by_0_as_in_torch(backend):
    values = [np.nan, np.inf, -np.inf, 1, np.nan, np.inf, -np.inf, 1]
    torch.manual_seed(0)
    mask = F.dropout(torch.ones(8, dtype=torch.float64), 0.4) != 0
    assert mask[:4].any()
    assert not mask[:4].all()
    for p in (0.4, 1.0):
        torch.manual_seed(0)
        of_torch = F.dropout(torch.tensor(values, dtype=torch.float64), p)
        kept = backend.array(np.asarray(mask) & (p < 1), "bool")
        assert_close(backend.ops.dropout(backend.array(values), kept, p=p), of_torch)
        assert_close(backend.ops.dropout_backward(backend.array(values), kept, p=p), of_torch)


@both
def test_the_mean_over_masks_is_x(backend):
    mask = backend.array(np.random.default_rng(0).random((100_000, 2)) >= 0.3, "bool")
    y = backend.ops.dropout(backend.array(np.broadcast_to([1.0, -5.0], (100_000, 2))), mask, p=0.3)
    assert_close(np.asarray(y).mean(axis=0), np.array([1.0, -5.0]), rtol=0.01)


def test_the_gradient_is_that_of_finite_differences():
    generator = np.random.default_rng(0)
    x, grad_output, mask = generator.normal(size=(3, 4)), generator.normal(size=(3, 4)), generator.random((3, 4)) > 0.5
    grad_x = ops_numpy.dropout_backward(grad_output, mask, p=0.5)
    check_gradients(lambda x: ops_numpy.dropout(x, mask, p=0.5), [grad_x], [x], grad_output)


@both
def test_float32_an_empty_batch_and_a_single_number(backend):
    for shape in ((), (0, 3), (2,)):
        x, mask = backend.array(np.ones(shape), "float32"), backend.array(np.ones(shape), "bool")
        for result in (backend.ops.dropout(x, mask, p=0.5), backend.ops.dropout_backward(x, mask, p=0.5)):
            assert type(result) is type(x)
            assert_close(result, np.full(shape, 2, "float32"), rtol=0)


@both
def test_bad_input_is_named(backend):
    ops, x, mask = backend.ops, backend.array([1, 2]), backend.array([True, False], "bool")
    for call, message in (
        (lambda: ops.dropout(backend.array([1, 2], "int64"), mask, p=0.5), "x has dtype int64"),
        (lambda: ops.dropout(x, x, p=0.5), r"mask is float64 \(2,\); expected booleans of shape \(2,\), that of x"),
        (lambda: ops.dropout(x, mask[:1], p=0.5), r"mask is bool \(1,\); expected booleans of shape \(2,\)"),
        (lambda: ops.dropout(x, [True, False], p=0.5), "mask is list; expected booleans"),
        (lambda: ops.dropout(x, mask, p=1.5), "p is 1.5; expected a number from 0 to 1"),
        (lambda: ops.dropout(x, mask, p=np.nan), "p is nan; expected a number from 0 to 1"),
        (lambda: ops.dropout_backward(x, mask, p="half"), "p is 'half'; expected a number from 0 to 1"),
        (lambda: ops.dropout_backward(x, mask[:1], p=0.5), "expected booleans of shape .*, that of grad_output"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
