"""What the chapter on back-propagation says of convolution, computed again."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_06 import functions

from cnnlib import nn_numpy
from cnnlib.data import digits
from cnnlib.ops_numpy import (
    conv2d,
    conv2d_backward,
    conv2d_matrix,
)
from cnnlib.testing import DECK_FILTER, adjoint_gap, numerical_gradient, relative_error
from cnnlib.widgets import BackwardExplorer

X3 = np.array([[1.0, 2, 0], [3, -1, 2], [0, 1, 1]])
W2 = np.array([[1.0, 2], [-1, 3]])
G = np.array([[1.0, 2], [3, 4]])


@pytest.fixture(scope="module")
def chapter():
    return functions()


@pytest.fixture(scope="module")
def digit():
    """The chapter's first layer: a digit, a random kernel, a Sobel target."""
    images, _ = digits()
    x = images[0][None, None]
    sobel = np.array([[[[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]]])
    target = conv2d(x, sobel, padding=1)
    weight = np.random.default_rng(0).normal(size=(1, 1, 3, 3))
    return x, weight, target


# One weight, many uses


def test_a_shared_weights_slope_is_the_sum_of_its_64_products(digit):
    x, weight, target = digit
    measured = numerical_gradient(lambda w: 0.5 * np.sum((conv2d(x, w, padding=1) - target) ** 2), weight)[0, 0, 0, 2]
    products = np.pad(x[0, 0], 1)[0:8, 2:10] * (conv2d(x, weight, padding=1) - target)[0, 0]
    assert products.size == 64
    assert products.sum() == pytest.approx(measured, rel=1e-7)
    assert abs(products.sum()) < 0.45 * np.abs(products).sum()  # less than half of the sizes survives
    assert 4 < abs(products.sum()) / np.abs(products).max() < 4.5  # about four times the largest, not 64 times


def test_one_step_by_measuring_costs_more_than_ten_thousand_forward_passes():
    model = nn_numpy.digits_cnn(np.random.default_rng(0))
    assert 2 * sum(p.size for p in model.parameters.values()) > 10_000


def test_copies_forward_are_a_sum_backward(digit):
    x, weight, target = digit
    grad_output = torch.tensor(conv2d(x, weight, padding=1) - target)
    copies = torch.tensor(np.tile(weight.reshape(9, 1), (1, 64)), requires_grad=True)  # a kernel for every position
    patches = F.unfold(torch.tensor(x), 3, padding=1)[0]  # (9, 64)
    (grad,) = torch.autograd.grad((copies * patches).sum(0), copies, grad_output.reshape(64))
    shared = conv2d_backward(grad_output.numpy(), x, weight, padding=1)[1]
    np.testing.assert_allclose(grad.sum(1).numpy(), shared.ravel(), rtol=1e-12, atol=1e-12)


# E7: many paths


def test_e7_every_path_is_paid_at_the_price_of_its_own_output():
    a, b, c = 2.0, -1.0, 3.0
    g = np.array([1.0, 4.0, -2.0, 5.0])

    def loss(x):
        return np.sum(g * (a * np.r_[0, x[:-1]] + b * x + c * np.r_[x[1:], 0]))

    measured = numerical_gradient(loss, np.array([0.3, -0.7, 0.2, 0.9]))[1]
    assert measured == pytest.approx(g[0] * c + g[1] * b + g[2] * a)
    assert measured == pytest.approx(-5)
    assert g[0] * c + g[1] * b + g[1] * a == 7  # as printed on the slide: even the sign is wrong


# B1: the gradient of the weights


def test_b1_the_3_by_3_case_term_by_term(chapter):
    terms = [[np.sum(G * X3[u : u + 2, v : v + 2]) for v in (0, 1)] for u in (0, 1)]
    assert terms == [[10, 7], [5, 10]]
    measured = numerical_gradient(lambda w: np.sum(G * conv2d(X3[None, None], w[None, None])), W2)
    np.testing.assert_allclose(terms, measured, atol=1e-8)
    np.testing.assert_array_equal(chapter["grad_weight_loops"](G, X3, (2, 2)), terms)
    np.testing.assert_array_equal(conv2d(X3[None, None], G[None, None])[0, 0], terms)
    x, w = (torch.tensor(v[None, None], requires_grad=True) for v in (X3, W2))
    np.testing.assert_array_equal(torch.autograd.grad(F.conv2d(x, w), w, torch.tensor(G[None, None]))[0][0, 0], terms)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_b1_with_a_stride_the_upstream_gradient_is_dilated_first(chapter, stride):
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(8, 9)), rng.normal(size=(3, 2))
    g = rng.normal(size=conv2d(x[None, None], w[None, None], stride=stride).shape[2:])
    dilated = np.zeros([(n - 1) * stride + 1 for n in g.shape])
    dilated[::stride, ::stride] = g
    expected = conv2d_backward(g[None, None], x[None, None], w[None, None], stride=stride)[1][0, 0]
    np.testing.assert_allclose(chapter["grad_weight_loops"](g, x, (3, 2), stride), expected, rtol=1e-12)
    covered = x[: len(dilated) + 2, : dilated.shape[1] + 1]  # what the windows reached
    np.testing.assert_allclose(conv2d(covered[None, None], dilated[None, None])[0, 0], expected, rtol=1e-12)
    if stride == 3:  # pixels are left over on both axes: uncut, the correlation has not even the kernel's shape
        assert conv2d(x[None, None], dilated[None, None]).shape[2:] != (3, 2)
    if stride > 1:
        undilated = conv2d(x[: len(g) + 2, : g.shape[1] + 1][None, None], g[None, None])[0, 0]
        assert relative_error(undilated, expected) > 0.1


