"""The fully connected layer: by hand, at infinity and NaN, finite differences, gradcheck, refusals."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import nn_torch, ops_numpy
from cnnlib.testing import adjoint_gap, assert_close, check_gradients


@both
def test_by_hand(backend):
    x, weight, bias = backend.array([[1, 2], [3, 4]]), backend.array([[1, 10], [0, -1]]), backend.array([0, 100])
    assert_close(backend.ops.linear(x, weight, bias), backend.array([[21, 98], [43, 96]]), rtol=0)
    grads = backend.ops.linear_backward(backend.array([[1, 0], [0, 1]]), x, weight)
    for grad, expected in zip(grads, ([[1, 10], [0, -1]], [[1, 2], [3, 4]], [1, 1]), strict=True):
        assert_close(grad, backend.array(expected), rtol=0)


@both
def test_infinity_and_nan_are_as_in_torch(backend):
    x, weight = [[np.inf, 0], [np.nan, 1], [-0.0, -0.0]], [[0, 1], [1, np.inf], [-1, 0]]
    bias, upstream = [0, -np.inf, 1], [[1, 0, 0], [np.inf, 0, -1], [0, 0, np.nan]]
    theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, weight, bias)]
    y = F.linear(*theirs)
    x, weight, bias, upstream = (backend.array(v) for v in (x, weight, bias, upstream))
    assert_close(backend.ops.linear(x, weight, bias), y.detach(), rtol=0)
    expected = torch.autograd.grad(y, theirs, torch.tensor(np.asarray(upstream)))
    for grad, of_torch in zip(backend.ops.linear_backward(upstream, x, weight), expected, strict=True):
        assert_close(grad, of_torch, rtol=0)


@both
def test_float32_an_empty_batch_and_a_single_row(backend):
    weight, bias = backend.array(np.ones((2, 3)), "float32"), backend.array(np.ones(2), "float32")
    for leading in ((), (0,), (4, 0)):
        x = backend.array(np.ones((*leading, 3)), "float32")
        y = backend.ops.linear(x, weight, bias)
        assert_close(y, np.full((*leading, 2), 4, "float32"), rtol=0)
        grad_x, grad_weight, _ = backend.ops.linear_backward(y, x, weight)
        assert_close(grad_x, np.full((*leading, 3), 8, "float32"), rtol=0)
        assert_close(grad_weight, np.full((2, 3), 0 if leading else 4, "float32"), rtol=0)


def test_gradients_are_those_of_finite_differences():
    x, weight, bias, grad_output = (np.random.default_rng(0).normal(size=s) for s in ((2, 3), (4, 3), (4,), (2, 4)))
    grads = ops_numpy.linear_backward(grad_output, x, weight)
    check_gradients(ops_numpy.linear, grads, [x, weight, bias], grad_output)


def test_the_backward_is_the_transpose():
    x, weight, grad_output = (np.random.default_rng(0).normal(size=s) for s in ((3, 5), (4, 5), (3, 4)))
    grad_x, grad_weight, _ = ops_numpy.linear_backward(grad_output, x, weight)
    y = ops_numpy.linear(x, weight)
    assert adjoint_gap(y, grad_output, x, grad_x) < 1e-12
    assert adjoint_gap(y, grad_output, weight, grad_weight) < 1e-12


def test_gradcheck_passes():
    generator = torch.Generator().manual_seed(0)
    values = [
        torch.randn(*s, dtype=torch.float64, generator=generator, requires_grad=True) for s in ((2, 3, 4), (5, 4), (5,))
    ]
    assert torch.autograd.gradcheck(nn_torch.LinearFunction.apply, values)


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    x, weight = array(np.ones((2, 3))), array(np.ones((4, 3)))
    for call, message in (
        (lambda: ops.linear(array(np.ones((2, 5))), weight), r"x has shape \(2, 5\); expected 3 in its last axis"),
        (lambda: ops.linear(array(1.0), weight), r"x has shape \(\); expected 3"),
        (lambda: ops.linear(x, array(np.ones(3))), r"weight has shape \(3,\); expected 2 axes"),
        (lambda: ops.linear(x, weight, array(np.ones(3))), r"bias has shape \(3,\); expected \(4,\)"),
        (lambda: ops.linear(x, array(np.ones((4, 3)), "float32")), "weight has dtype float32; expected float64"),
        (lambda: ops.linear_backward(x, x, weight), r"grad_output has shape \(2, 3\); expected \(2, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
