"""Softmax and its logarithm by hand, at extremes and infinities, held to torch; finite differences; refusals."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both
from twins import backward_of

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients

INF, NAN = np.inf, np.nan
ROWS = ((1, -INF), (-INF, -INF), (INF, 0), (NAN, 0), (1e4, -1e4), (0, 0))
WORKED = (
    ("softmax", ((1, 0), (NAN, NAN), (NAN, NAN), (NAN, NAN), (1, 0), (0.5, 0.5))),
    ("log_softmax", ((0, -INF), (NAN, NAN), (NAN, NAN), (NAN, NAN), (0, -2e4), (-np.log(2), -np.log(2)))),
)
names = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


@both
@pytest.mark.parametrize(("name", "values"), WORKED)
@pytest.mark.parametrize("dim", [1, -1, 0])
def test_worked_values(backend, name, values, dim):
    turn = np.transpose if dim == 0 else np.array
    x, grad_output = backend.array(turn(ROWS)), backend.array(turn(((1, 2),) * len(ROWS)))
    y = getattr(backend.ops, name)(x, dim=dim)
    assert_close(y, turn(np.array(values, float)))
    (grad_x,) = backward_of(backend.ops, name, {"y": y, "grad_output": grad_output, "dim": dim})
    torchs = torch.tensor(np.asarray(x), requires_grad=True)
    of_torch = getattr(F, name)(torchs, dim=dim)
    assert_close(y, of_torch.detach())
    assert_close(grad_x, torch.autograd.grad(of_torch, torchs, torch.tensor(np.asarray(grad_output)))[0])


@both
def test_softmax_and_its_logarithm_agree_and_are_distributions(backend):
    for dtype, rtol in (("float64", 1e-12), ("float32", 1e-6)):
        x = backend.array(np.random.default_rng(0).normal(scale=5, size=(3, 4, 5)), dtype)
        y = np.asarray(backend.ops.softmax(x, dim=1))
        assert_close(y, np.exp(np.asarray(backend.ops.log_softmax(x, dim=1))), rtol=rtol)
        assert_close(y.sum(axis=1), np.ones((3, 5), dtype), rtol=rtol)


@names
def test_gradients_are_those_of_finite_differences(name):
    generator = np.random.default_rng(0)
    x, grad_output = generator.normal(size=(2, 3, 4)), generator.normal(size=(2, 3, 4))
    for dim in (0, 1, 2):
        y = getattr(ops_numpy, name)(x, dim=dim)
        grads = backward_of(ops_numpy, name, {"y": y, "grad_output": grad_output, "dim": dim})
        check_gradients(lambda x, dim=dim: getattr(ops_numpy, name)(x, dim=dim), grads, [x], grad_output)


@both
@names
def test_an_empty_batch_and_a_single_number(backend, name):
    forward, backward = (getattr(backend.ops, n) for n in (name, f"{name}_backward"))
    for shape, dim in (((0, 3), 1), ((), 0), ((), -1)):
        x = backend.array(np.ones(shape), "float32")
        y = forward(x, dim=dim)
        assert_close(y, np.full(shape, name == "softmax", "float32"), rtol=0)
        grad_x = backward(x, y, dim=dim)
        assert type(y) is type(grad_x) is type(x)
        assert_close(grad_x, np.zeros(shape, "float32"), rtol=0)


@both
@names
def test_bad_input_is_named(backend, name):
    forward, backward = (getattr(backend.ops, n) for n in (name, f"{name}_backward"))
    x = backend.array(np.ones((2, 3)))
    for call, message in (
        (lambda: forward(backend.array([1], "int64"), dim=0), "x has dtype int64"),
        (lambda: forward(x, dim=2), r"dim is 2; expected at most 1, the last axis of x \(2, 3\)"),
        (lambda: forward(x, dim=-3), "dim is -3; expected an integer of at least -2"),
        (lambda: forward(x, dim=None), "dim is None; expected an integer"),
        (lambda: forward(x[:, :0], dim=1), r"x has shape \(2, 0\); expected axis 1 not to be empty"),
        (lambda: backward(x, x, dim=2), r"dim is 2; expected at most 1, the last axis of y \(2, 3\)"),
        (lambda: backward(x[0], x, dim=1), r"grad_output has shape \(3,\); expected \(2, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
