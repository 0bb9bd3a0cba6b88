"""Every pooling and upsampling at NaN, ±∞ and −0.0 as in torch; empty batches; both dtypes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both
from test_twins_pool import blurred

from cnnlib.testing import assert_close

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1.0, 2.0, -3.0, 1e4, -1e4)
OVERLAP = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
POWER = {"kernel_size": 2, "stride": 1}
# operator, its options, what torch makes of it, the size of its input
OPERATORS = [
    *[(f"max_pool{n}d", OVERLAP, getattr(F, f"max_pool{n}d"), (6,) * n) for n in (1, 2, 3)],
    *[(f"avg_pool{n}d", OVERLAP, getattr(F, f"avg_pool{n}d"), (6,) * n) for n in (1, 2, 3)],
    ("adaptive_avg_pool2d", {"output_size": (3, 4)}, F.adaptive_avg_pool2d, (7, 6)),
    # not p = ½: torch takes (−0)^(−½) for −∞, others for ∞
    *[("lp_pool2d", {**POWER, "norm_type": p}, F.lp_pool2d, (5, 6)) for p in (1, 2, 3, 0.7, 2.5)],
    *[("blur_pool2d", {"kernel_size": k, "stride": 2}, blurred, (6, 7)) for k in (3, 4)],
    ("upsample_nearest2d", {"size": (7, 11)}, F.interpolate, (4, 5)),
    *[
        ("upsample_bilinear2d", options, lambda x, **o: F.interpolate(x, mode="bilinear", **o), (4, 5))
        for options in ({"size": (7, 11)}, {"size": (4, 10)}, {"size": (8, 9), "align_corners": True}, {"size": (2, 1)})
    ],
]
every = pytest.mark.parametrize(("name", "options", "reference", "size"), OPERATORS)


def counting(shape):
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


def apply(ops, name, options, x, upstream):
    """Return the output and, for upstream(output), the gradient of x."""
    y = getattr(ops, name)(x, **options)
    y, indices = y if isinstance(y, tuple) else (y, None)
    grad_output, backward = upstream(y), getattr(ops, f"{name}_backward")
    size = tuple(x.shape[2:])
    if indices is not None:
        return y, backward(grad_output, indices, input_size=size)
    if name == "lp_pool2d":
        return y, backward(grad_output, x, **options)
    return y, backward(grad_output, input_size=size, **{k: v for k, v in options.items() if k != "output_size"})


@both
@every
def test_special_values_propagate_as_in_torch(backend, name, options, reference, size):
    values = np.random.default_rng(0).choice(SPECIAL, (8, 4, *size))
    values[2:4] = np.where(np.isfinite(values[2:4]), values[2:4], 0.0)  # some images of zeros, their signs and ties
    x = backend.array(values)
    y, grad_x = apply(backend.ops, name, options, x, lambda y: backend.array(counting(tuple(y.shape))))
    leaf = torch.tensor(values, requires_grad=True)
    expected = reference(leaf, **options)
    assert_close(y, expected)
    assert_close(grad_x, torch.autograd.grad(expected, leaf, torch.tensor(counting(tuple(expected.shape))))[0])


@both
@every
def test_special_gradients_propagate_as_in_torch(backend, name, options, reference, size):
    values = np.random.default_rng(0).normal(size=(8, 4, *size))
    leaf = torch.tensor(values, requires_grad=True)
    expected = reference(leaf, **options)
    upstream = np.random.default_rng(1).choice((*SPECIAL, *[1.0] * 20), tuple(expected.shape))
    _, grad_x = apply(backend.ops, name, options, backend.array(values), lambda y: backend.array(upstream))
    assert_close(grad_x, torch.autograd.grad(expected, leaf, torch.tensor(upstream))[0])


@both
@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_batch_is_allowed_and_the_dtype_is_kept(backend, name, options, reference, size, dtype):
    for N in (0, 1):
        x = backend.array(np.ones((N, 2, *size)), dtype)
        y, grad_x = apply(backend.ops, name, options, x, lambda y: y)
        assert y.dtype == grad_x.dtype == x.dtype
        assert tuple(grad_x.shape) == tuple(x.shape)
        assert tuple(y.shape) == tuple(reference(torch.ones(N, 2, *size), **options).shape)


@both
@every
@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_other_dtypes_are_refused(backend, name, options, reference, size, dtype):
    with pytest.raises(ValueError, match=f"x has dtype {dtype}; expected float32 or float64"):
        getattr(backend.ops, name)(backend.array(np.ones((1, 1, *size)), dtype), **options)
