"""Local connections: by hand, gradients by finite differences, at NaN and infinity, and what they refuse."""

import numpy as np
import pytest
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients


@both
def test_every_position_has_its_own_filter(backend):
    ops, array = backend.ops, backend.array
    x = array([[[[1, 2, 3], [4, 5, 6]]]])
    weight = array(np.array([[[1, 0], [0, 1]]], float).reshape(1, 2, 1, 1, 1, 2))  # left position: first tap
    y = ops.locally_connected2d(x[:, :, :1], weight, array([[[10], [20]]]))
    assert_close(y, array([[[[11, 23]]]]), rtol=0)
    with pytest.raises(ValueError, match=r"weight has shape \(1, 2, 1, 1, 1, 2\); expected \(2, 2, 1, 1, 1, 2\)"):
        ops.locally_connected2d(x, weight)
    weight = array(np.array([[1, 10], [100, 1000]], float).reshape(2, 2, 1, 1, 1, 1))
    y = ops.locally_connected2d(x, weight, stride=(1, 2))
    assert_close(y, array([[[[1, 30], [400, 6000]]]]), rtol=0)


@both
def test_groups_do_not_mix(backend):
    x = backend.array([[[[1]], [[10]], [[100]], [[1000]]]])
    weight = backend.array([[[[[[1]], [[2]]], [[[3]], [[4]]]]]])
    y = backend.ops.locally_connected2d(x, weight, groups=2)
    assert_close(y, backend.array([[[[21]], [[4300]]]]), rtol=0)


def test_gradients_are_those_of_finite_differences():
    options = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2), "groups": 2}
    generator = np.random.default_rng(0)
    operands = tuple(generator.normal(size=s) for s in ((2, 4, 4, 3), (2, 3, 2, 2, 2, 2), (2, 3, 2)))
    grad_output = generator.normal(size=ops_numpy.locally_connected2d(*operands, **options).shape)
    check_gradients(
        lambda *values: ops_numpy.locally_connected2d(*values, **options),
        ops_numpy.locally_connected2d_backward(grad_output, *operands[:2], **options),
        operands,
        grad_output,
    )


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_the_windows_they_lie_in(backend, value):
    x, weight = np.ones((1, 1, 1, 4)), np.ones((1, 3, 1, 1, 1, 2))
    x[..., 3] = value
    y = backend.ops.locally_connected2d(backend.array(x), backend.array(weight))
    assert_close(y, backend.array([[[[2, 2, value]]]]), rtol=0)
    weight[0, 2] = 0  # 0 · ∞ is not a number
    with np.errstate(invalid="ignore"):
        y = backend.ops.locally_connected2d(backend.array(x), backend.array(weight))
    assert_close(y, backend.array([[[[2, 2, np.nan]]]]), rtol=0)


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_batch_is_allowed_and_the_dtype_kept(backend, dtype):
    shapes = ((0, 2, 5, 4), (3, 2, 4, 2, 3, 3), (3, 2, 4))
    x, weight, bias = (backend.array(np.ones(s), dtype) for s in shapes)
    y = backend.ops.locally_connected2d(x, weight, bias)
    assert tuple(y.shape) == (0, 4, 3, 2)
    grads = backend.ops.locally_connected2d_backward(y, x, weight)
    for gradient, shape in zip(grads, shapes, strict=True):
        assert_close(gradient, backend.array(np.zeros(shape), dtype), rtol=0)


@both
def test_bad_input_is_named(backend):
    array = backend.array
    x, weight = array(np.ones((2, 4, 5, 5))), array(np.ones((3, 3, 6, 4, 3, 3)))

    def refuses(message, x=x, weight=weight, bias=None, **options):
        with pytest.raises(ValueError, match=message):
            backend.ops.locally_connected2d(x, weight, bias, **options)

    refuses(r"x has shape \(4, 5, 5\); expected 4 axes \(N, C, H, W\)", x=x[0])
    refuses(r"weight has shape .*; expected 6 axes \(H_out, W_out, C_out, C_in // groups, kh, kw\)", weight=weight[0])
    refuses(r"weight has shape .*; expected 2 in its fourth axis, the 4 channels of x over groups 2", groups=2)
    refuses("groups is 3; expected a divisor of the 4 input and 6 output channels", groups=3)
    refuses(r"weight has shape .*; expected \(5, 5, 6, 4, 3, 3\)", padding=1)
    refuses("weight has dtype float32; expected float64", weight=array(np.ones((3, 3, 6, 4, 3, 3)), "float32"))
    refuses(r"bias has shape \(6,\); expected \(3, 3, 6\)", bias=array(np.ones(6)))
    refuses("bias has dtype float32; expected float64", bias=array(np.ones((3, 3, 6)), "float32"))
    refuses("kernel_size is 6 along the height", weight=array(np.ones((3, 3, 6, 4, 6, 3))))
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 6, 5, 5\); expected \(2, 6, 3, 3\)"):
        backend.ops.locally_connected2d_backward(array(np.ones((2, 6, 5, 5))), x, weight)
    with pytest.raises(ValueError, match="grad_output has dtype float32; expected float64, that of x"):
        backend.ops.locally_connected2d_backward(array(np.ones((2, 6, 3, 3)), "float32"), x, weight)
