"""Activations by hand: at kinks, at −0, NaN and infinity, held to torch; finite differences; refusals."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both
from twins import backward_of

from cnnlib import nn_torch, ops_numpy
from cnnlib.testing import assert_close, check_gradients

E, INF, NAN = math.exp(-1), math.inf, math.nan
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
PHI, DENSITY = (1 + math.erf(math.sqrt(0.5))) / 2, math.exp(-0.5) / math.sqrt(2 * math.pi)  # at 1
SIGMOID, TANH, SOFTPLUS = 1 / (1 + E), math.tanh(1), math.log1p(E)
AT = (-INF, -1e4, -1, -0.0, 0.0, 1, 1e4, INF, NAN)

# (name, options, its values at AT, its slopes there)
WORKED = (
    ("relu", {}, (0, 0, 0, -0.0, 0, 1, 1e4, INF, NAN), (0, 0, 0, 0, 0, 1, 1, 1, 1)),
    (
        "leaky_relu",
        {"negative_slope": 0.5},
        (-INF, -5e3, -0.5, -0.0, 0, 1, 1e4, INF, NAN),
        (0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, 0.5),
    ),
    (
        "leaky_relu",
        {"negative_slope": 0},
        (NAN, -0.0, -0.0, -0.0, 0, 1, 1e4, INF, NAN),
        (0, 0, 0, 0, 0, 1, 1, 1, 0),
    ),
    ("elu", {}, (-1, -1, E - 1, -0.0, 0, 1, 1e4, INF, NAN), (0, 0, E, 1, 1, 1, 1, 1, NAN)),
    ("elu", {"alpha": -2}, (2, 2, 2 - 2 * E, -0.0, 0, 1, 1e4, INF, NAN), (-0.0, -0.0, -2 * E, -2, -2, 1, 1, 1, NAN)),
    (
        "selu",
        {},
        (-SCALE * ALPHA, -SCALE * ALPHA, SCALE * ALPHA * (E - 1), -0.0, 0, SCALE, 1e4 * SCALE, INF, NAN),
        (0, 0, SCALE * ALPHA * E, SCALE * ALPHA, SCALE * ALPHA, SCALE, SCALE, SCALE, NAN),
    ),
    (
        "gelu",
        {},
        (NAN, -0.0, PHI - 1, -0.0, 0, PHI, 1e4, INF, NAN),
        (NAN, 0, 1 - PHI - DENSITY, 0.5, 0.5, PHI + DENSITY, 1, NAN, NAN),
    ),
    ("gelu", {"approximate": "tanh"}, None, None),  # torch is the definition
    (
        "sigmoid",
        {},
        (0, 0, 1 - SIGMOID, 0.5, 0.5, SIGMOID, 1, 1, NAN),
        (0, 0, SIGMOID * (1 - SIGMOID), 0.25, 0.25, SIGMOID * (1 - SIGMOID), 0, 0, NAN),
    ),
    ("tanh", {}, (-1, -1, -TANH, -0.0, 0, TANH, 1, 1, NAN), (0, 0, 1 - TANH**2, 1, 1, 1 - TANH**2, 0, 0, NAN)),
    (
        "softplus",
        {},
        (0, 0, SOFTPLUS, math.log(2), math.log(2), 1 + SOFTPLUS, 1e4, INF, NAN),
        (0, 0, 1 - SIGMOID, 0.5, 0.5, SIGMOID, 1, 1, NAN),
    ),
    (
        "softplus",
        {"beta": 2, "threshold": -3},
        (0, 0, -1, -0.0, 0, 1, 1e4, INF, NAN),
        (0, 0, 1, 1, 1, 1, 1, 1, NAN),
    ),
)
worked = pytest.mark.parametrize(
    ("name", "options", "values", "slopes"), WORKED, ids=[f"{name}{options}" for name, options, *_ in WORKED]
)


def assert_same(actual, expected):
    """Compare every element relative to itself, and the signs of zeros."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=0)
    real = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual)[real], np.signbit(expected)[real])


