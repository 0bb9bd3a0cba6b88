"""Losses of numbers and of bits: by hand, at extremes, held to torch at infinity and NaN, refusals."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients

INF, NAN = np.inf, np.nan
BINARY = "binary_cross_entropy_with_logits"


def hold_to_torch(backend, name, values, targets, **options):
    """Compare a loss and both its gradients with torch's."""
    first, second = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (values, targets))
    theirs = {k: torch.tensor(v, dtype=torch.float64) if isinstance(v, list) else v for k, v in options.items()}
    ours = {k: backend.array(v) if isinstance(v, list) else v for k, v in options.items()}
    loss = getattr(F, name)(first, second, **theirs)
    assert_close(getattr(backend.ops, name)(backend.array(values), backend.array(targets), **ours), loss.detach())
    expected = torch.autograd.grad(loss, (first, second), torch.full_like(loss, 3))
    upstream = backend.array(np.full(tuple(loss.shape), 3))
    backward = getattr(backend.ops, f"{name}_backward")
    grads = backward(upstream, backend.array(values), backend.array(targets), **ours)
    for grad, of_torch in zip(grads, expected, strict=True):
        assert_close(grad, of_torch)


@both
def test_the_squared_error_by_hand(backend):
    x, target, weight = (backend.array(v) for v in ([1, 2, -1], [0, 5, -1], [1, 3, 4]))
    for options, loss, slopes in (
        ({}, 10 / 3, [2 / 3, -2, 0]),
        ({"reduction": "sum"}, 10, [2, -6, 0]),
        ({"reduction": "sum", "weight": weight}, 28, [2, -18, 0]),
        ({"weight": weight}, 3.5, [1 / 4, -9 / 4, 0]),  # the mean divides by the sum of the weights
        ({"reduction": "none", "weight": weight}, [1, 27, 0], [2, -18, 0]),
    ):
        assert_close(backend.ops.mse_loss(x, target, **options), backend.array(loss))
        upstream = backend.array(np.ones(np.shape(loss)))
        grad_x, grad_target = backend.ops.mse_loss_backward(upstream, x, target, **options)
        assert_close(grad_x, backend.array(slopes))
        assert_close(grad_target, backend.array(np.negative(slopes)))


@both
def test_the_loss_of_bits_by_hand(backend):
    logits, target = backend.array([0, np.log(3), 1e4, -1e4]), backend.array([1, 0, 0, 1])
    for options, losses, slopes in (
        ({}, [np.log(2), np.log(4), 1e4, 1e4], [-0.5, 0.75, 1, -1]),
        ({"pos_weight": backend.array(2.0)}, [2 * np.log(2), np.log(4), 1e4, 2e4], [-1, 0.75, 1, -2]),
        ({"weight": backend.array([1, 2, 0, 1])}, [np.log(2), 2 * np.log(4), 0, 1e4], [-0.5, 1.5, 0, -1]),
    ):
        loss = getattr(backend.ops, BINARY)(logits, target, reduction="none", **options)
        assert_close(loss, backend.array(losses))
        mean = getattr(backend.ops, BINARY)(logits, target, **options)  # over four, whatever they weigh
        assert_close(mean, backend.array(np.mean(losses)))
        grad_logits, _ = getattr(backend.ops, f"{BINARY}_backward")(4.0, logits, target, **options)
        assert_close(grad_logits, backend.array(slopes))


@both
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_infinity_and_nan_are_as_in_torch(backend, reduction):
    x, target = [INF, NAN, 1, -0.0, 1e200, INF], [INF, 1, INF, 0.0, 0, -INF]
    hold_to_torch(backend, "mse_loss", x, target, reduction=reduction)
    hold_to_torch(backend, "mse_loss", x, target, reduction=reduction, weight=[0, 1, 2, 0, 1, 0])
    logits = [-INF, -1e4, -1, -0.0, 0, 1, 1e4, INF, NAN]
    for t in (0, 0.3, 1, NAN):
        for options in ({}, {"pos_weight": [2.0]}, {"pos_weight": [0.0]}, {"weight": [0.0]}):
            hold_to_torch(backend, BINARY, logits, [t] * len(logits), reduction=reduction, **options)


