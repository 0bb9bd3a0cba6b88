"""What the chapter on back-propagation says of pooling, computed again."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_06 import functions

from cnnlib.data import digits
from cnnlib.ops_numpy import (
    avg_pool2d,
    avg_pool2d_backward,
    conv2d,
    max_pool2d,
    max_pool2d_backward,
    relu,
)
from cnnlib.testing import adjoint_gap

G = np.array([[1.0, 2], [3, 4]])


@pytest.fixture(scope="module")
def chapter():
    return functions()


def test_b5_the_first_of_tied_pixels_gets_the_gradient_here_and_in_torch():
    x = np.array([[1.0, 3, 2, 2], [4, 2, 0, 2], [5, 5, 1, 0], [0, 5, 0, 0]])
    expected = [[0, 0, 2, 0], [1, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    _, where = max_pool2d(x[None, None], 2)
    np.testing.assert_array_equal(max_pool2d_backward(G[None, None], where, input_size=(4, 4))[0, 0], expected)
    t = torch.tensor(x[None, None], requires_grad=True)
    (grad,) = torch.autograd.grad(F.max_pool2d(t, 2), t, torch.tensor(G[None, None]))
    np.testing.assert_array_equal(grad[0, 0], expected)


def test_e23_the_upstream_gradients_are_summed_where_windows_overlap():
    x = np.array([[1.0, 2, 3], [4, 9, 5], [6, 7, 8]])
    y, where = max_pool2d(x[None, None], 2, stride=1)
    assert (y == 9).all()
    expected = [[0, 0, 0], [0, 10, 0], [0, 0, 0]]
    np.testing.assert_array_equal(max_pool2d_backward(G[None, None], where, input_size=(3, 3))[0, 0], expected)
    t = torch.tensor(x[None, None], requires_grad=True)
    (grad,) = torch.autograd.grad(F.max_pool2d(t, 2, stride=1), t, torch.tensor(G[None, None]))
    np.testing.assert_array_equal(grad[0, 0], expected)


def test_b5_pooling_backward_in_loops_in_numpy_and_in_torch_is_the_transpose(chapter):
    rng = np.random.default_rng(14)
    for size, stride in ((2, 2), (3, 2), (2, 1)):
        x = rng.normal(size=(9, 9))
        y, where = (a[0, 0] for a in max_pool2d(x[None, None], size, stride=stride))
        v = rng.normal(size=y.shape)
        loops = chapter["max_pool_backward_loops"](v, x, size, stride)
        np.testing.assert_array_equal(chapter["max_pool_backward_numpy"](v, where, (9, 9)), loops)
        assert adjoint_gap(y, v, x, loops) < 1e-12
        average = avg_pool2d(x[None, None], size, stride=stride)[0, 0]
        shares = chapter["avg_pool_backward_loops"](v, (9, 9), size, stride)
        assert adjoint_gap(average, v, x, shares) < 1e-12
        expected = avg_pool2d_backward(v[None, None], size, stride=stride, input_size=(9, 9))[0, 0]
        np.testing.assert_allclose(shares, expected, rtol=1e-12, atol=1e-15)
    t = torch.tensor(rng.normal(size=(2, 3, 6, 4)), requires_grad=True)
    assert torch.autograd.gradcheck(chapter["MaxPool"].apply, [t])
    v = torch.tensor(rng.normal(size=(2, 3, 3, 2)))
    (ours,) = torch.autograd.grad(chapter["MaxPool"].apply(t), t, v)
    (theirs,) = torch.autograd.grad(F.max_pool2d(t, 2), t, v)
    assert torch.equal(ours, theirs)


def test_b5_average_pooling_spreads_evenly():
    grad = avg_pool2d_backward(4 * G[None, None], 2, input_size=(4, 4))[0, 0]
    np.testing.assert_array_equal(grad, np.kron(G, np.ones((2, 2))))
    x = np.random.default_rng(10).normal(size=(1, 1, 4, 4))
    np.testing.assert_allclose(
        avg_pool2d(x, 2), conv2d(x, np.full((1, 1, 2, 2), 0.25), stride=2), rtol=1e-12, atol=1e-15
    )


def test_b5_at_a_tie_there_are_two_slopes():
    def biggest(pair):
        return max_pool2d(np.array([[[pair]]]), (1, 2))[0].item()

    assert (biggest([2 + 1e-6, 2.0]) - biggest([2.0, 2.0])) / 1e-6 == pytest.approx(1)
    assert (biggest([2.0, 2.0]) - biggest([2 - 1e-6, 2.0])) / 1e-6 == 0
    t = torch.tensor([[[2.0, 2.0]]], requires_grad=True)
    assert torch.autograd.grad(torch.amax(t), t)[0].tolist() == [[[0.5, 0.5]]]


def _first_layer(bias):
    images, _ = digits()
    kernels = np.random.default_rng(2).normal(size=(8, 1, 3, 3))
    return relu(conv2d(images[:, None], kernels, np.full(8, bias), padding=1))


def _ties(maps):
    cells = maps.reshape(1797, 8, 4, 2, 4, 2).swapaxes(3, 4).reshape(-1, 4)
    top = cells.max(axis=1)
    return (cells == top[:, None]).sum(axis=1) > 1, top


def test_b5_more_than_a_quarter_of_the_first_windows_are_tied_nearly_all_at_zero():
    tied, top = _ties(_first_layer(0.0))
    assert 0.25 < tied.mean() < 0.33
    assert (tied & (top > 0)).mean() < 1e-3


def test_exercise_4_with_positive_biases_the_blank_paper_ties_above_zero():
    tied, top = _ties(_first_layer(0.1))
    assert 0.18 < tied.mean() < 0.24  # about a fifth …
    assert 0.38 < (tied & (top > 0)).sum() / tied.sum() < 0.45  # … and two in five of them above zero


@pytest.mark.parametrize(("bias", "low", "high"), [(0.0, 1 - 1e-12, 1.001), (0.1, 1.1, 1.26)])
def test_exercise_4_the_one_liner_pays_every_tied_pixel_in_full(bias, low, high):
    def spread(a):
        return a.repeat(2, axis=2).repeat(2, axis=3)

    maps = _first_layer(bias)
    y, where = max_pool2d(maps, 2)
    grad = np.ones_like(y)
    due, paid = (
        (g * (maps > 0)).sum(axis=(0, 2, 3))  # what reaches the bias of each channel through the ReLU
        for g in (max_pool2d_backward(grad, where, input_size=(8, 8)), spread(grad) * (maps == spread(y)))
    )
    assert ((low <= paid / due) & (paid / due < high)).all()
