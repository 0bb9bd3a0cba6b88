"""Max and mean pooling at ties, NaN and infinity, exactly; their gradients; what they refuse."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import nn_torch, ops_numpy
from cnnlib.testing import assert_close, check_gradients

NAN, INF = np.nan, np.inf


@both
def test_the_first_maximum_wins_a_tie(backend):
    x = backend.array([[[[1, 1, 0], [1, 1, 2], [0, 2, 2]]]])
    y, indices = backend.ops.max_pool2d(x, 2, stride=1)
    assert_close(y, backend.array([[[[1, 2], [2, 2]]]]), rtol=0)
    assert_close(indices, backend.array([[[[0, 5], [7, 5]]]], "int64"), rtol=0)
    grad_x = backend.ops.max_pool2d_backward(backend.array([[[[1, 10], [100, 1000]]]]), indices, input_size=(3, 3))
    assert_close(grad_x, backend.array([[[[1, 0, 0], [0, 0, 1010], [0, 100, 0]]]]), rtol=0)


@both
@pytest.mark.parametrize(
    ("row", "index"),
    [
        ([0, NAN, 5, NAN], 3),  # the last NaN
        ([NAN, 1, 2, 3], 0),
        ([INF, NAN, 0, 0], 1),
        ([-INF, -INF, -INF, -INF], 0),
        ([-0.0, 0.0, 0.0, -0.0], 0),  # −0 and 0 tie
        ([3, INF, INF, 0], 1),
    ],
)
def test_special_values(backend, row, index):
    y, indices = backend.ops.max_pool2d(backend.array([[[row]]]), (1, 4))
    assert_close(y, backend.array([[[[row[index]]]]]), rtol=0)
    assert indices.item() == index == int(F.max_pool2d(torch.tensor([[[row]]]), (1, 4), return_indices=True)[1])


@both
@pytest.mark.parametrize("dilation", [1, 2])
def test_padding_never_wins(backend, dilation):
    x = backend.array(np.full((1, 1, 5, 5), -INF))
    y, indices = backend.ops.max_pool2d(x, 3, stride=2, padding=((1, 0), (0, 1)), dilation=dilation)
    assert bool((y == -INF).all())
    starts = {1: [(0, 0), (0, 2)], 2: [(1, 0)]}[dilation]  # the first real pixel of each window of the first row
    assert indices[0, 0, 0].tolist() == [5 * row + column for row, column in starts]


@both
@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks_count_their_pixels_in_row_major_order(backend, rank):
    x = backend.array(np.eye(3)[:rank].reshape(1, 1, *[3] * (rank == 3), *[1] * (rank == 3), 3))
    pool, backward = (getattr(backend.ops, f"max_pool{rank}d{end}") for end in ("", "_backward"))
    y, indices = pool(x, (3, 1, 2)[-rank:], stride=1)
    assert_close(y.reshape(-1), backend.array({1: [1, 0], 3: [1, 1]}[rank]), rtol=0)
    assert_close(indices.reshape(-1), backend.array({1: [0, 1], 3: [0, 4]}[rank], "int64"), rtol=0)
    grad_x = backward(backend.array(np.full(tuple(y.shape), 5)), indices, input_size=tuple(x.shape[2:]))
    assert_close(grad_x.reshape(-1), backend.array({1: [5, 5, 0], 3: [5, 0, 0, 0, 5, 0, 0, 0, 0]}[rank]), rtol=0)


@both
def test_minus_zero_keeps_its_sign(backend):
    y, _ = backend.ops.max_pool2d(backend.array([[[[-0.0, 0.0, 0.0, -0.0]]]]), (1, 2))
    assert np.signbit(np.asarray(y)).ravel().tolist() == [True, False]  # the first of a tie


@both
def test_a_window_may_overhang_in_ceil_mode_alone(backend):
    x = backend.array([[[1, 2, 3]]])
    y, indices = backend.ops.max_pool1d(
        x, 5, ceil_mode=True
    )  # larger than the input by less than a stride, as in torch
    assert y.item() == 3 == F.max_pool1d(torch.tensor([[[1.0, 2.0, 3.0]]]), 5, ceil_mode=True).item()
    assert indices.item() == 2
    assert_close(backend.ops.avg_pool1d(x, 5, ceil_mode=True), backend.array([[[2]]]))
    with pytest.raises(ValueError, match="kernel_size is 5 along the width; expected a span of at most 3"):
        backend.ops.max_pool1d(x, 5)
    with pytest.raises(ValueError, match=r"a span of at most 4, the input's 3, padding \(0, 0\) and an overhang of 1"):
        backend.ops.avg_pool1d(x, 5, stride=2, ceil_mode=True)


@both
def test_the_mean_at_the_border(backend):
    x = backend.array([[[[1, 2, 3]]]])
    padded = backend.ops.avg_pool2d(x, (1, 2), padding=(0, 1))
    assert_close(padded, backend.array([[[[0.5, 2.5]]]]), rtol=0)
    real = backend.ops.avg_pool2d(x, (1, 2), padding=(0, 1), count_include_pad=False)
    assert_close(real, backend.array([[[[1, 2.5]]]]), rtol=0)
    overhanging = backend.ops.avg_pool2d(x, (1, 2), ceil_mode=True)
    assert_close(overhanging, backend.array([[[[1.5, 3]]]]), rtol=0)


@both
def test_the_mean_spreads_its_gradient(backend):
    grad_x = backend.ops.avg_pool2d_backward(backend.array([[[[2, 4]]]]), (1, 2), input_size=(1, 3), stride=1)
    assert_close(grad_x, backend.array([[[[1, 3, 2]]]]), rtol=0)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradients_are_those_of_finite_differences(rank):
    generator = np.random.default_rng(0)
    size = ((7,), (6, 5), (3, 4, 3))[rank - 1]
    x = generator.permutation(6 * int(np.prod(size))).reshape(2, 3, *size) / 10.0  # no ties: no kink nearby
    largest, mean = (getattr(ops_numpy, f"{name}_pool{rank}d") for name in ("max", "avg"))
    to_largest, to_mean = (getattr(ops_numpy, f"{name}_pool{rank}d_backward") for name in ("max", "avg"))
    for options in ({}, {"stride": 2}, {"stride": 1, "padding": 1}, {"stride": 2, "ceil_mode": True, "padding": 1}):
        y, indices = largest(x, 3, **options)
        grad_output = generator.normal(size=y.shape)
        grad_x = to_largest(grad_output, indices, input_size=size)
        check_gradients(lambda x, o=options: largest(x, 3, **o)[0], [grad_x], [x], grad_output)
        grad_x = to_mean(grad_output, 3, input_size=size, **options)
        check_gradients(lambda x, o=options: mean(x, 3, **o), [grad_x], [x], grad_output)


def test_gradcheck_passes():
    generator = torch.Generator().manual_seed(0)
    x = torch.randperm(100, generator=generator).double().reshape(1, 4, 5, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: nn_torch.MaxPool2dFunction.apply(x, 3, 2, 1)[0], x)
    assert torch.autograd.gradcheck(lambda x: nn_torch.AvgPool2dFunction.apply(x, 3, 2, 1), x)


@both
def test_an_empty_batch_is_allowed(backend):
    x = backend.array(np.zeros((0, 2, 4, 4)))
    y, indices = backend.ops.max_pool2d(x, 2)
    assert tuple(y.shape) == tuple(indices.shape) == (0, 2, 2, 2)
    assert tuple(backend.ops.max_pool2d_backward(y, indices, input_size=4).shape) == (0, 2, 4, 4)
    assert tuple(backend.ops.avg_pool2d(x, 2).shape) == (0, 2, 2, 2)
    assert tuple(backend.ops.avg_pool2d_backward(y, 2, input_size=4).shape) == (0, 2, 4, 4)


@both
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
def test_bad_input_of_other_ranks_is_named(backend, name, rank):
    pool, backward = (getattr(backend.ops, f"{name}{rank}d{end}") for end in ("", "_backward"))
    plane = backend.array(np.ones((1, 1, 5, 5)))
    other = {"max_pool": {"indices": plane}, "avg_pool": {"kernel_size": 2}}[name]
    with pytest.raises(ValueError, match=rf"x has shape \(1, 1, 5, 5\); expected {rank + 2} axes"):
        pool(plane, 2)
    with pytest.raises(ValueError, match=rf"grad_output has shape \(1, 1, 5, 5\); expected {rank + 2} axes"):
        backward(plane, **other, input_size=5)
    with pytest.raises(ValueError, match="input_size is 0"):
        backward(plane.reshape(1, 1, *[25, 1, 1][:rank]), **other, input_size=0)


@both
def test_a_window_must_see_a_pixel(backend):
    with pytest.raises(ValueError, match=r"padding is \(1, 1\); expected that no window lies wholly in it"):
        backend.ops.max_pool1d(backend.array([[[1.0]]]), 2, padding=1, dilation=2)  # its taps step over the pixel


@both
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_bad_input_is_named(backend, name):
    pool, x = getattr(backend.ops, name), backend.array(np.ones((1, 1, 5, 5)))
    for call, message in (
        (lambda: pool(x[0], 2), r"x has shape \(1, 5, 5\); expected 4 axes"),
        (lambda: pool(backend.array(np.ones((1, 1, 5, 5)), "int32"), 2), "x has dtype int32"),
        (lambda: pool(x, 6), "kernel_size is 6 along the height; expected a span of at most 5"),
        (lambda: pool(x, 0), "kernel_size is 0"),
        (lambda: pool(x, 2, stride=0), "stride is 0"),
        (lambda: pool(x, 2, padding=2), "padding is 2; expected at most 1"),
        (lambda: pool(backend.array(np.ones((1, 1, 0, 5))), 2), "expected no axis but N to be empty"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@both
def test_bad_input_of_the_backward_is_named(backend):
    ops, array = backend.ops, backend.array
    grad_output = array(np.ones((1, 1, 2, 2)))
    for call, message in (
        (lambda: ops.max_pool2d_backward(grad_output, grad_output, input_size=4), "indices is .*float64"),
        (
            lambda: ops.max_pool2d_backward(grad_output, array(np.full((1, 1, 2, 2), 16), "int64"), input_size=4),
            "indices runs from 16 to 16; expected 0 to 15",
        ),
        (lambda: ops.max_pool2d_backward(grad_output, None, input_size=4), "indices is NoneType"),
        (lambda: ops.avg_pool2d_backward(grad_output, 2, input_size=8), r"grad_output has shape \(1, 1, 2, 2\); exp"),
        (lambda: ops.avg_pool2d(array(np.ones((1, 1, 5, 5))), 2, divisor_override=0), "divisor_override is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
