"""The fast max pooling is the readable one, bit for bit, in any layout, with and without indices."""

import threading

import numpy as np
import pytest
from draws import arrays
from draws_pool import poolings
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import assert_every_option_is_drawn

from cnnlib import fast, geometry, ops_numpy
from cnnlib.fast import pool, windows

NAN, INF = np.nan, np.inf
LAYOUTS = ("contiguous", "channels last", "sliced")
SPECIAL = (0.0, -0.0, 1.0, -1.0, NAN, INF, -INF)
DEFAULTS = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}


def laid_out(x, layout):
    """Return x in another order of memory."""
    if layout == "channels last":
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "sliced":
        wide = np.zeros((*x.shape[:3], 2 * x.shape[3]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return x


def is_channels_last(x):
    return x.transpose(0, 2, 3, 1).flags.c_contiguous


def bits(a):
    """Return the bits of floats, with every NaN the same."""
    return np.where(np.isnan(a), np.nan, a).view(f"i{a.itemsize}")


def hold_to_readable(x, options, seed=0):
    """Compare maxima, indices and both backwards with `ops_numpy`."""
    y, indices = ops_numpy.max_pool2d(x, **options)
    grad_output = laid_out(*arrays(seed, x.dtype, y.shape), ("contiguous", "channels last")[seed % 2])
    grad_x = ops_numpy.max_pool2d_backward(grad_output, indices, input_size=x.shape[2:])
    values = fast.max_pool2d_values(x, **options)
    fast_y, fast_indices = fast.max_pool2d(x, **options)
    np.testing.assert_array_equal(fast_indices, indices)
    assert fast_indices.dtype == indices.dtype
    for mine in (values, fast_y):
        np.testing.assert_array_equal(bits(mine), bits(y))
    routed = fast.max_pool2d_values_backward(grad_output, x, values, **options)
    scattered = fast.max_pool2d_backward(grad_output, fast_indices, input_size=x.shape[2:])
    for mine in (routed, scattered):
        np.testing.assert_array_equal(mine, grad_x)
        assert mine.dtype == x.dtype
    if is_channels_last(x) and not x.flags.c_contiguous:
        assert all(map(is_channels_last, (values, fast_y, fast_indices, routed)))


def fits(size, options):
    try:
        geometry.pool_geometry(size, **options)
    except ValueError:
        return False
    return True


@st.composite
def drawn_pools(draw):
    """Return (x, options): of few values, so that there are ties, or of many, or with special ones."""
    shape, options = draw(poolings(2, dilated=True))
    plain = {**options, "padding": 0, "ceil_mode": False}
    if draw(st.booleans()) and fits(shape[2:], plain):
        options = plain  # what the fast path is for
    dtype = draw(st.sampled_from(("float32", "float64")))
    kind, seed = draw(st.sampled_from(("ties", "distinct", "zeros", "special"))), draw(st.integers(0, 999))
    (x,) = arrays(seed, dtype, shape, ties=kind == "ties")
    if kind in ("zeros", "special"):
        x = np.random.default_rng(seed).choice(SPECIAL[:3] if kind == "zeros" else SPECIAL, shape).astype(dtype)
    return laid_out(x, draw(st.sampled_from(LAYOUTS))), options


@settings(max_examples=400)
@given(drawn_pools(), st.integers(0, 99), st.sampled_from((1, 8)))
def test_drawn_pools_are_the_readable_ones(drawn, seed, least_channels):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "LEAST_CHANNELS", least_channels)  # with 1, tiles serve few channels too
        hold_to_readable(*drawn, seed=seed)


def test_every_option_is_drawn():
    assert_every_option_is_drawn(drawn_pools(), DEFAULTS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [5, 8])  # eight are enough for tiles
@pytest.mark.parametrize(
    ("kernel_size", "stride"), [(2, 2), (3, 3), (3, 2), (3, 1), (2, 3), ((1, 3), 2), (1, 2), (8, 8)]
)
def test_many_blocks_are_as_one(monkeypatch, dtype, layout, channels, kernel_size, stride):
    monkeypatch.setattr(windows, "BLOCK_BYTES", 12000)  # some blocks are whole, the last is not
    generator = np.random.default_rng(0)
    x = np.maximum(0, generator.integers(-9, 9, (7, channels, 11, 9))).astype(dtype)  # rectified: windows of zeros tie
    hold_to_readable(laid_out(x, layout), {"kernel_size": kernel_size, "stride": stride})


@pytest.mark.parametrize("stride", [2, 1])
def test_the_first_maximum_in_row_major_order_wins(stride):
    x = np.array([[[[1.0, 7.0], [7.0, 7.0]]]])  # by columns the lower left would be first
    y = fast.max_pool2d_values(x, 2, stride=stride)
    grad_x = fast.max_pool2d_values_backward(np.full((1, 1, 1, 1), 5.0), x, y, 2, stride=stride)
    np.testing.assert_array_equal(grad_x, [[[[0, 5], [0, 0]]]])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("row", "winner"),
    [
        ([-0.0, 0.0], 0),
        ([0.0, -0.0], 0),
        ([NAN, 1.0], 0),
        ([NAN, NAN], 1),  # the last NaN
        ([-INF, -INF], 0),
        ([INF, INF], 0),
        ([1.0, INF], 1),
    ],
)
def test_special_values(row, winner, stride):
    x = np.array([[[row]]])
    y, indices = fast.max_pool2d(x, (1, 2), stride=stride)
    assert indices.item() == winner
    np.testing.assert_array_equal(bits(y), bits(x[..., winner : winner + 1]))
    np.testing.assert_array_equal(bits(fast.max_pool2d_values(x, (1, 2), stride=stride)), bits(y))
    for gradient in (1.0, INF, NAN):
        grad_output = np.full(y.shape, gradient)
        grad_x = fast.max_pool2d_values_backward(grad_output, x, y, (1, 2), stride=stride)
        expected = np.zeros((1, 1, 1, 2))
        expected[..., winner] = gradient
        np.testing.assert_array_equal(grad_x, expected)


