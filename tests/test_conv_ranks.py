"""Convolutions along one and three axes and transposed ones: by hand, at NaN and infinity, and what they refuse."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import ops_numpy
from cnnlib.testing import assert_close, check_gradients

# name: the shapes of x and weight, options
LAYERS = {
    "conv1d": ((2, 2, 5), (4, 1, 3), {"stride": 2, "padding": ((0, 2),), "groups": 2}),
    "conv2d": ((2, 2, 4, 5), (4, 1, 3, 2), {"stride": (2, 1), "padding": ((0, 2), (1, 0)), "groups": 2}),
    "conv3d": ((2, 2, 3, 4, 3), (4, 1, 2, 3, 2), {"stride": (1, 2, 1), "padding": (0, 1, 0), "groups": 2}),
    "conv_transpose1d": ((2, 2, 3), (2, 2, 3), {"stride": 2, "output_padding": 1, "groups": 2}),
    "conv_transpose2d": ((2, 2, 2, 3), (2, 2, 3, 2), {"stride": (2, 1), "output_padding": (1, 0), "groups": 2}),
    "conv_transpose3d": ((2, 2, 2, 1, 3), (2, 2, 2, 2, 1), {"stride": 2, "padding": (1, 0, 0), "groups": 2}),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


@both
def test_sequences_by_hand(backend):
    ops, array = backend.ops, backend.array
    x, weight = array([[[1, 2, 3, 4]]]), array([[[1, 10]]])
    assert_close(ops.conv1d(x, weight, array([100])), array([[[121, 132, 143]]]), rtol=0)  # not flipped: 2 · 10 + 1
    assert_close(ops.conv1d(x, weight, stride=2), array([[[21, 43]]]), rtol=0)
    assert_close(ops.conv1d(x, weight, dilation=2), array([[[31, 42]]]), rtol=0)
    assert_close(ops.conv1d(x, weight, padding=((2, 0),)), array([[[0, 10, 21, 32, 43]]]), rtol=0)
    y = ops.conv_transpose1d(x, weight, array([100]), stride=3, padding=((0, 2),), output_padding=1)
    assert_close(y, array([[[101, 110, 100, 102, 120, 100, 103, 130, 100, 104]]]), rtol=0)


@both
def test_the_three_axes_are_kept_apart(backend):
    x = np.zeros((1, 1, 2, 3, 4))
    x[0, 0, 1, 2, 3] = 1  # one voxel, the last
    taps = np.array([2.0, 3.0, 5.0])
    for axis, size in enumerate((2, 3, 4)):
        shape = [1] * 3
        shape[axis] = 2
        weight = backend.array(taps[:2].reshape(1, 1, *shape))
        pads = [(0, 0)] * 3
        pads[axis] = (0, 1)
        expected = x.copy() * 2
        before = [1, 2, 3]
        before[axis] -= 1
        expected[(0, 0, *before)] = 3
        y = backend.ops.conv3d(backend.array(x), weight, padding=tuple(pads))
        assert y.shape[2 + axis] == size
        assert_close(y, backend.array(expected), rtol=0)


@both
def test_same_lower_takes_pairs(backend):
    x, weight = backend.array([[[1, 2, 3]]]), backend.array([[[1, 10]]])
    upper, lower = backend.ops.conv1d(x, weight, padding="same"), backend.ops.conv1d(x, weight, padding=((1, 0),))
    assert_close(upper, backend.array([[[21, 32, 3]]]), rtol=0)
    assert_close(lower, backend.array([[[10, 21, 32]]]), rtol=0)


def test_same_is_torchs():
    x, weight = torch.arange(1.0, 13).reshape(1, 1, 3, 4), torch.arange(1.0, 9).reshape(1, 1, 2, 4)
    with pytest.warns(UserWarning, match="even kernel lengths"):
        theirs = F.conv2d(x, weight, padding="same")
    assert_close(ops_numpy.conv2d(x.numpy(), weight.numpy(), padding="same"), theirs)


@every_layer
def test_gradients_are_those_of_finite_differences(name):
    x_size, weight_size, options = LAYERS[name]
    generator = np.random.default_rng(0)
    operands = tuple(generator.normal(size=s) for s in (x_size, weight_size, (4,)))
    forward, backward = getattr(ops_numpy, name), getattr(ops_numpy, f"{name}_backward")
    grad_output = generator.normal(size=forward(*operands, **options).shape)
    gradients = backward(grad_output, *operands[:2], **options)
    check_gradients(lambda *values: forward(*values, **options), gradients, operands, grad_output)


@both
@every_layer
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_propagate_as_in_torch(backend, name, value):
    x_size, weight_size, options = LAYERS[name]
    if "transpose" not in name:
        options = options | {"padding": 1}  # torch knows no pairs
    size = getattr(ops_numpy, name)(np.ones(x_size), np.ones(weight_size), **options).shape
    for struck in range(3):  # x, the weight, the upstream gradient
        x, weight, grad_output = np.ones(x_size), np.ones(weight_size), np.ones(size)
        weight[0].flat[0] = 0  # 0 · ∞ is not a number
        (x, weight, grad_output)[struck][0, 0].flat[-1] = value
        leaves = [torch.tensor(v, requires_grad=True) for v in (x, weight)]
        theirs = getattr(F, name)(*leaves, **options)
        expected = theirs, *torch.autograd.grad(theirs, leaves, torch.tensor(grad_output))
        x, weight, grad_output = map(backend.array, (x, weight, grad_output))
        with np.errstate(invalid="ignore"):
            y = getattr(backend.ops, name)(x, weight, **options)
            grads = getattr(backend.ops, f"{name}_backward")(grad_output, x, weight, **options)
        for ours, other in zip((y, *grads[:2]), expected, strict=True):
            assert_close(ours, other)
        assert not all(np.isfinite(np.asarray(v)).all() for v in (y, *grads))


@both
@every_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_batch_is_allowed_and_the_dtype_kept(backend, name, dtype):
    x_size, weight_size, options = LAYERS[name]
    x, weight = backend.array(np.ones((0, *x_size[1:])), dtype), backend.array(np.ones(weight_size), dtype)
    y = getattr(backend.ops, name)(x, weight, backend.array(np.ones(4), dtype), **options)
    assert tuple(y.shape[:2]) == (0, 4)
    grads = getattr(backend.ops, f"{name}_backward")(y, x, weight, **options)
    for gradient, shape in zip(grads, (x.shape, weight_size, (4,)), strict=True):
        assert_close(gradient, backend.array(np.zeros(tuple(shape)), dtype), rtol=0)


def test_a_large_batch_is_taken_a_few_images_at_a_time():
    generator = np.random.default_rng(0)
    x, weight, grad_output = (generator.normal(size=s) for s in ((7, 2, 5, 5), (3, 2, 3, 3), (7, 3, 3, 3)))
    whole = ops_numpy.conv2d(x, weight), *ops_numpy.conv2d_backward(grad_output, x, weight)
    for images in (1, 2, 6):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cnnlib.ops_numpy._correlation.COLUMNS", images * 2 * 9 * 9 + 1)
            few = ops_numpy.conv2d(x, weight), *ops_numpy.conv2d_backward(grad_output, x, weight)
        for ours, expected in zip(few, whole, strict=True):
            assert_close(ours, expected)


def test_the_columns_of_a_whole_batch_are_never_built():
    x, weight = np.ones((32, 16, 32, 32), "float32"), np.ones((16, 16, 3, 3), "float32")  # columns: 18 MiB
    tracemalloc.start()
    y = ops_numpy.conv2d(x, weight, padding=1)
    ops_numpy.conv2d_backward(y, x, weight, padding=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20


@both
def test_bad_input_is_named_along_one_axis(backend):
    conv1d, array = backend.ops.conv1d, backend.array
    x, weight = array(np.ones((2, 4, 5))), array(np.ones((6, 4, 3)))
    with pytest.raises(ValueError, match=r"x has shape \(2, 4, 5, 1\); expected 3 axes \(N, C, L\)"):
        conv1d(array(np.ones((2, 4, 5, 1))), weight)
    with pytest.raises(ValueError, match=r"weight has shape \(6, 4\); expected 3 axes \(C_out, C_in // groups, k\)"):
        conv1d(x, array(np.ones((6, 4))))
    with pytest.raises(ValueError, match=r"x has shape \(2, 4, 0\); expected no axis but N to be empty"):
        conv1d(array(np.ones((2, 4, 0))), weight)
    with pytest.raises(ValueError, match="x has dtype float16; expected float32 or float64"):
        conv1d(array(np.ones((2, 4, 5)), "float16"), weight)
    with pytest.raises(ValueError, match="kernel_size is 3 with dilation 3"):
        conv1d(x, weight, dilation=3)
    with pytest.raises(ValueError, match=r"stride is \(1, 1\); expected an integer or 1 integers"):
        conv1d(x, weight, stride=(1, 1))
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 6, 5\); expected \(2, 6, 3\)"):
        backend.ops.conv1d_backward(array(np.ones((2, 6, 5))), x, weight)
    with pytest.raises(ValueError, match=r"x has shape \(4, 5\); expected 3 axes \(N, C, L\)"):
        backend.ops.conv_transpose1d(x[0], weight)


@both
def test_bad_input_is_named_along_three_axes(backend):
    conv3d, array = backend.ops.conv3d, backend.array
    x, weight = array(np.ones((2, 4, 5, 5, 5))), array(np.ones((6, 4, 3, 3, 3)))
    with pytest.raises(ValueError, match=r"x has shape \(4, 5, 5, 5\); expected 5 axes \(N, C, D, H, W\)"):
        conv3d(x[0], weight)
    with pytest.raises(ValueError, match=r"expected 5 axes \(C_out, C_in // groups, kd, kh, kw\)"):
        conv3d(x, weight[0])
    with pytest.raises(ValueError, match="kernel_size is 6 along the depth; expected a span of at most 5"):
        conv3d(x, array(np.ones((6, 4, 6, 3, 3))))
    with pytest.raises(ValueError, match=r"padding is \(1, 1\); expected a non-negative integer, 3 integers, 3 pairs"):
        conv3d(x, weight, padding=(1, 1))
    with pytest.raises(ValueError, match="weight has dtype float32; expected float64, that of x"):
        conv3d(x, array(np.ones((6, 4, 3, 3, 3)), "float32"))
    with pytest.raises(ValueError, match="groups is 3; expected a divisor of the 4 input and 6 output channels"):
        conv3d(x, weight, groups=3)
    transposed = array(np.ones((4, 6, 3, 3, 3)))
    with pytest.raises(ValueError, match=r"output_padding is \(0, 0, 1\); expected less than the stride 1"):
        backend.ops.conv_transpose3d(x, transposed, output_padding=(0, 0, 1))
    with pytest.raises(ValueError, match="padding is 4; expected less, as the depth of the output is -1"):
        backend.ops.conv_transpose3d(x, transposed, padding=4)
    with pytest.raises(ValueError, match=r"grad_output has shape .*; expected \(2, 6, 7, 7, 7\)"):
        backend.ops.conv_transpose3d_backward(x, x, transposed)