def test_gradients_are_those_of_finite_differences():
    generator = np.random.default_rng(0)
    x, target = generator.normal(size=(4, 3)), generator.uniform(size=(4, 3))
    weight, pos_weight = generator.uniform(0.5, 2, (4, 3)), generator.uniform(0.5, 2, 3)
    for name, options in (
        ("mse_loss", {}),
        ("mse_loss", {"weight": weight}),
        (BINARY, {}),
        (BINARY, {"weight": weight, "pos_weight": pos_weight}),
    ):
        forward, backward = (getattr(ops_numpy, n) for n in (name, f"{name}_backward"))
        grads = backward(1.0, x, target, **options)
        check_gradients(lambda *a, f=forward, o=options: f(*a, **o), grads, [x, target], np.ones(()))


@both
@pytest.mark.parametrize("name", ["mse_loss", BINARY])
def test_float32_and_nothing_at_all(backend, name):
    forward, backward = (getattr(backend.ops, n) for n in (name, f"{name}_backward"))
    for shape in ((), (2,), (0, 3)):
        x = backend.array(np.ones(shape), "float32")
        for reduction in ("mean", "sum", "none"):
            loss = forward(x, x, reduction=reduction)
            grads = backward(loss, x, x, reduction=reduction)
            assert all(type(result) is type(x) and result.dtype == x.dtype for result in (loss, *grads))
            assert all(tuple(grad.shape) == shape for grad in grads)
    assert np.isnan(float(forward(x, x)))  # the mean over nothing
    assert float(forward(x, x, reduction="sum")) == 0


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    x, single = array([1, 2]), array([1, 2], "float32")
    binary, binary_backward = getattr(ops, BINARY), getattr(ops, f"{BINARY}_backward")
    for call, message in (
        (lambda: ops.mse_loss(array([1, 2], "int64"), x), "x has dtype int64"),
        (lambda: ops.mse_loss(x, x[:1]), r"target has shape \(1,\); expected \(2,\)"),
        (lambda: ops.mse_loss(x, single), "target has dtype float32; expected float64, that of x"),
        (lambda: ops.mse_loss(x, x, weight=x[:1]), r"weight has shape \(1,\); expected \(2,\)"),
        (lambda: ops.mse_loss(x, x, reduction="max"), "reduction is 'max'; expected one of"),
        (lambda: ops.mse_loss_backward(x, x, x), r"grad_output has shape \(2,\); expected \(\) for reduction 'mean'"),
        (lambda: binary(x, x[:1]), r"target has shape \(1,\); expected \(2,\)"),
        (lambda: binary(array([1, 2], "int64"), x), "logits has dtype int64"),
        (lambda: binary(x, x, weight=array([1, 2, 3])), r"weight has shape \(3,\); expected one that broadcasts to"),
        (lambda: binary(x, x, pos_weight=array([[1]])), r"pos_weight has shape \(1, 1\); expected one that broadcasts"),
        (lambda: binary(x, x, pos_weight=2.0), r"pos_weight is a builtins\.float"),
        (lambda: binary(x, x, pos_weight=single), "pos_weight has dtype float32; expected float64"),
        (lambda: binary(x, x, reduction=None), "reduction is None; expected one of"),
        (lambda: binary_backward(1.0, x, x, reduction="none"), r"grad_output has shape \(\); expected \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@both
def test_the_gradient_of_a_target_at_infinite_logits(backend):
    logits, target, half = backend.array([-np.inf, np.inf]), backend.array([0.0, 1.0]), backend.array(0.5)
    backward = getattr(backend.ops, f"{BINARY}_backward")
    _, grad_target = backward(1.0, logits, target, pos_weight=half, reduction="sum")
    assert grad_target.tolist() == [np.inf, -np.inf]