def test_the_first_of_two_zeros_keeps_its_sign():
    for row in ([-0.0, 0.0], [0.0, -0.0]):
        x = np.array([[[row * 20]]])
        np.testing.assert_array_equal(np.signbit(fast.max_pool2d_values(x, (1, 2))), np.signbit(x[..., ::2]))


def test_threads_share_nothing():
    generator = np.random.default_rng(0)
    x = laid_out(generator.normal(size=(16, 8, 33, 31)).astype("float32"), "channels last")
    y = fast.max_pool2d_values(x, 3, stride=2)

    def call():
        return fast.max_pool2d_values_backward(y, x, fast.max_pool2d_values(x, 3, stride=2), 3, stride=2).tobytes()

    alone, together = call(), [None] * 8

    def work(k):
        together[k] = call()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [alone] * 8


def test_an_empty_batch_is_allowed():
    x = np.zeros((0, 2, 4, 4))
    y, indices = fast.max_pool2d(x, 2)
    assert y.shape == indices.shape == fast.max_pool2d_values(x, 2).shape == (0, 2, 2, 2)
    assert fast.max_pool2d_values_backward(y, x, y, 2).shape == (0, 2, 4, 4)
    assert fast.max_pool2d_backward(y, indices, input_size=4).shape == (0, 2, 4, 4)


def test_bad_input_is_named():
    x = np.ones((1, 1, 5, 5))
    y = np.ones((1, 1, 2, 2))
    for call, message in (
        (lambda: fast.max_pool2d(x[0], 2), r"x has shape \(1, 5, 5\); expected 4 axes"),
        (lambda: fast.max_pool2d_values(x.astype("float16"), 2), "x has dtype float16"),
        (lambda: fast.max_pool2d_values(x, 6), "kernel_size is 6 along the height; expected a span of at most 5"),
        (lambda: fast.max_pool2d(x, 2, padding=2), "padding is 2; expected at most 1"),
        (lambda: fast.max_pool2d_values(np.ones((1, 1, 0, 5)), 2), "expected no axis but N to be empty"),
        (lambda: fast.max_pool2d_values_backward(y, x, x, 2), r"y has shape \(1, 1, 5, 5\); expected \(1, 1, 2, 2\)"),
        (lambda: fast.max_pool2d_values_backward(x, x, y, 2), "grad_output has shape"),
        (lambda: fast.max_pool2d_values_backward(y, x, y.astype("float32"), 2), "y has dtype float32"),
        (lambda: fast.max_pool2d_backward(y, y, input_size=4), "indices is .*float64"),
        (lambda: fast.max_pool2d_backward(y, np.full(y.shape, 16), input_size=4), "indices runs from 16 to 16"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_large_windows_are_left_to_the_readable_ones():
    x = np.random.default_rng(0).normal(size=(2, 3, 18, 18))
    hold_to_readable(x, {"kernel_size": 9})
