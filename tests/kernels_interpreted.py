"""What tests/test_kernels.py runs in a process of its own, whose TRITON_INTERPRET is set before Triton is imported.

The interpreter executes the programs in NumPy, one tile: numbers, masks and addresses are checked here, speed is not.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from draws import arrays, convolutions
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import kernels, ops_numpy
from cnnlib.kernels import _correlation

DTYPES = ("float32", "float16")
SUMS = 2e-6  # float32 sums of at most a few hundred products, relative to the sum of their magnitudes


@pytest.fixture(autouse=True)
def _whole_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def half_unit(dtype):
    """Return what rounding to the dtype may change, relative and absolute."""
    return torch.finfo(dtype).eps / 2, torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps / 2


def assert_near(actual, expected, terms, dtype):
    """Compare with float64: each entry to the rounding of its own value and of the sum of its own |terms|."""
    relative, absolute = half_unit(dtype)
    assert actual.dtype == dtype
    assert tuple(actual.shape) == expected.shape
    gap = np.abs(actual.double().numpy() - expected)
    assert np.all(gap <= relative * np.abs(expected) + SUMS * terms + absolute), (
        gap / (np.abs(expected) + 1e-30)
    ).max()


def check(x_size, weight_size, options, seed, dtype):
    """Hold the forward and the three gradients to ops_numpy in float64, on the same rounded numbers."""
    dtype = getattr(torch, dtype)
    tensors = [torch.from_numpy(a).to(dtype) for a in arrays(seed, "float32", x_size, weight_size, weight_size[:1])]
    x, weight, bias = (t.double().numpy() for t in tensors)
    y = kernels.conv2d(*tensors, **options)
    terms = ops_numpy.conv2d(abs(x), abs(weight), abs(bias), **options)
    assert_near(y, ops_numpy.conv2d(x, weight, bias, **options), terms, dtype)
    assert_near(
        kernels.conv2d(*tensors[:2], **options), ops_numpy.conv2d(x, weight, **options), terms, dtype
    )  # without a bias
    upstream = torch.from_numpy(arrays(seed + 1, "float32", tuple(y.shape))[0]).to(dtype)
    grad_output = upstream.double().numpy()
    ours = kernels.conv2d_backward(upstream, *tensors[:2], **options)
    grads = ops_numpy.conv2d_backward(grad_output, x, weight, **options)
    slopes = ops_numpy.conv2d_backward(abs(grad_output), abs(x), abs(weight), **options)
    for grad, expected, magnitude in zip(ours, grads, slopes, strict=True):
        assert_near(grad, expected, magnitude, dtype)


@settings(max_examples=60)
@given(convolutions(), st.integers(0, 2**32 - 1), st.sampled_from(DTYPES))
def test_drawn_layers(layer, seed, dtype):
    x_size, weight_size, options = layer
    check(x_size, weight_size, options, seed, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("x_size", "weight_size", "options"),
    [
        ((2, 20, 9, 9), (18, 20, 2, 2), {"padding": 1}),
        ((1, 34, 13, 12), (36, 17, 1, 1), {"groups": 2}),
        ((1, 32, 4, 5), (16, 32, 3, 2), {"padding": 1}),  # blocks of channels without a remainder
        ((3, 3, 15, 15), (17, 3, 1, 1), {"stride": 2, "padding": "valid"}),
        ((1, 1, 2, 2), (1, 1, 1, 1), {"stride": 4, "padding": 1}),
    ],
    ids=str,
)
def test_layers_of_more_than_one_tile(x_size, weight_size, options, dtype):
    check(x_size, weight_size, options, 0, dtype)


def test_the_sum_of_the_weights_gradient_is_split():
    assert _correlation._splits(3 * 15 * 15, 1, torch.device("cpu")) == 4
    check((3, 2, 15, 15), (2, 2, 1, 1), {}, 0, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_empty_batch(dtype):
    dtype = getattr(torch, dtype)
    x, weight, bias = (
        torch.zeros(0, 2, 5, 5, dtype=dtype),
        torch.ones(3, 2, 3, 3, dtype=dtype),
        torch.ones(3, dtype=dtype),
    )
    y = kernels.conv2d(x, weight, bias, stride=2)
    assert (y.shape, y.dtype) == ((0, 3, 2, 2), dtype)
    for grad, like in zip(kernels.conv2d_backward(y, x, weight, stride=2), (x, weight, bias), strict=True):
        assert (grad.shape, grad.dtype) == (like.shape, dtype)
        assert not grad.any()


def test_any_strides_are_read_and_nothing_is_written_into():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 8, 3, 2, generator=generator).permute(3, 2, 1, 0)  # (2, 3, 8, 9), columns slowest
    weight = torch.randn(5, 6, 3, 3, generator=generator)[:, ::2]
    kept = x.clone(), weight.clone()
    y = kernels.conv2d(x, weight)
    torch.testing.assert_close(y, torch.nn.functional.conv2d(x, weight))
    grad_x, grad_weight, _ = kernels.conv2d_backward(y[:1].expand_as(y), x, weight)
    leaves = [v.clone().requires_grad_() for v in kept]
    expected = torch.autograd.grad(torch.nn.functional.conv2d(*leaves), leaves, y[:1].expand_as(y))
    torch.testing.assert_close(grad_x, expected[0])
    torch.testing.assert_close(grad_weight, expected[1], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close((x, weight), kept, rtol=0, atol=0)


def test_not_a_number_and_infinity_reach_only_the_windows_that_hold_them():
    x, weight = torch.zeros(1, 2, 6, 6), torch.ones(3, 2, 2, 2)
    x[0, 0, 0, 0], x[0, 1, 5, 5] = float("nan"), float("inf")
    with np.errstate(invalid="ignore"):  # ∞ · 0 where a tile is wider than the filters, and nothing is stored
        y = kernels.conv2d(x, weight, padding=1)
    torch.testing.assert_close(y, torch.nn.functional.conv2d(x, weight, padding=1), equal_nan=True)


def test_a_tensor_elsewhere_is_refused():
    x, weight = torch.zeros(1, 1, 3, 3, device="meta"), torch.zeros(1, 1, 3, 3, device="meta")
    with pytest.raises(ValueError, match="x is on meta; expected cpu, as TRITON_INTERPRET is set"):
        kernels.conv2d(x, weight)
