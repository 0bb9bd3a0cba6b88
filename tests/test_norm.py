"""Normalisation by hand and by finite differences, where it breaks down, and what it refuses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients

NAMES = ("batch_norm", "layer_norm", "group_norm", "instance_norm")
ARGUMENTS = {
    "batch_norm": {"running_mean": None, "running_var": None, "training": True},
    "layer_norm": {"normalized_shape": (4, 3)},
    "group_norm": {"num_groups": 2},
    "instance_norm": {},
}
THEIRS = {
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer_norm": lambda x: F.layer_norm(x, (4, 3)),
    "group_norm": lambda x: F.group_norm(x, 2),
    "instance_norm": F.instance_norm,
}


def forward(ops, name, x):
    """Return y of x (N, 4, 3)."""
    y = getattr(ops, name)(x, **ARGUMENTS[name])
    return y[0] if isinstance(y, tuple) else y


def backward(ops, name, grad_output, x):
    return getattr(ops, f"{name}_backward")(grad_output, x, **ARGUMENTS[name])


@both
def test_the_batch_is_divided_by_the_biased_variance_and_remembers_the_unbiased_one(backend):
    x = backend.array([[1, 0], [5, 0]])  # biased variance 4, unbiased 8
    mean, var = backend.array([1, 1]), backend.array([10, 10])
    y, new_mean, new_var = backend.ops.batch_norm(x, mean, var, training=True, momentum=0.25, eps=5)
    assert_close(y, backend.array([[-2 / 3, 0], [2 / 3, 0]]))
    assert_close(new_mean, backend.array([0.75 * 1 + 0.25 * 3, 0.75]))
    assert_close(new_var, backend.array([0.75 * 10 + 0.25 * 8, 7.5]))
    assert_close(mean, backend.array([1, 1]), rtol=0)  # nothing is changed in place
    assert_close(var, backend.array([10, 10]), rtol=0)


@both
def test_in_use_the_past_normalises(backend):
    x, mean, var = backend.array([[[1, 3]]]), backend.array([1]), backend.array([3])
    weight, bias = backend.array([4]), backend.array([5])
    y, same_mean, same_var = backend.ops.batch_norm(x, mean, var, weight, bias, eps=1)
    assert_close(y, backend.array([[[5, 9]]]), rtol=0)
    assert same_mean is mean
    assert same_var is var
    grads = backend.ops.batch_norm_backward(backend.array([[[1, 10]]]), x, mean, var, weight, eps=1)
    for grad, expected in zip(grads, ([[[2, 20]]], [10], [11]), strict=True):
        assert_close(grad, backend.array(expected), rtol=0)


@both
def test_without_running_statistics_there_are_none(backend):
    _, mean, var = backend.ops.batch_norm(backend.array([[1], [2]]), None, None, training=True)
    assert mean is None
    assert var is None


@both
def test_groups_of_all_channels_and_of_one(backend):
    x = backend.array(np.random.default_rng(0).normal(size=(2, 4, 3)))
    assert_close(backend.ops.group_norm(x, 1), backend.ops.layer_norm(x, [4, 3]))
    assert_close(backend.ops.group_norm(x, 4), backend.ops.instance_norm(x))
    one_value = backend.ops.group_norm(backend.array([[1, 2]]), 2, None, backend.array([5, -0.5]))
    assert_close(one_value, backend.array([[5, -0.5]]), rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_gradients_are_those_of_finite_differences(name, eps):
    generator = np.random.default_rng(0)
    x, grad_output = generator.normal(size=(2, 2, 4, 3))
    shape = (4, 3) if name == "layer_norm" else (4,)
    weight, bias = generator.normal(size=(2, *shape))
    options = ARGUMENTS[name] | {"eps": eps}

    def y(x, weight, bias):
        found = getattr(ops_numpy, name)(x, weight=weight, bias=bias, **options)
        return found[0] if isinstance(found, tuple) else found

    grads = getattr(ops_numpy, f"{name}_backward")(grad_output, x, weight=weight, **options)
    check_gradients(y, grads, (x, weight, bias), grad_output)


def test_gradients_in_use_are_those_of_finite_differences():
    generator = np.random.default_rng(0)
    x, grad_output = generator.normal(size=(2, 2, 4, 3))
    weight, bias, mean, var = generator.uniform(0.5, 1, (4, 4))
    grads = ops_numpy.batch_norm_backward(grad_output, x, mean, var, weight)
    check_gradients(lambda *a: ops_numpy.batch_norm(a[0], mean, var, *a[1:])[0], grads, (x, weight, bias), grad_output)


def as_in_torch(backend, name, x, grad_output):
    """Hold y and grad_x to torch and its autograd."""
    leaf = torch.tensor(x, requires_grad=True)
    expected = THEIRS[name](leaf)
    assert_close(forward(backend.ops, name, backend.array(x)), expected.detach())
    (grad_x,) = torch.autograd.grad(expected, leaf, torch.tensor(grad_output))
    assert_close(backward(backend.ops, name, backend.array(grad_output), backend.array(x))[0], grad_x)


@both
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_as_in_torch(backend, name, value):
    x, grad_output = np.random.default_rng(0).normal(size=(2, 2, 4, 3))
    x[0, 1, 2] = value
    as_in_torch(backend, name, x, grad_output)
    as_in_torch(backend, name, grad_output, x)  # in the upstream gradient alone


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
def test_in_use_only_the_value_itself_suffers(backend, value):
    x, mean, var = backend.array([[value, 1], [2, 3]]), backend.array([0, 0]), backend.array([1, 1])
    y, _, _ = backend.ops.batch_norm(x, mean, var, eps=0)
    assert_close(y, x, rtol=0)
    grad_x, _, _ = backend.ops.batch_norm_backward(x, backend.array([[0, 0], [0, 0]]), mean, var, eps=0)
    assert_close(grad_x, x, rtol=0)


@both
@pytest.mark.parametrize("name", NAMES)
def test_a_constant_has_no_variance(backend, name):
    x = np.full((2, 4, 3), 7.0)
    assert_close(forward(backend.ops, name, backend.array(x)), backend.array(0 * x), rtol=0)
    as_in_torch(backend, name, x, np.random.default_rng(0).normal(size=x.shape))
    as_in_torch(backend, name, 1e4 * x * (-1.0) ** np.arange(3), np.random.default_rng(0).normal(size=x.shape))


@both
@pytest.mark.parametrize("name", NAMES)
def test_a_large_mean_costs_float32_no_more_than_torch(backend, name):
    x, grad_output = np.random.default_rng(0).normal(size=(2, 256, 4, 3)).astype("float32")
    x += np.float32(1e4)
    exact = (
        forward(ops_numpy, name, x.astype(float)),
        backward(ops_numpy, name, grad_output.astype(float), x.astype(float))[0],
    )
    y = forward(backend.ops, name, backend.array(x, "float32"))
    grad_x = backward(backend.ops, name, backend.array(grad_output, "float32"), backend.array(x, "float32"))[0]
    theirs = float(abs(THEIRS[name](torch.tensor(x)).numpy() - exact[0]).max())
    assert float(abs(np.asarray(y) - exact[0]).max()) <= (theirs if backend.name == "torch" else theirs / 50)
    assert_close(np.asarray(grad_x, float), exact[1], rtol=2e-6)


@both
def test_the_mean_of_many_float32_is_as_near_as_float32_can_be(backend):
    x = (np.random.default_rng(0).normal(size=(4096, 2, 3)) + 1e4).astype("float32")
    zeros, ones = backend.array([0, 0], "float32"), backend.array([1, 1], "float32")
    _, mean, _ = backend.ops.batch_norm(backend.array(x, "float32"), zeros, ones, training=True, momentum=1.0)
    gap = abs(np.asarray(mean, float) - x.astype(float).mean((0, 2)))
    assert float(gap.max()) <= np.spacing(np.float32(1e4)) * 0.51


@both
def test_options_of_numpy_keep_float32(backend):
    x, ones = backend.array([[1], [2]], "float32"), backend.array([1], "float32")
    options = {"momentum": np.float64(0.1), "eps": np.float64(1e-5)}
    for value in backend.ops.batch_norm(x, ones, ones, ones, ones, training=True, **options):
        assert_close(value, value + backend.array(0, "float32"))
        assert str(value.dtype).endswith("float32")


@both
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_works(backend, name):
    x = backend.array(np.ones((0, 4, 3)))
    assert_close(forward(backend.ops, name, x), x)
    grad_x, *others = backward(backend.ops, name, x, x)
    assert_close(grad_x, x)
    for grad in others:
        assert_close(grad, backend.array(np.zeros((4, 3) if name == "layer_norm" else 4)))
    mean, var = backend.array([1.0] * 4), backend.array([2.0] * 4)
    for training in (True, False):
        _, *running = backend.ops.batch_norm(x, mean, var, training=training)
        for new, old in zip(running, (mean, var), strict=True):
            assert_close(new, old)


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    x, ones = array(np.ones((2, 4, 3))), array(np.ones(4))
    for call, message in (
        (lambda: ops.batch_norm(array([1]), None, None, training=True), r"x has shape \(1,\); expected \(N, C, …\)"),
        (lambda: ops.batch_norm(array(np.ones((2, 3, 0))), ones, ones), r"x has shape \(2, 3, 0\); expected"),
        (
            lambda: ops.batch_norm(array([[1, 2]]), None, None, training=True),
            "expected more than one value per channel",
        ),
        (lambda: ops.batch_norm(x, None, None), "running_mean is None; expected running statistics unless training"),
        (lambda: ops.batch_norm(x, ones, None), "running_var is None beside a running_mean"),
        (lambda: ops.batch_norm(x, None, ones, training=True), "running_mean is None beside a running_var"),
        (lambda: ops.batch_norm(x, ones[:3], ones), r"running_mean has shape \(3,\); expected \(4,\)"),
        (lambda: ops.batch_norm(x, ones, array(np.ones(4), "float32")), "running_var has dtype float32"),
        (lambda: ops.batch_norm(x, ones, ones, ones[:1]), r"weight has shape \(1,\); expected \(4,\)"),
        (lambda: ops.batch_norm(x, ones, ones, training=True, eps=0), "eps is 0; expected a positive number"),
        (lambda: ops.batch_norm(x, ones, ones, eps=-1e-5), "eps is -1e-05; expected a number of at least 0"),
        (lambda: ops.batch_norm(x, ones, ones, momentum=None), "momentum is None; expected a finite number"),
        (lambda: ops.batch_norm(array(np.ones((2, 4)), "float16"), ones, ones), "x has dtype float16"),
        (lambda: ops.batch_norm_backward(ones, x, ones, ones), r"grad_output has shape \(4,\); expected \(2, 4, 3\)"),
        (lambda: ops.layer_norm(x, (2, 3)), r"normalized_shape is \(2, 3\); expected the last sizes of x, which"),
        (lambda: ops.layer_norm(x, ()), r"normalized_shape is \(\); expected the last sizes"),
        (lambda: ops.layer_norm(x, 3.0), r"normalized_shape is 3\.0; expected an integer"),
        (lambda: ops.layer_norm(x, 3, None, ones), r"bias has shape \(4,\); expected \(3,\)"),
        (lambda: ops.layer_norm(array([1], "int64"), 1), "x has dtype int64"),
        (lambda: ops.group_norm(x, 3), "num_groups is 3; expected a divisor of the 4 channels"),
        (lambda: ops.group_norm(x, 2, ones, eps="small"), "eps is 'small'; expected a finite number"),
        (lambda: ops.instance_norm(array(np.ones((2, 4, 1)))), "expected more than one value per channel and image"),
        (lambda: ops.instance_norm(array(np.ones((2, 4)))), r"x has shape \(2, 4\); expected \(N, C, L, …\)"),
        (lambda: ops.instance_norm_backward(x, x, ones[:2]), r"weight has shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@both
def test_the_running_mean_of_an_infinite_batch_is_infinite(backend):
    x = backend.array([[np.inf], [1.0]])
    _, mean, var = backend.ops.batch_norm(x, backend.array([0.0]), backend.array([1.0]), training=True)
    assert mean.tolist() == [np.inf]
    assert np.isnan(var[0].item())


@both
def test_instances_of_an_empty_batch(backend):
    x, weight = backend.array(np.zeros((0, 3, 5))), backend.array(np.ones(3))
    assert tuple(backend.ops.instance_norm(x, weight, weight).shape) == (0, 3, 5)
    assert tuple(backend.ops.instance_norm(x).shape) == (0, 3, 5)


@both
@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_gradients_of_float32_at_any_scale(backend, scale):
    x, grad_output = np.random.default_rng(0).normal(size=(2, 4, 8))
    precise = ops_numpy.layer_norm_backward(grad_output, scale * x, 8, eps=0.0)[0]
    single = (backend.array(a, "float32") for a in (grad_output, scale * x))
    assert_close(backend.ops.layer_norm_backward(*single, 8, eps=0.0)[0], precise.astype("float32"), rtol=1e-5)
