"""Convolution by hand, its gradients by finite differences and gradcheck, and what it refuses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import nn_torch, ops_numpy
from cnnlib.testing import CASES, assert_close, check_gradients

OPTIONS = (
    {},
    {"stride": 2, "padding": 1},
    {"stride": (2, 1), "padding": ((0, 2), (1, 0)), "dilation": (1, 2)},
    {"groups": 2, "padding": "same"},
    {"stride": 3, "groups": 2, "padding": (2, 1)},
)


@both
@pytest.mark.parametrize("name", ["conv2d", "conv2d_naive"])
def test_worked_examples(backend, name):
    if not hasattr(backend.ops, name):
        pytest.skip("plain loops are NumPy's")
    for x, weight, options, expected in CASES:
        y = getattr(backend.ops, name)(backend.array([[x]]), backend.array([[weight]]), **options)
        assert_close(y, backend.array([[expected]]), rtol=0)


@both
def test_padding_goes_where_it_is_asked(backend):
    x, weight = backend.array([[[[1, 2], [3, 4]]]]), backend.array([[[[1]]]])
    y = backend.ops.conv2d(x, weight, padding=((1, 0), (0, 2)))
    assert_close(y, backend.array([[[[0, 0, 0, 0], [1, 2, 0, 0], [3, 4, 0, 0]]]]), rtol=0)


@both
def test_the_odd_zero_of_same_padding_goes_after(backend):
    y = backend.ops.conv2d(backend.array([[[[1, 2, 3]]]]), backend.array([[[[1, 10]]]]), padding="same")
    assert_close(y, backend.array([[[[21, 32, 3]]]]), rtol=0)


@both
def test_narrow_integers_are_options_too(backend):
    x, weight = backend.array(np.ones((1, 300, 2, 2))), backend.array(np.ones((300, 100, 1, 1)))
    assert float(backend.ops.conv2d(x, weight, groups=np.uint8(3)).min()) == 100
    assert backend.ops.conv2d_matrix(weight, 2, groups=np.uint8(3))[3] == (1200, 1200)


@both
def test_padding_is_made_of_zeros(backend):
    x, weight = backend.array(np.ones((1, 1, 2, 2))), backend.array([[[[np.inf, 0], [0, 1]]]])
    names = ["conv2d", "conv2d_naive"] if backend.name == "numpy" else ["conv2d"]
    for name in names:
        with np.errstate(invalid="ignore"):
            y = getattr(backend.ops, name)(x, weight, padding=((1, 0), (1, 0)))
        assert_close(y, backend.array([[[[np.nan, np.nan], [np.nan, np.inf]]]]), rtol=0)  # 0 · ∞ is not a number


@both
def test_groups_do_not_mix(backend):
    x = backend.array([[[[1]], [[10]], [[100]], [[1000]]]])
    weight = backend.array([[[[1]], [[2]]], [[[3]], [[4]]]])
    assert_close(backend.ops.conv2d(x, weight, groups=2), backend.array([[[[21]], [[4300]]]]), rtol=0)


@both
def test_the_axes_of_a_transposed_convolution_are_kept_apart(backend):
    options = {"stride": (2, 3), "output_padding": (1, 0), "dilation": (1, 2)}
    x, weight = backend.array([[[[1, 2]]]]), backend.array([[[[1, 10]]]])
    y = backend.ops.conv_transpose2d(x, weight, **options)
    assert_close(y, backend.array([[[[1, 0, 10, 2, 0, 20], [0] * 6]]]), rtol=0)
    assert torch.equal(torch.as_tensor(y), F.conv_transpose2d(torch.as_tensor(x), torch.as_tensor(weight), **options))


@both
def test_pixels_that_no_window_covers_get_no_gradient(backend):
    x, weight = backend.array(np.ones((1, 1, 7, 7))), backend.array(np.ones((1, 1, 3, 3)))
    grad_x, grad_weight, grad_bias = backend.ops.conv2d_backward(
        backend.array(np.ones((1, 1, 2, 2))), x, weight, stride=3
    )
    expected = np.ones((1, 1, 7, 7))
    expected[..., 6, :] = expected[..., :, 6] = 0
    assert_close(grad_x, backend.array(expected), rtol=0)
    assert_close(grad_weight, backend.array(np.full((1, 1, 3, 3), 4)), rtol=0)
    assert_close(grad_bias, backend.array([4]), rtol=0)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_those_of_finite_differences(options):
    generator = np.random.default_rng(0)
    groups = options.get("groups", 1)
    x, weight, bias = (generator.normal(size=s) for s in ((2, 4, 6, 7), (2, 4 // groups, 3, 2), (2,)))
    y = ops_numpy.conv2d(x, weight, bias, **options)
    grad_output = generator.normal(size=y.shape)
    check_gradients(
        lambda x, weight, bias: ops_numpy.conv2d(x, weight, bias, **options),
        ops_numpy.conv2d_backward(grad_output, x, weight, **options),
        (x, weight, bias),
        grad_output,
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradcheck_passes(options):
    groups = options.get("groups", 1)
    generator = torch.Generator().manual_seed(0)
    values = [
        torch.randn(*s, dtype=torch.float64, generator=generator, requires_grad=True)
        for s in ((2, 4, 5, 6), (2, 4 // groups, 3, 2), (2,))
    ]
    stride, padding, dilation = (options.get(k, d) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1)))
    assert torch.autograd.gradcheck(
        lambda x, w, b: nn_torch.Conv2dFunction.apply(x, w, b, stride, padding, dilation, groups), values
    )


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept_and_an_empty_batch_allowed(backend, dtype):
    x, weight = backend.array(np.zeros((0, 2, 5, 5)), dtype), backend.array(np.ones((3, 2, 3, 3)), dtype)
    y = backend.ops.conv2d(x, weight)
    assert tuple(y.shape) == (0, 3, 3, 3)
    grads = backend.ops.conv2d_backward(y, x, weight)
    for grad, shape in zip(grads, ((0, 2, 5, 5), (3, 2, 3, 3), (3,)), strict=True):
        assert_close(grad, backend.array(np.zeros(shape), dtype))


@both
def test_nothing_is_written_into_the_arguments(backend):
    x, weight = backend.array(np.ones((1, 1, 4, 4))), backend.array(np.ones((1, 1, 3, 3)))
    grad_output = backend.array(np.ones((1, 1, 4, 4)))
    backend.ops.conv2d(x, weight, padding=1)
    backend.ops.conv2d_backward(grad_output, x, weight, padding=1)
    for array in (x, weight, grad_output):
        assert bool((array == 1).all())


def refusals(array):
    """Yield (keyword arguments of conv2d, the message they must meet)."""
    x, weight = array(np.ones((2, 4, 5, 5))), array(np.ones((6, 4, 3, 3)))
    yield {"x": x[0], "weight": weight}, r"x has shape \(4, 5, 5\); expected 4 axes \(N, C, H, W\)"
    yield {"x": x, "weight": weight[0]}, r"weight has shape \(4, 3, 3\); expected 4 axes"
    yield {"x": [[1.0]], "weight": weight}, "x is a builtins.list; expected a"
    yield {"x": array(np.ones((2, 4, 5, 5)), "int64"), "weight": weight}, "x has dtype int64; expected float32 or"
    yield {"x": array(np.ones((2, 4, 5, 5)), "float16"), "weight": weight}, "x has dtype float16"
    yield {"x": array(np.ones((2, 4, 5, 5)), "float32"), "weight": weight}, "weight has dtype float64; expected float32"
    yield {"x": array(np.ones((2, 3, 5, 5))), "weight": weight}, r"weight has shape \(6, 4, 3, 3\); expected 3 in its"
    yield {"x": array(np.ones((2, 4, 0, 5))), "weight": weight}, r"x has shape \(2, 4, 0, 5\); expected no axis but N"
    yield {"x": x, "weight": array(np.ones((6, 4, 6, 3)))}, "kernel_size is 6 along the height; expected a span of at"
    yield {"x": x, "weight": weight, "dilation": 3}, r"kernel_size is 3 with dilation 3 \(spanning 7\)"
    yield {"x": x, "weight": weight, "bias": array(np.ones(5))}, r"bias has shape \(5,\); expected \(6,\)"
    yield {"x": x, "weight": weight, "stride": 0}, "stride is 0; expected an integer of at least 1"
    yield {"x": x, "weight": weight, "stride": (1, 2, 3)}, r"stride is \(1, 2, 3\); expected an integer or 2"
    yield {"x": x, "weight": weight, "stride": 1.5}, "stride is 1.5"
    yield {"x": x, "weight": weight, "dilation": 0}, "dilation is 0"
    yield {"x": np.ma.masked_array(np.ones((2, 4, 5, 5))), "weight": weight}, "x is a numpy.ma.*; expected a"
    yield {"x": x, "weight": weight, "bias": array(np.ones(6), "float32")}, "bias has dtype float32; expected float64"
    yield {"x": x, "weight": weight, "groups": 0}, "groups is 0; expected an integer of at least 1"
    yield {"x": x, "weight": weight, "groups": None}, "groups is None; expected an integer"
    yield {"x": x, "weight": weight, "groups": 3}, "groups is 3; expected a divisor of the 4 input and 6 output"
    yield {"x": x, "weight": weight, "groups": 2}, r"weight has shape \(6, 4, 3, 3\); expected 2 in its second axis"
    yield {"x": x, "weight": weight, "padding": -1}, "padding is -1; expected an integer of at least 0"
    yield {"x": x, "weight": weight, "padding": "full"}, "padding is 'full'"
    yield {"x": x, "weight": weight, "padding": ((1, 2), 3)}, r"padding is \(\(1, 2\), 3\)"
    yield {"x": x, "weight": weight, "padding": "same", "stride": 2}, "padding is 'same' with stride"


@both
def test_bad_input_is_named(backend):
    for arguments, message in refusals(backend.array):
        with pytest.raises(ValueError, match=message):
            backend.ops.conv2d(**arguments)


@both
def test_bad_input_of_the_backward_is_named(backend):
    x, weight = backend.array(np.ones((2, 4, 5, 5))), backend.array(np.ones((6, 4, 3, 3)))
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 6, 5, 5\); expected \(2, 6, 3, 3\)"):
        backend.ops.conv2d_backward(backend.array(np.ones((2, 6, 5, 5))), x, weight)
    with pytest.raises(ValueError, match="grad_output has dtype float32; expected float64, that of x"):
        backend.ops.conv2d_backward(backend.array(np.ones((2, 6, 3, 3)), "float32"), x, weight)


@both
def test_bad_input_of_the_transposed_convolution_is_named(backend):
    x, weight = backend.array(np.ones((2, 4, 5, 5))), backend.array(np.ones((4, 3, 3, 3)))
    with pytest.raises(ValueError, match=r"weight has shape \(3, 4, 3, 3\); expected 4 in its first axis"):
        backend.ops.conv_transpose2d(x, backend.array(np.ones((3, 4, 3, 3))))
    with pytest.raises(ValueError, match="output_padding is 1; expected less than"):
        backend.ops.conv_transpose2d(x, weight, output_padding=1)
    with pytest.raises(ValueError, match=r"bias has shape \(4,\); expected \(3,\)"):
        backend.ops.conv_transpose2d(x, weight, backend.array(np.ones(4)))
    with pytest.raises(ValueError, match=r"grad_output has shape .* expected \(2, 3, 7, 7\)"):
        backend.ops.conv_transpose2d_backward(x, x, weight)


@both
def test_bad_input_of_the_matrix_is_named(backend):
    weight = backend.array(np.ones((4, 2, 3, 3)))
    with pytest.raises(ValueError, match="kernel_size is 3 along the height"):
        backend.ops.conv2d_matrix(weight, (2, 9))
    for groups in (0, None, 1.0, "2"):
        with pytest.raises(ValueError, match=f"groups is {groups!r}; expected an integer of at least 1"):
            backend.ops.conv2d_matrix(weight, 9, groups=groups)
    with pytest.raises(ValueError, match="groups is 3; expected a divisor"):
        backend.ops.conv2d_matrix(weight, 9, groups=3)