@both
@worked
@pytest.mark.parametrize("repeats", [1, 5])  # long vectors take another way through the processor
def test_worked_values(backend, name, options, values, slopes, repeats):
    x, grad_output = backend.array(AT * repeats), backend.array((2,) * len(AT) * repeats)
    y = getattr(backend.ops, name)(x, **options)
    available = {"x": x, "y": y, "grad_output": grad_output, **options}
    (grad_x,) = backward_of(backend.ops, name, available)
    if values is not None:
        assert_same(y, values * repeats)
        assert_same(grad_x, np.multiply(2, slopes * repeats))
    torchs = torch.tensor(AT * repeats, dtype=torch.float64, requires_grad=True)
    reference = getattr(F, name, None) or getattr(torch, name)
    of_torch = reference(torchs, **options)
    assert_same(y, of_torch.detach())
    grad_of_torch = torch.autograd.grad(of_torch, torchs, torch.full_like(of_torch, 2))[0]
    if name in ("elu", "selu"):  # at NaN, torch answers differently inside a vector and at its end
        grad_of_torch[torchs.isnan()] = torch.nan
    assert_same(grad_x, grad_of_torch)


@both
@worked
def test_float32_stays_float32_and_is_finite(backend, name, options, values, slopes):
    x = backend.array([-1e4, -90, 0, 90, 1e4], "float32")
    y = getattr(backend.ops, name)(x, **options)
    (grad_x,) = backward_of(backend.ops, name, {"x": x, "y": y, "grad_output": x, **options})
    for result in (y, grad_x):
        assert_close(np.asarray(result) * 0, np.zeros(5, "float32"), rtol=0)
    for shape in ((), (0, 3)):
        empty = backend.array(np.zeros(shape), "float32")
        y = getattr(backend.ops, name)(empty, **options)
        (grad_x,) = backward_of(backend.ops, name, {"x": empty, "y": y, "grad_output": y, **options})
        assert type(y) is type(grad_x) is type(empty)
        assert tuple(y.shape) == tuple(grad_x.shape) == shape


@worked
def test_gradients_are_those_of_finite_differences(name, options, values, slopes):
    x = np.concatenate([np.linspace(-6, -0.01, 20), np.linspace(0.01, 6, 20)])  # kinks lie at 0
    y = getattr(ops_numpy, name)(x, **options)
    grad_output = np.random.default_rng(0).normal(size=x.shape)
    grads = backward_of(ops_numpy, name, {"x": x, "y": y, "grad_output": grad_output, **options})
    if "threshold" in options:  # where softplus jumps
        grads, grad_output, x = (grads[0][abs(x + 1.5) > 0.2],), *(a[abs(x + 1.5) > 0.2] for a in (grad_output, x))
    check_gradients(lambda x: getattr(ops_numpy, name)(x, **options), grads, [x], grad_output)


def test_the_tail_of_gelu_does_not_cancel():
    x = np.array([-10.0, -20.0, -30.0])
    expected = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x]
    np.testing.assert_allclose(ops_numpy.gelu(x), expected, rtol=1e-12)
    assert (ops_numpy.gelu(x) < 0).all()


def test_softplus_needs_no_threshold():
    for beta in (0.5, 4.0):
        y = ops_numpy.softplus(np.array([-1e4, 1e4]), beta=beta, threshold=1e300)
        assert_close(y, np.array([0, 1e4]))


@both
def test_maxout_by_hand(backend):
    x = backend.array([[1, 5, 5, -0.0, 0, -1], [NAN, 9, NAN, -INF, -INF, -INF]])
    y = backend.ops.maxout(x, 3)
    assert_same(y, [[5, -0.0], [NAN, -INF]])  # equal zeros are a tie too, and the first wins
    grad_x = backend.ops.maxout_backward(backend.array([[2, 3], [4, 5]]), x, 3)
    assert_same(grad_x, [[0, 2, 0, 3, 0, 0], [4, 0, 0, 5, 0, 0]])
    assert_same(backend.ops.maxout(x, 1), x)
    torchs = torch.tensor(np.asarray(x), requires_grad=True)
    of_torch = torchs.unflatten(1, (2, 3)).max(dim=2).values
    upstream = torch.tensor([[2.0, 3], [4, 5]], dtype=torch.float64)
    assert_same(grad_x, torch.autograd.grad(of_torch, torchs, upstream)[0])