def test_the_explorer_shows_the_chapters_case():
    explorer = BackwardExplorer()
    assert (explorer.x, explorer.weight, explorer.grad_output) == (X3.tolist(), W2.tolist(), G.tolist())


# B4: sharing, bias, batch


def test_b4_what_a_parameter_does_not_carry_is_summed_over():
    rng = np.random.default_rng(1)
    x, w, g = rng.normal(size=(5, 3, 8, 9)), rng.normal(size=(4, 3, 3, 2)), rng.normal(size=(5, 4, 6, 8))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(2, 3))
    _, grad_weight, grad_bias = conv2d_backward(g, x, w)
    np.testing.assert_allclose(np.einsum("nfij,ncijuv->fcuv", g, windows), grad_weight, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.einsum("nfij->f", g), grad_bias, rtol=1e-12)
    one_by_one = sum(conv2d_backward(g[n : n + 1], x[n : n + 1], w)[1] for n in range(5))
    np.testing.assert_allclose(one_by_one, grad_weight, rtol=1e-12, atol=1e-12)


# B2: the gradient of the input


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_b2_scatter_gather_and_full_convolution_are_one(chapter, stride):
    rng = np.random.default_rng(4)
    for size in ((6, 6), (7, 9), (8, 5)):
        w = rng.normal(size=(3, 2))
        x = rng.normal(size=size)
        g = rng.normal(size=conv2d(x[None, None], w[None, None], stride=stride).shape[2:])
        expected = conv2d_backward(g[None, None], x[None, None], w[None, None], stride=stride)[0][0, 0]
        for way in ("grad_x_scatter", "grad_x_gather", "grad_x_slices", "grad_x_convolution"):
            np.testing.assert_allclose(chapter[way](g, w, size, stride), expected, rtol=1e-12, atol=1e-12)


def test_b2_a_gather_sees_the_kernel_turned(chapter):
    at = {(0, 0): W2[1, 1], (0, 1): W2[1, 0], (1, 0): W2[0, 1], (1, 1): W2[0, 0]}  # the centre pixel, by output
    for output, weight in at.items():
        g = np.zeros((2, 2))
        g[output] = 1
        assert chapter["grad_x_gather"](g, W2, (3, 3))[1, 1] == weight


def test_b2_pixels_that_no_window_covers_have_a_gradient_of_exactly_zero():
    without = {}
    for stride in (1, 2, 3):
        x, ones = np.zeros((1, 1, 7, 7)), np.ones((1, 1, 3, 3))
        y = conv2d(x, ones, stride=stride)
        counts = conv2d_backward(np.ones_like(y), x, ones, stride=stride)[0][0, 0]
        without[stride] = int((counts == 0).sum())
        if stride == 2:
            assert counts[3, 3] == counts[0, 0] == 1
            assert counts[2, 2] == counts[4, 4] == 4
    assert without == {1: 0, 2: 0, 3: 13}


# E8: two conventions


def _verdicts(layer):
    rng = np.random.default_rng(5)
    x, w, g = (rng.normal(size=n) for n in (9, 4, 6))
    dx = numerical_gradient(lambda v: g @ layer(v, w, "valid"), x)
    dw = numerical_gradient(lambda v: g @ layer(x, v, "valid"), w)
    padded = np.pad(g, 3)
    neumann = np.correlate(padded, w[::-1], "valid"), np.correlate(x, g, "valid")
    newson = np.convolve(padded, w[::-1], "valid"), np.convolve(g, x[::-1], "valid")
    return [[relative_error(a, b) < 1e-6 for a, b in zip(deck, (dx, dw), strict=True)] for deck in (neumann, newson)]


def test_e8_neumanns_rules_are_right_for_correlation():
    assert _verdicts(np.correlate)[0] == [True, True]
    assert _verdicts(np.convolve)[0] == [False, False]


