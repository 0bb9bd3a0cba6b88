"""Adaptive, power-mean, blurred and undone pooling: worked examples, kinks, gradients, and what they refuse."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients


@both
def test_adaptive_windows_overlap_where_they_do_not_divide(backend):
    x = backend.array([[[[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]]])
    y = backend.ops.adaptive_avg_pool2d(x, (1, 3))  # columns 0–1, 1–3, 3–4
    assert_close(y, backend.array([[[[4, 5.5, 7]]]]), rtol=0)
    y = backend.ops.adaptive_avg_pool2d(x, (None, 2))
    assert_close(y, backend.array([[[[2, 4], [7, 9]]]]), rtol=0)
    assert backend.ops.adaptive_avg_pool2d(x, 1).item() == 5.5
    grad_x = backend.ops.adaptive_avg_pool2d_backward(backend.array([[[[4, 6, 8]]]]), input_size=(2, 5))
    assert_close(grad_x, backend.array([[[[1, 2, 1, 3, 2], [1, 2, 1, 3, 2]]]]), rtol=0)


@both
def test_adaptive_pooling_may_repeat_pixels(backend):
    y = backend.ops.adaptive_avg_pool2d(backend.array([[[[1, 3]]]]), (1, 3))
    assert_close(y, backend.array([[[[1, 2, 3]]]]), rtol=0)


@both
@pytest.mark.parametrize(
    ("norm_type", "values", "y", "grad_x"),
    [
        (2, [3, -4], 5, [0.6, -0.8]),
        (2, [0, 0], 0, [0, 0]),  # the norm's kink
        (1, [1, -3], -2, [1, 1]),  # a sum, not a sum of magnitudes
        (1, [1, -1], 0, [0, 0]),  # torch's zero, though the sum is smooth
        (3, [2, -1], 7 ** (1 / 3), [4 / 7 ** (2 / 3), 1 / 7 ** (2 / 3)]),
        (3, [1, -2], np.nan, [np.nan, np.nan]),  # a negative sum has no root
        (3, [1, -1], 0, [0, 0]),
        (0.7, [0, 0], 0, [np.nan, np.nan]),  # 0 · ∞
    ],
)
def test_power_means_at_kinks_and_signs(backend, norm_type, values, y, grad_x):
    x = backend.array([[[values]]])
    assert_close(backend.ops.lp_pool2d(x, norm_type, (1, 2)), backend.array([[[[y]]]]))
    ones = backend.array([[[[1]]]])
    assert_close(backend.ops.lp_pool2d_backward(ones, x, norm_type, (1, 2)), backend.array([[[grad_x]]]))
    leaf = torch.tensor([[[values]]], dtype=torch.float64, requires_grad=True)
    F.lp_pool2d(leaf, norm_type, (1, 2)).sum().backward()
    assert_close(leaf.grad, np.array([[[grad_x]]], float))


@both
def test_an_overhanging_power_mean_is_scaled_up(backend):
    y = backend.ops.lp_pool2d(backend.array([[[[3, 4, 5]]]]), 2, (1, 2), ceil_mode=True)
    assert_close(y, backend.array([[[[5, np.sqrt(50)]]]]))


@pytest.mark.parametrize("norm_type", [1, 2, 3, 0.5])
def test_the_gradient_of_a_power_mean_is_that_of_finite_differences(norm_type):
    generator = np.random.default_rng(0)
    x = generator.uniform(0.5, 2, (2, 2, 5, 4))
    for options in ({}, {"stride": 1}, {"ceil_mode": True}):
        y = ops_numpy.lp_pool2d(x, norm_type, (3, 2), **options)
        grad_output = generator.normal(size=y.shape)
        grad_x = ops_numpy.lp_pool2d_backward(grad_output, x, norm_type, (3, 2), **options)
        check_gradients(lambda x, o=options: ops_numpy.lp_pool2d(x, norm_type, (3, 2), **o), [grad_x], [x], grad_output)


@both
def test_unpooling_puts_maxima_back(backend):
    x = backend.array([[[[1, 5, 2, 0, 7], [3, 4, 8, 6, 9]]]])
    y, indices = backend.ops.max_pool2d(x, 2)
    back = backend.ops.max_unpool2d(y, indices, 2, output_size=(2, 5))
    assert_close(back, backend.array([[[[0, 5, 0, 0, 0], [0, 0, 8, 0, 0]]]]), rtol=0)
    grad_y = backend.ops.max_unpool2d_backward(backend.array([[[[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]]]), indices)
    assert_close(grad_y, backend.array([[[[1, 7]]]]), rtol=0)


@both
def test_the_last_of_two_values_stays(backend):
    x, indices = backend.array([[[[5, -0.0, 6, 7]]]]), backend.array([[[[1, 0, 1, 3]]]], "int64")
    y = backend.ops.max_unpool2d(x, indices, 1)
    assert_close(y, backend.array([[[[-0.0, 6, 0, 7]]]]), rtol=0)
    assert np.signbit(np.asarray(y)).ravel().tolist() == [True, False, False, False]
    leaf = torch.tensor([[[[5.0, -0.0, 6.0, 7.0]]]], dtype=torch.float64, requires_grad=True)
    of_torch = F.max_unpool2d(leaf, torch.tensor([[[[1, 0, 1, 3]]]]), 1)
    assert_close(y, of_torch, rtol=0)
    upstream = [[[[1, 2, 3, 4]]]]
    grad_x = backend.ops.max_unpool2d_backward(backend.array(upstream), indices)
    assert_close(grad_x, backend.array([[[[2, 1, 2, 4]]]]), rtol=0)  # the overwritten value too
    assert_close(grad_x, torch.autograd.grad(of_torch, leaf, torch.tensor(upstream, dtype=torch.float64))[0], rtol=0)


@both
def test_unpooling_keeps_special_values_and_empty_batches(backend):
    values = [[[[np.nan, np.inf], [-np.inf, 1]]]]
    indices = backend.array([[[[0, 3], [5, 6]]]], "int32")
    y = backend.ops.max_unpool2d(backend.array(values, "float32"), indices, 2, stride=1)
    assert_close(y, backend.array([[[[np.nan, 0, 0], [np.inf, 0, -np.inf], [1, 0, 0]]]], "float32"), rtol=0)
    none, places = backend.array(np.zeros((0, 2, 2, 2))), backend.array(np.zeros((0, 2, 2, 2)), "int64")
    y = backend.ops.max_unpool2d(none, places, 2)
    assert tuple(y.shape) == (0, 2, 4, 4)
    assert tuple(backend.ops.max_unpool2d_backward(y, places).shape) == (0, 2, 2, 2)


@both
def test_a_blur_is_pascals_triangle_and_mirrors_the_border(backend):
    x = backend.array([[[[16, 0, 0, 0, 0, 0]]]])
    assert_close(backend.ops.blur_pool2d(x, (1, 3), stride=1), backend.array([[[[8, 4, 0, 0, 0, 0]]]]), rtol=0)
    second = backend.array([[[[0, 16, 0, 0, 0, 0]]]])  # and its mirror image, one before the border
    assert_close(backend.ops.blur_pool2d(second, (1, 4)), backend.array([[[[8, 2, 0]]]]), rtol=0)
    assert_close(backend.ops.blur_pool2d(x, (1, 5)), backend.array([[[[6, 1, 0]]]]), rtol=0)
    level = backend.array(np.full((1, 1, 5, 5), 3))
    assert_close(backend.ops.blur_pool2d(level, 5), backend.array(np.full((1, 1, 3, 3), 3)), rtol=0)
    grad_x = backend.ops.blur_pool2d_backward(backend.array([[[[16, 0, 0]]]]), (1, 5), input_size=(1, 6))
    assert_close(grad_x, backend.array([[[[6, 8, 2, 0, 0, 0]]]]), rtol=0)


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    x, small = array(np.ones((1, 1, 4, 4))), array(np.ones((1, 1, 2, 2)))
    indices = array(np.zeros((1, 1, 2, 2)), "int64")
    for call, message in (
        (lambda: ops.adaptive_avg_pool2d(x, 0), "output_size is 0; expected an integer of at least 1"),
        (lambda: ops.adaptive_avg_pool2d(x, None), "output_size is None"),
        (lambda: ops.adaptive_avg_pool2d(x, (1, 2, 3)), r"output_size is \(1, 2, 3\); expected an integer or 2"),
        (lambda: ops.adaptive_avg_pool2d(x[0], 1), "x has shape .* expected 4 axes"),
        (lambda: ops.adaptive_avg_pool2d_backward(x, input_size=(0, 4)), "input_size is 0"),
        (lambda: ops.lp_pool2d(x, 0, 2), "norm_type is 0; expected a positive number"),
        (lambda: ops.lp_pool2d(x, np.inf, 2), "norm_type is inf"),
        (lambda: ops.lp_pool2d(x, "2", 2), "norm_type is '2'"),
        (lambda: ops.lp_pool2d(x, 2, 5), "kernel_size is 5 along the height"),
        (lambda: ops.lp_pool2d_backward(x, x, 2, 2), r"grad_output has shape \(1, 1, 4, 4\); expected \(1, 1, 2, 2\)"),
        (
            lambda: ops.lp_pool2d_backward(array(np.ones((1, 1, 2, 2)), "float32"), x, 2, 2),
            "grad_output has dtype float32; expected float64, that of x",
        ),
        (lambda: ops.max_unpool2d(small, indices + 16, 2), "indices runs from 16 to 16; expected 0 to 15"),
        (lambda: ops.max_unpool2d(small, indices - 1, 2), "indices runs from -1 to -1"),
        (lambda: ops.max_unpool2d(small, x, 2), "indices is float64"),
        (lambda: ops.max_unpool2d(small, indices, 2, output_size=6), "output_size is 6; expected a height from 3 to 5"),
        (lambda: ops.max_unpool2d(small, indices, 2, padding=2), "padding is 2; expected less, as the height"),
        (lambda: ops.max_unpool2d_backward(small, indices + 4), "indices runs from 4 to 4; expected 0 to 3"),
        (lambda: ops.max_unpool2d_backward(small, None), "indices is NoneType"),
        (lambda: ops.max_unpool2d_backward(small, indices[0]), r"indices has shape \(1, 2, 2\); expected 4 axes"),
        (lambda: ops.blur_pool2d(x, 8), "kernel_size is 8 along the height; expected at most 7"),
        (lambda: ops.blur_pool2d(x, 3, stride=0), "stride is 0"),
        (
            lambda: ops.blur_pool2d_backward(x, 3, input_size=4),
            r"grad_output has shape \(1, 1, 4, 4\); expected \(1, 1",
        ),
        (lambda: ops.blur_pool2d(array(np.ones((1, 1, 0, 4))), 1), "expected no axis but N to be empty"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