def test_the_gradient_of_maxout_is_that_of_finite_differences():
    generator = np.random.default_rng(0)
    x, grad_output = generator.normal(size=(2, 6, 3)), generator.normal(size=(2, 2, 3))
    grad_x = ops_numpy.maxout_backward(grad_output, x, 3)
    check_gradients(lambda x: ops_numpy.maxout(x, 3), [grad_x], [x], grad_output)


def test_gradcheck_passes():
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nn_torch.ReLUFunction.apply, x)


@both
@pytest.mark.parametrize("name", sorted({name for name, *_ in WORKED}))
def test_bad_arrays_are_named(backend, name):
    forward, backward = (getattr(backend.ops, n) for n in (name, f"{name}_backward"))
    kept = "y" if name in ("sigmoid", "tanh") else "x"
    with pytest.raises(ValueError, match="x has dtype int64"):
        forward(backend.array([1], "int64"))
    with pytest.raises(ValueError, match="x has dtype float16"):
        forward(backend.array([1], "float16"))
    with pytest.raises(ValueError, match=r"x is a builtins\.float"):
        forward(1.0)
    with pytest.raises(ValueError, match=r"grad_output has shape \(2,\); expected \(3,\)"):
        backward(backend.array([1, 1]), backend.array([1, 2, 3]))
    with pytest.raises(ValueError, match="grad_output has dtype float32; expected float64"):
        backward(backend.array([1, 1], "float32"), backend.array([1, 2]))
    with pytest.raises(ValueError, match=f"{kept} has dtype int32"):
        backward(backend.array([1, 1]), backend.array([1, 2], "int32"))


@both
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("leaky_relu", {"negative_slope": "0.1"}, "negative_slope is '0.1'; expected a finite number"),
        ("leaky_relu", {"negative_slope": True}, "negative_slope is True; expected a finite number"),
        ("elu", {"alpha": INF}, "alpha is inf; expected a finite number"),
        ("gelu", {"approximate": "erf"}, "approximate is 'erf'; expected one of 'none', 'tanh'"),
        ("softplus", {"beta": 0}, "beta is 0; expected any other number"),
        ("softplus", {"threshold": NAN}, "threshold is nan; expected a finite number"),
        ("maxout", {"pieces": 3}, "pieces is 3; expected a divisor of the 4 channels of x"),
        ("maxout", {"pieces": 0}, "pieces is 0; expected an integer of at least 1"),
        ("maxout", {"pieces": 2.0}, "pieces is 2.0; expected an integer"),
    ],
)
def test_bad_options_are_named(backend, name, options, message):
    x = backend.array(np.ones((2, 4)))
    with pytest.raises(ValueError, match=message):
        getattr(backend.ops, name)(x, **options)
    with pytest.raises(ValueError, match=message):
        getattr(backend.ops, f"{name}_backward")(x, x, **options)


@both
def test_bad_shapes_for_maxout_are_named(backend):
    ops, array = backend.ops, backend.array
    with pytest.raises(ValueError, match=r"x has shape \(4,\); expected \(N, C, …\)"):
        ops.maxout(array(np.ones(4)), 2)
    with pytest.raises(ValueError, match=r"x has shape \(2, 4, 0\); expected \(N, C, …\), no axis but N to be empty"):
        ops.maxout(array(np.ones((2, 4, 0))), 2)
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 4\); expected \(2, 2\)"):
        ops.maxout_backward(array(np.ones((2, 4))), array(np.ones((2, 4))), 2)
    assert tuple(ops.maxout(array(np.ones((0, 4))), 2).shape) == (0, 2)
    assert tuple(ops.maxout_backward(array(np.ones((0, 2))), array(np.ones((0, 4))), 2).shape) == (0, 4)
