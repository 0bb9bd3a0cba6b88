"""Numbers and claims of the chapter on convolution arithmetic up to padding, each computed again."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_04 import DIAGONAL, IMAGE, LAPLACIAN, NUMBERS, functions, one_channel, rng

from cnnlib import data
from cnnlib.ops_numpy import conv2d, conv2d_naive
from cnnlib.shapes import conv_leftover, conv_output_size, pool_output_size


@pytest.fixture(scope="module")
def chapter():
    return functions()


# One number, one layer


def test_one_output_is_a_dot_product_of_75_terms(chapter):
    x, w, b = rng().standard_normal((1, 3, 32, 32)), rng().standard_normal((1, 3, 5, 5)), np.array([10.0])
    y = 10 + x[0, :, 12:17, 23:28].ravel() @ w.ravel()
    assert w.size == 75
    assert math.isclose(y, conv2d(x, w, b)[0, 0, 12, 23], rel_tol=1e-12)
    assert math.isclose(y, chapter["conv2d_loops"](x, w, b)[0, 0, 12, 23], rel_tol=1e-12)
    in_torch = F.conv2d(torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(b))
    assert math.isclose(y, in_torch[0, 0, 12, 23].item(), rel_tol=1e-12)


def test_a_filter_must_span_the_full_depth():
    with pytest.raises(ValueError, match="weight"):
        conv2d(np.zeros((1, 3, 32, 32)), np.zeros((6, 1, 5, 5)))
    with pytest.raises(RuntimeError):
        F.conv2d(torch.zeros(1, 3, 32, 32), torch.zeros(6, 1, 5, 5))


def test_the_eye_answers_562():
    x = np.round(255 * data.photo("chelsea")[61:93, 97:129]).transpose(2, 0, 1)
    weight = np.array([c * np.tile([-1, -1, 0, 1, 1], (5, 1)) for c in (1, 1, -2)], float)
    sums = (x[:, 12:17, 23:28] * weight).sum(axis=(1, 2))
    assert sums.tolist() == [596, 476, -520]
    for y in (
        conv2d(x[None], weight[None], np.array([10.0]))[0, 0],
        F.conv2d(torch.from_numpy(x)[None], torch.from_numpy(weight)[None], torch.tensor([10.0]).double())[
            0, 0
        ].numpy(),
    ):
        assert y[12, 23] == 562
        assert (y.size, (y > 562).sum(), y.min()) == (784, 2, -880)
        assert y[12, 5:12].max() < -200  # the pupil's left edge, in the same row


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_chapters_loops_are_the_definition(chapter, stride):
    draw = rng()
    x, w, b = draw.standard_normal((2, 3, 11, 9)), draw.standard_normal((4, 3, 3, 3)), draw.standard_normal(4)
    np.testing.assert_allclose(
        chapter["conv2d_loops"](x, w, b, stride), conv2d_naive(x, w, b, stride=stride), rtol=1e-12, atol=1e-12
    )


def test_shapes_of_two_layers_traced_by_hand():
    x = np.zeros((2, 3, 32, 32))
    y = conv2d(x, np.zeros((6, 3, 5, 5)))
    assert y.shape == (2, 6, 28, 28)
    assert conv2d(y, np.zeros((10, 6, 5, 5))).shape == (2, 10, 24, 24)
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 5), torch.nn.Conv2d(6, 10, 5))
    assert tuple(layers(torch.zeros(2, 3, 32, 32)).shape) == (2, 10, 24, 24)
    assert [tuple(layer.weight.shape) for layer in layers] == [(6, 3, 5, 5), (10, 6, 5, 5)]


# The worked example


def test_the_worked_example_at_stride_1_and_2():
    by_one = one_channel(IMAGE, DIAGONAL)
    assert by_one.tolist() == [[3, -1, -3, -1], [-3, 1, 0, -3], [-3, -3, 0, 1], [3, -2, -2, -1]]
    by_two = one_channel(IMAGE, DIAGONAL, stride=2)
    assert by_two.tolist() == [[3, -3], [-3, 0]]
    assert (by_two == by_one[::2, ::2]).all()


def test_the_decks_filters_cannot_tell_convolution_from_correlation():
    for kernel in (DIAGONAL, LAPLACIAN):
        assert (kernel == kernel[::-1, ::-1]).all()
        assert (one_channel(IMAGE, kernel) == one_channel(IMAGE, kernel[::-1, ::-1])).all()
    assert (one_channel(IMAGE, NUMBERS) != one_channel(IMAGE, NUMBERS[::-1, ::-1])).any()


def test_one_in_sixteen_sign_filters_is_blind():
    filters = np.array(list(itertools.product((-1, 1), repeat=9)))
    blind = (filters == filters[:, ::-1]).all(axis=1).sum()
    assert (len(filters), blind) == (2**9, 2**5)


def test_torch_computes_correlation():
    dot = np.zeros((5, 5))
    dot[2, 2] = 1
    torchs = F.conv2d(torch.from_numpy(dot)[None, None], torch.from_numpy(NUMBERS)[None, None])[0, 0].numpy()
    assert (torchs == NUMBERS[::-1, ::-1]).all()
    assert (one_channel(dot, NUMBERS[::-1, ::-1]) == NUMBERS).all()


# Output sizes


def test_seven_pixels_at_stride_1_2_3():
    assert [conv_output_size(7, 3, stride=s) for s in (1, 2, 3)] == [5, 3, 2]
    assert [conv_leftover(7, 3, stride=s) for s in (1, 2, 3)] == [0, 0, 1]
    for s, size in ((1, 5), (2, 3), (3, 2)):
        assert F.conv2d(torch.ones(1, 1, 7, 7), torch.ones(1, 1, 3, 3), stride=s).shape[-2:] == (size, size)
    assert round((7 - 3) / 3 + 1, 2) == 2.33


def test_the_formula_counts_windows():
    for n, k, s, p in itertools.product(range(1, 20), range(1, 8), range(1, 5), range(4)):
        if k <= n + 2 * p:
            starts = [start for start in range(0, n + 2 * p, s) if start + k <= n + 2 * p]
            assert conv_output_size(n, k, stride=s, padding=p) == len(starts) == (n + 2 * p - k) // s + 1
            assert conv_leftover(n, k, stride=s, padding=p) == n + 2 * p - starts[-1] - k == (n + 2 * p - k) % s


def test_torch_rounds_down_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = F.conv2d(torch.ones(1, 1, 7, 7), torch.ones(1, 1, 3, 3), stride=3)
    assert tuple(y.shape) == (1, 1, 2, 2)


def test_thirteen_of_49_pixels_are_never_read(chapter):
    seen = chapter["windows_per_pixel"](7, 3, 3)
    assert (seen == 0).sum() == 13
    x = torch.zeros(1, 1, 7, 7, requires_grad=True)
    F.conv2d(x, torch.ones(1, 1, 3, 3), stride=3).sum().backward()
    assert (x.grad[0, 0].numpy() == seen).all()  # the gradient of the sum counts the readings


def test_what_is_left_over_may_lie_in_the_padding(chapter):
    for n, k, s, p in itertools.product(range(5, 15), range(1, 6), range(1, 6), range(4)):
        if k >= s and conv_leftover(n, k, stride=s, padding=p) <= p:
            assert (chapter["windows_per_pixel"](n, k, s, p) > 0).all()
        elif conv_output_size(n, k, stride=s, padding=p) > 2:
            assert (chapter["windows_per_pixel"](n, k, s, p) == 0).any()
    assert conv_leftover(32, 5, stride=2, padding=2) == 1  # does not divide, and reads everything
    assert (chapter["windows_per_pixel"](32, 5, 2, 2) > 0).all()


def test_stride_2_halves_with_half_of_the_kernel_as_padding():
    assert [conv_output_size(n, 3, stride=2) for n in (7, 8, 10)] == [3, 3, 4]  # 3 × 3 needs padding
    assert [conv_output_size(n, 2, stride=2) for n in (8, 10)] == [4, 5]  # 2 × 2 does not
    for n, k in itertools.product(range(8, 33, 2), (2, 3, 5, 7)):
        assert conv_output_size(n, k, stride=2, padding=(k - 1) // 2) == n // 2


def test_a_kernel_that_fits_may_skip_pixels(chapter):
    assert conv_leftover(7, 1, stride=2) == 0
    seen = chapter["windows_per_pixel"](7, 1, 2)
    assert ((seen == 1).sum(), (seen == 0).sum()) == (16, 33)
    assert ((chapter["windows_per_pixel"](56, 1, 2) == 0).mean()) == 0.75
    assert (chapter["windows_per_pixel"](7, 3, 2) > 0).all()


def test_e3_kernel_2_padding_1_makes_6_of_5():
    layer = torch.nn.Conv2d(3, 16, kernel_size=2, padding=1)
    y = layer(torch.zeros(8, 3, 5, 5))
    assert tuple(y.shape) == (8, 16, 6, 6)
    assert conv_output_size(5, 2, padding=1) == 6
    assert tuple(F.max_pool2d(y, 2).shape) == (8, 16, 3, 3)
    assert tuple(F.max_pool2d(torch.zeros(8, 16, 5, 5), 2).shape) == (8, 16, 2, 2)
    assert tuple(F.max_pool2d(torch.zeros(8, 16, 5, 5), 3).shape) == (8, 16, 1, 1)
    assert conv_output_size(5, 3, padding=1) == conv_output_size(5, 2, padding=(0, 1)) == 5


def test_e16_alexnets_first_layer():
    assert 224 * 224 * 3 == 150_528
    assert (224 - 11) % 4 != 0
    assert conv_output_size(224, 11, stride=4) == 54
    for size, padding, leftover in ((227, 0, 0), (224, 2, 1), (224, (1, 2), 0)):
        assert conv_output_size(size, 11, stride=4, padding=padding) == 55
        assert conv_leftover(size, 11, stride=4, padding=padding) == leftover
    assert 55 * 55 * 96 == 290_400
    assert 55 * 48 * 96 == 253_440
    after = pool_output_size(55, 3, stride=2), pool_output_size(27, 3, stride=2)
    assert after == (27, 13)  # the paper's next counts follow from 55, and from 54 too where pooling rounds up
    assert (27 * 27 * 256, 13 * 13 * 384, 13 * 13 * 256) == (186_624, 64_896, 43_264)
    assert pool_output_size(54, 3, stride=2, ceil_mode=True) == 27


def test_rounding_up_makes_55_of_224():
    side = 1 + math.ceil((224 - 11) / 4)
    assert side == 55
    assert 4 * (side - 1) + 11 == 227


# Padding


def test_32_shrinks_to_4_in_seven_layers(chapter):
    assert chapter["sides"](32, 5) == [32, 28, 24, 20, 16, 12, 8, 4]
    assert chapter["sides"](32, 7)[-1] == 2
    assert len(chapter["sides"](32, 7)) == 6
    assert chapter["sides"](32, 3)[10] == 12
    assert set(chapter["sides"](32, 5, padding=2)) == {32}


def test_half_of_the_kernel_keeps_the_size_for_odd_kernels_only():
    for k in range(1, 12):
        keeps = [p for p in range(12) if conv_output_size(32, k, padding=p) == 32]
        assert keeps == ([(k - 1) // 2] if k % 2 else [])


def test_common_settings():
    sizes = [conv_output_size(32, k, stride=s, padding=p) for k, s, p in ((3, 1, 1), (5, 1, 2), (5, 2, 2), (1, 1, 0))]
    assert sizes == [32, 32, 16, 32]
    assert conv_output_size(32, 5, stride=2, padding=1) == 15


def test_whatever_fits_does_not_exist_for_even_inputs():
    for n in range(6, 257, 2):
        assert all(conv_leftover(n, 5, stride=2, padding=p) == 1 for p in range(8))
        assert conv_leftover(n, 5, stride=2, padding=(1, 2)) == 0
        assert conv_output_size(n, 5, stride=2, padding=2) == conv_output_size(n, 5, stride=2, padding=(1, 2)) == n // 2


def test_same_padding_in_the_manner_of_tensorflow():
    for n, k, s in itertools.product(range(5, 40), range(1, 8), range(1, 4)):
        zeros = max((math.ceil(n / s) - 1) * s + k - n, 0)
        assert conv_output_size(n, k, stride=s, padding=(zeros // 2, zeros - zeros // 2)) == math.ceil(n / s)
    assert (math.ceil(32 / 2) - 1) * 2 + 1 - 32 == -1  # no zeros for a kernel smaller than the stride
    assert (math.ceil(32 / 2) - 1) * 2 + 5 - 32 == 3
    with pytest.raises(RuntimeError, match="same"):
        F.conv2d(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 5, 5), stride=2, padding="same")


def test_symmetric_and_same_upper_padding_have_no_window_in_common():
    x, w = rng().standard_normal((1, 3, 32, 32)), rng().standard_normal((4, 3, 5, 5))
    symmetric, one_two = conv2d(x, w, stride=2, padding=2), conv2d(x, w, stride=2, padding=((1, 2), (1, 2)))
    every = conv2d(x, w, padding=2)
    np.testing.assert_allclose(symmetric, every[..., ::2, ::2], rtol=1e-12)
    np.testing.assert_allclose(one_two, every[..., 1::2, 1::2], rtol=1e-12)
    assert not np.isclose(symmetric, one_two).any()


def test_same_padding_reads_corners_less(chapter):
    valid, same, full = (chapter["windows_per_pixel"](6, 3, padding=p) for p in (0, 1, 2))
    assert (valid[0, 0], valid[2, 2]) == (1, 9)
    assert (same[0, 0], same[0, 2], same[2, 2]) == (4, 6, 9)
    assert (full == 9).all()
    wrapped = np.pad(np.arange(36).reshape(6, 6), 1, mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(wrapped, (3, 3))
    assert (np.bincount(windows.ravel()) == 9).all()  # wrapping the image round treats pixels alike too
