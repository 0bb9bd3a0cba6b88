"""Local response and contrast norm by hand and by finite differences, at their kinks, and what they refuse."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients


@both
def test_an_even_window_reaches_further_down(backend):
    x = backend.array([[[1], [2], [3], [4], [5]]])
    plain = {"beta": 1.0, "k": 0.0}
    sums = {3: (5, 14, 29, 50, 41), 4: (5, 14, 30, 54, 50), 1: (1, 4, 9, 16, 25), 20: (55,) * 5}
    for size, expected in sums.items():
        y = backend.ops.local_response_norm(x, size, alpha=size, **plain)
        assert_close(x / y, backend.array(np.reshape(expected, (1, 5, 1))))


@both
def test_the_constants_of_alexnet(backend):
    x = backend.array([[[100], [0], [200]]])
    y = backend.ops.local_response_norm(x, 5, alpha=5 * 1e-4, k=2.0)
    assert_close(y, x / (2 + 1e-4 * 50_000) ** 0.75)


@pytest.mark.parametrize(
    "options", [{"size": 3}, {"size": 2, "alpha": 1.0}, {"size": 4, "alpha": 2.0, "beta": 0.5, "k": 3}]
)
def test_gradients_of_a_response_are_those_of_finite_differences(options):
    x, grad_output = np.random.default_rng(0).normal(size=(2, 2, 5, 2))
    grad_x = ops_numpy.local_response_norm_backward(grad_output, x, **options)
    check_gradients(lambda x: ops_numpy.local_response_norm(x, **options), [grad_x], [x], grad_output)


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 1e4, -1e4])
@pytest.mark.parametrize("options", [{"size": 3}, {"size": 2, "k": 0.0}])
def test_a_response_to_what_is_not_finite_is_as_in_torch(backend, value, options):
    x, grad_output = np.random.default_rng(0).normal(size=(2, 1, 6, 2))
    x[0, 2, 1] = value
    leaf = torch.tensor(x, requires_grad=True)
    expected = F.local_response_norm(leaf, **options)
    y = backend.ops.local_response_norm(backend.array(x), **options)
    assert_close(y, expected.detach())
    assert np.array_equal(np.signbit(np.asarray(y)[0, 2]), np.signbit(expected.detach().numpy()[0, 2]))
    (grad_x,) = torch.autograd.grad(expected, leaf, torch.tensor(grad_output))
    assert_close(
        backend.ops.local_response_norm_backward(backend.array(grad_output), backend.array(x), **options), grad_x
    )


@both
def test_contrast_by_hand(backend):
    x = backend.array([[[[0, 2]], [[2, 0]]], [[[0, 8]], [[2, 2]]]])  # two channels; windows of one pixel
    y = backend.ops.local_contrast_norm(x, 1)
    # the second image: v = ∓1 and ±3, of deviation 1 and 3 and mean deviation 2
    assert_close(y, backend.array([[[[-1, 1]], [[1, -1]]], [[[-0.5, 1]], [[0.5, -1]]]]), rtol=0)


@both
def test_weights_at_the_border_sum_to_one(backend):
    x = backend.array(np.full((1, 2, 5, 4), 3.0))
    assert_close(backend.ops.local_contrast_norm(x, 3, eps=1.0), 0 * x, atol=1e-14)


@both
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-10), ("float32", 2e-3)])
def test_contrast_forgets_a_shift_and_a_scale(backend, dtype, rtol):
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 5))
    y = backend.ops.local_contrast_norm(backend.array(x, dtype), 5)
    shifted = backend.array(7 * x + 1e4, dtype)  # float32 holds it to 0.0005
    assert_close(backend.ops.local_contrast_norm(shifted, 5), y, rtol=rtol)
    flat = backend.ops.local_contrast_norm(backend.array(0 * x + 1234.5, dtype))
    assert_close(flat, 0 * y, atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"size": 3}, {"size": 5, "sigma": 0.7}, {"size": 3, "eps": 0.9}])
def test_gradients_of_contrast_are_those_of_finite_differences(options):
    x, grad_output = np.random.default_rng(0).normal(size=(2, 2, 2, 4, 5))
    grad_x = ops_numpy.local_contrast_norm_backward(grad_output, x, **options)
    check_gradients(lambda x: ops_numpy.local_contrast_norm(x, **options), [grad_x], [x], grad_output)


@both
def test_where_a_deviation_equals_the_mean_each_gets_one_half(backend):
    x = [[[[-1, 1, 1, -1]], [[1, -1, -1, 1]]]]  # every deviation is 1, and so is their mean
    grad_output = [[[[4, 0, 0, 0]], [[0, 0, 0, 0]]]]
    leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    v = leaf - leaf.mean(1, keepdim=True)
    s = v.square().mean(1, keepdim=True).sqrt()
    y = v / torch.maximum(s.mean((2, 3), keepdim=True), s)
    y.backward(torch.tensor(grad_output, dtype=torch.float64))
    grad_x = backend.ops.local_contrast_norm_backward(backend.array(grad_output), backend.array(x), 1)
    assert_close(grad_x, leaf.grad, rtol=0)
    by_hand = backend.array([[[[0.75, 0.25, 0.25, -0.25]], [[-0.75, -0.25, -0.25, 0.25]]]])
    assert_close(grad_x, by_hand, rtol=0)


@both
def test_where_eps_is_the_larger_the_deviations_have_no_say(backend):
    x, grad_output = backend.array([[[[0, 4]], [[4, 0]]]]), backend.array([[[[1, 0]], [[0, 0]]]])
    expected = backend.array([[[[0.5, 0]], [[-0.5, 0]]]])
    grad_x = backend.ops.local_contrast_norm_backward(grad_output, x, 1, eps=4.0)
    assert_close(grad_x, expected / 4, rtol=0)
    at_the_kink, beside_it = (
        backend.ops.local_contrast_norm_backward(grad_output, x, 1, eps=eps) for eps in (2.0, 0.0)
    )
    assert_close(at_the_kink, beside_it, rtol=0)
    zeros = backend.array(np.zeros((1, 2, 1, 2)))  # the root at 0: no slope, where autograd says NaN
    assert_close(backend.ops.local_contrast_norm(zeros, 1), zeros, rtol=0)
    assert_close(backend.ops.local_contrast_norm_backward(grad_output, zeros, 1, eps=0.5), 2 * expected, rtol=0)


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_image_alone(backend, value):
    x, grad_output = np.random.default_rng(0).normal(size=(2, 2, 1, 3, 3))
    x[1, 0, 2, 2] = value
    ours = backend.array(x), backend.array(grad_output)
    for result in (
        backend.ops.local_contrast_norm(ours[0], 3),
        backend.ops.local_contrast_norm_backward(ours[1], ours[0], 3),
    ):
        spoilt = np.isnan(np.asarray(result))
        assert not spoilt[0].any()
        assert spoilt[1].all()


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "size"), [("local_response_norm", 2), ("local_contrast_norm", 3)])
def test_an_empty_batch_works(backend, dtype, name, size):
    x = backend.array(np.ones((0, 2, 3, 3)), dtype)
    assert_close(getattr(backend.ops, name)(x, size), x)
    assert_close(getattr(backend.ops, f"{name}_backward")(x, x, size), x)


@both
def test_bad_input_is_named(backend):
    ops, x = backend.ops, backend.array(np.ones((2, 3, 4, 4)))
    for call, message in (
        (lambda: ops.local_response_norm(x[..., 0, 0], 2), r"x has shape \(2, 3\); expected \(N, C, L, …\)"),
        (lambda: ops.local_response_norm(x[:, :, :0], 2), r"x has shape \(2, 3, 0, 4\); expected"),
        (lambda: ops.local_response_norm(x, 0), "size is 0; expected an integer of at least 1"),
        (lambda: ops.local_response_norm(x, 2, alpha="1"), "alpha is '1'; expected a finite number"),
        (lambda: ops.local_response_norm(x, 2, beta=np.nan), "beta is nan; expected a finite number"),
        (lambda: ops.local_response_norm(x, 2, k=None), "k is None; expected a finite number"),
        (lambda: ops.local_response_norm_backward(x[:1], x, 2), r"grad_output has shape \(1, 3, 4, 4\); expected \(2"),
        (lambda: ops.local_contrast_norm(x[0]), r"x has shape \(3, 4, 4\); expected 4 axes"),
        (lambda: ops.local_contrast_norm(x[:, :, :, :0]), r"x has shape \(2, 3, 4, 0\); expected no axis but N"),
        (lambda: ops.local_contrast_norm(x, 4), "size is 4; expected an odd number"),
        (lambda: ops.local_contrast_norm(x, sigma=0), r"sigma is 0\.0; expected a positive number"),
        (lambda: ops.local_contrast_norm(x, eps=-1), "eps is -1; expected a number of at least 0"),
        (lambda: ops.local_contrast_norm_backward(x[:1], x), r"grad_output has shape \(1, 3, 4, 4\); expected \(2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
