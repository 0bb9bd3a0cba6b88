"""`fast.conv2d` where values are not finite, huge, or absent, and where the input is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from fast_convolutions import laid_out

from cnnlib import fast, ops_numpy
from cnnlib.fast import conv, dispatch
from cnnlib.geometry import conv_geometry
from cnnlib.testing import assert_close

# one convolution for each algorithm: (x, weight, options)
ONE_EACH = {
    "depthwise": ((2, 4, 6, 7), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "fft": ((2, 2, 20, 18), (3, 2, 19, 20), {"padding": 2}),
    "gemm": ((2, 3, 5, 6), (4, 3, 1, 1), {}),
    "im2col": ((2, 3, 9, 8), (4, 3, 3, 2), {"dilation": 2, "padding": 1}),
    "mec": ((2, 3, 9, 8), (16, 3, 3, 3), {"stride": 2, "padding": 1}),
    "toeplitz": ((2, 3, 9, 8), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    "winograd2": ((2, 32, 2, 2), (32, 32, 3, 3), {"padding": 1}),
    "winograd4": ((2, 32, 7, 8), (32, 32, 3, 3), {"padding": 1}),
}
every = pytest.mark.parametrize("name", ONE_EACH)


def convolution(name, dtype=np.float32):
    x_shape, weight_shape, options = ONE_EACH[name]
    rng = np.random.default_rng(5)
    x, weight = (rng.normal(size=shape).astype(dtype) for shape in (x_shape, weight_shape))
    layout = {k: v for k, v in options.items() if k != "groups"}
    geometry = conv_geometry(x_shape[2:], weight_shape[2:], **layout)
    groups = options.get("groups", 1)
    chosen = dispatch.choose(len(x), x.shape[1], len(weight), x.shape[2:], geometry, groups)
    assert chosen.forward == chosen.grad_weight == name
    grad_output = rng.normal(size=(len(x), len(weight), *geometry.output_size)).astype(dtype)
    return grad_output, x, weight, options


def assert_same(grad_output, x, weight, options, rtol=2e-5):
    """Compare values and gradients with the readable ones; NaN and infinity stand in the same places."""
    bias = np.arange(len(weight), dtype=x.dtype)
    with np.errstate(all="ignore"):
        mine = (fast.conv2d(x, weight, bias, **options), *fast.conv2d_backward(grad_output, x, weight, **options))
        other = (
            ops_numpy.conv2d(x, weight, bias, **options),
            *ops_numpy.conv2d_backward(grad_output, x, weight, **options),
        )
    for actual, expected in zip(mine, other, strict=True):
        assert_close(actual, expected, rtol=rtol)


@every
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("layout", ["first", "last"])
def test_what_is_not_finite_goes_where_the_definition_sends_it(name, value, where, layout):
    *operands, options = convolution(name)
    operands[where][0, 0, -1, 1 % operands[where].shape[3]] = value
    assert_same(laid_out(operands[0], layout), laid_out(operands[1], layout), operands[2], options)


@every
@pytest.mark.parametrize("scale", [1e15, 1e36, 1e-30])
def test_finite_values_of_any_size_do_not_overflow_on_the_way(name, scale):
    grad_output, x, weight, options = convolution(name)
    small = weight / np.float32(1e4)
    assert_same(grad_output / np.float32(1e4), x * np.float32(scale), small, options)
    y = fast.conv2d(x * np.float32(scale), small, **options)
    assert np.isfinite(y).all()


@every
def test_infinities_cancel_without_a_warning(name):
    operands = convolution(name)[:3]
    for v in operands:
        v[0, 0, :2] = [[np.inf], [-np.inf]] if v.shape[2] > 1 else np.inf
    fast.conv2d(*operands[1:], **ONE_EACH[name][2])
    fast.conv2d_backward(*operands, **ONE_EACH[name][2])
    fast.conv2d_backward_parameters(*operands, **ONE_EACH[name][2])


@pytest.mark.parametrize(("channels", "filters"), [(2048, 32), (32, 2048)])
def test_sums_of_many_channels_keep_their_digits(channels, filters):
    rng = np.random.default_rng(0)
    x, weight = (rng.normal(size=size).astype(np.float32) for size in ((1, channels, 8, 8), (filters, channels, 3, 3)))
    grad_output = rng.normal(size=(1, filters, 8, 8)).astype(np.float32)
    actual = (fast.conv2d(x, weight, padding=1), *fast.conv2d_backward(grad_output, x, weight, padding=1)[:2])
    grad_output, x, weight = (v.astype(float) for v in (grad_output, x, weight))
    expected = (
        ops_numpy.conv2d(x, weight, padding=1),
        *ops_numpy.conv2d_backward(grad_output, x, weight, padding=1)[:2],
    )
    for mine, other in zip(actual, expected, strict=True):
        assert_close(mine.astype(float), other, rtol=1e-5)


def test_a_norm_says_whether_all_is_finite():
    x = np.ones((2, 3, 4, 5), np.float32)
    for view in (x, laid_out(x, "last"), laid_out(x, "strided"), laid_out(x, "turned")):
        assert conv.norm(view) == pytest.approx(np.sqrt(120))
    for value, expected in ((np.inf, np.inf), (-np.inf, np.inf), (1e30, np.inf), (np.nan, np.nan)):
        x[1, 2, 3, 4] = value
        np.testing.assert_equal(conv.norm(x), expected)


@every
def test_an_empty_batch(name):
    grad_output, x, weight, options = convolution(name)
    assert_same(grad_output[:0], x[:0], weight, options)


@every
def test_what_is_given_stays_as_it_is(name):
    *operands, options = convolution(name)
    kept = [v.copy() for v in operands]
    for v in operands:
        v.flags.writeable = False
    first = fast.conv2d_backward(*operands, **options)
    copies = [v.copy() for v in first]
    fast.conv2d_backward(*(2 * v for v in operands), **options)  # the second call may not write into the first's
    for actual, expected in zip((*operands, *first), (*kept, *copies), strict=True):
        np.testing.assert_array_equal(actual, expected)


X, W = np.zeros((2, 4, 6, 6)), np.zeros((8, 4, 3, 3))
WRONG = [
    ((X[0], W), {}),
    ((X.astype(np.float16), W), {}),
    ((X, W.astype(np.float32)), {}),
    ((X, W[:, :3]), {}),
    ((X.tolist(), W), {}),
    ((X[:, :, :0], W), {}),
    ((X, W, np.zeros(7)), {}),
    ((X, W), {"groups": 3}),
    ((X, W), {"stride": 0}),
    ((X, W), {"padding": -1}),
    ((X, W), {"padding": "same", "stride": 2}),
    ((X, W), {"dilation": 3}),
]


@pytest.mark.parametrize(("operands", "options"), WRONG)
def test_it_refuses_what_ops_numpy_refuses_in_the_same_words(operands, options):
    with pytest.raises(ValueError, match=r"; expected ") as expected:
        ops_numpy.conv2d(*operands, **options)
    with pytest.raises(ValueError, match=r"; expected ") as actual:
        fast.conv2d(*operands, **options)
    assert str(actual.value) == str(expected.value)


@pytest.mark.parametrize("grad_output", [np.zeros((2, 8, 4, 5)), np.zeros((2, 8, 4, 4), np.float32), None])
def test_it_refuses_a_gradient_in_the_same_words(grad_output):
    with pytest.raises(ValueError, match=r"^grad_output ") as expected:
        ops_numpy.conv2d_backward(grad_output, X, W)
    with pytest.raises(ValueError, match=r"^grad_output ") as actual:
        fast.conv2d_backward(grad_output, X, W)
    assert str(actual.value) == str(expected.value)