def test_e8_newsons_rules_are_right_for_true_convolution_and_wrong_for_correlation():
    assert _verdicts(np.convolve)[1] == [True, True]
    assert _verdicts(np.correlate)[1] == [False, False]


def test_e8_without_dilation_the_rule_for_the_input_fails_at_stride_2(chapter):
    rng = np.random.default_rng(6)
    x, w, g = (rng.normal(size=(1, 1, n, n)) for n in (6, 3, 2))
    right = conv2d_backward(g, x, w, stride=2)[0]
    undilated = conv2d(np.pad(g, ((0, 0), (0, 0), (2, 4), (2, 4))), w[..., ::-1, ::-1])  # zeros at the end: 6 × 6
    assert undilated.shape == right.shape
    assert relative_error(undilated, right) > 0.1
    dilated = chapter["grad_x_convolution"](g[0, 0], w[0, 0], (6, 6), 2)
    assert relative_error(dilated, right[0, 0]) < 1e-12


# B3: the matrix and the adjoint


def test_b3_the_gradient_is_the_transposed_matrix(chapter):
    rows, columns, values, shape = conv2d_matrix(W2[None, None], (3, 3))
    A = np.zeros(shape)
    A[rows, columns] = values
    assert shape == (4, 9)
    np.testing.assert_array_equal(A @ X3.ravel(), conv2d(X3[None, None], W2[None, None]).ravel())
    np.testing.assert_array_equal(A.T @ G.ravel(), chapter["grad_x_scatter"](G, W2, (3, 3)).ravel())


def test_b3_the_adjoint_identity_holds_for_input_and_weights():
    rng = np.random.default_rng(7)
    options = {"stride": 2, "padding": 1, "dilation": 2}
    x, w = rng.normal(size=(5, 3, 8, 9)), rng.normal(size=(4, 3, 3, 2))
    y = conv2d(x, w, **options)
    v = rng.normal(size=y.shape)
    grad_x, grad_weight, _ = conv2d_backward(v, x, w, **options)
    assert adjoint_gap(y, v, x, grad_x) < 1e-12
    assert adjoint_gap(y, v, w, grad_weight) < 1e-12
    slip = conv2d_backward(v, x, w[..., ::-1, ::-1], **options)[0]
    assert adjoint_gap(y, v, x, slip) > 1e-3
    assert adjoint_gap(y, v, w, grad_weight[..., ::-1, ::-1]) > 1e-3


def test_b3_unrelated_arrays_of_that_size_leave_a_gap_of_a_few_hundredths():
    rng = np.random.default_rng(16)
    shape = conv2d(rng.normal(size=(5, 3, 8, 9)), rng.normal(size=(4, 3, 3, 2)), stride=2, padding=1, dilation=2).shape
    gaps = [adjoint_gap(*rng.normal(size=(2, *shape)), np.zeros(1), np.zeros(1)) for _ in range(200)]
    assert 0.01 < np.median(gaps) < 0.1


def test_b3_an_error_of_a_millionth_leaves_a_gap_of_a_few_hundredths_of_that():
    rng = np.random.default_rng(17)
    options = {"stride": 2, "padding": 1, "dilation": 2}
    gaps = []
    for _ in range(100):
        x, w = rng.normal(size=(5, 3, 8, 9)), rng.normal(size=(4, 3, 3, 2))
        y = conv2d(x, w, **options)
        v = rng.normal(size=y.shape)
        wrong = w * (1 + 1e-6 * rng.normal(size=w.shape))
        gaps.append(adjoint_gap(y, v, x, conv2d_backward(v, x, wrong, **options)[0]))
    assert 1e-8 < np.median(gaps) < 1e-7


def test_b3_a_kernel_that_is_its_own_turn_hides_the_slip():
    rng = np.random.default_rng(8)
    x, w = rng.normal(size=(1, 1, 6, 6)), np.array(DECK_FILTER, float)[None, None]
    y = conv2d(x, w)
    v = rng.normal(size=y.shape)
    assert adjoint_gap(y, v, x, conv2d_backward(v, x, w[..., ::-1, ::-1])[0]) < 1e-12


def test_b3_a_mistake_shared_by_both_passes_goes_unseen():
    rng = np.random.default_rng(9)
    x, w = rng.normal(size=(1, 1, 6, 6)), rng.normal(size=(1, 1, 3, 3))
    y = conv2d(x[..., :-1], w)  # both skip the last column
    v = rng.normal(size=y.shape)
    grad_x = np.pad(conv2d_backward(v, x[..., :-1], w)[0], ((0, 0), (0, 0), (0, 0), (0, 1)))
    assert adjoint_gap(y, v, x, grad_x) < 1e-12
