"""What the chapter on convolution arithmetic finds by experiment and by counting, each computed again."""

import ast
import itertools
import math

import numpy as np
import pytest
import torch
from chapter_04 import NUMBERS, cells, functions, one_channel, rng

from cnnlib import data
from cnnlib.ops_numpy import conv2d, conv2d_matrix, conv_transpose2d
from cnnlib.shapes import (
    conv_leftover,
    conv_macs,
    conv_output_size,
    conv_parameters,
    conv_transpose_output_size,
)


@pytest.fixture(scope="module")
def chapter():
    return functions()


@pytest.fixture(scope="module")
def crops():
    """Crops of the photograph, as the chapter takes them."""
    places = np.lib.stride_tricks.sliding_window_view(data.photo("chelsea"), (32, 32), axis=(0, 1))
    return places[::24, ::24].reshape(-1, 3, 32, 32)


# What zeros do to the border, and which padding is near the truth


@pytest.mark.parametrize("layers", [4, 16, 64])
def test_the_darkened_border_grows_like_a_square_root(layers):
    x = np.ones((1, 1, 64, 64))
    for _ in range(layers):
        x = conv2d(x, np.full((1, 1, 3, 3), 1 / 9), padding=1)
    profile = x[0, 0, 32, :32] / x[0, 0, 32, 32]
    half = np.interp(0.5, profile, np.arange(1, 33))
    assert abs(half - 0.55 * math.sqrt(layers)) < 0.15
    assert math.isclose(math.erf(0.477), 0.5, abs_tol=1e-3)
    assert round(0.477 * math.sqrt(4 / 3), 2) == 0.55


def test_energy_is_blurred_on_average(chapter):
    """One layer, many draws: the next q is a ninth of the sum of q over the window, within the sampling error."""
    x = np.broadcast_to(rng().standard_normal((3, 5, 5)), (1, 3, 5, 5))
    q = (x**2).mean(axis=1)[0]
    draws = np.array([chapter["energies"](x, np.random.default_rng(seed), layers=1)[0] for seed in range(2000)])
    expected = chapter["blur"](q[None, None], 1)[0, 0]
    error = draws.std(axis=0) / math.sqrt(len(draws))
    assert (abs(draws.mean(axis=0) - expected) < 4 * error).all()
    assert (error < 0.02 * expected).all()


def test_random_relu_networks_darken_at_the_border(chapter, crops):
    profile, draws = chapter["profile"], [np.random.default_rng(seed) for seed in range(40)]
    energy = np.array([chapter["energies"](draw.choice(crops, 8), draw) for draw in draws])
    for layers, tolerance in ((1, 0.05), (4, 0.06), (16, 0.08)):
        predicted = profile(chapter["blur"](np.ones((1, 1, 32, 32)), layers)[0, 0])
        np.testing.assert_allclose(profile(energy[:, layers - 1].mean(axis=0)), predicted, atol=tolerance)
    alone = [profile(network[15])[0] for network in energy]
    assert 0.2 < profile(energy[:, 15].mean(axis=0))[0] < 0.28  # a quarter
    assert 0.3 < np.median(alone) < 0.37  # a third
    assert min(alone) < 0.15
    assert max(alone) > 1.2


def test_which_padding_is_right_depends_on_the_surroundings(chapter, crops):
    def errors(sheets):
        return [chapter["ring_error"](sheets, mode) for mode in ("constant", "edge", "reflect")]

    zeros, edge, mirror = errors(crops)
    assert edge < mirror < zeros
    shifted, *others = errors(crops - crops.mean())
    assert 2.5 < zeros / shifted < 3.5  # to a third
    assert 3.5 < shifted / edge < 4.5  # four times the edge's
    np.testing.assert_allclose(others, [edge, mirror], rtol=1e-10)
    noise = np.random.default_rng(0).random((999, 3, 32, 32)) - 0.5
    zeros, edge, mirror = errors(noise)
    assert zeros < 0.75 * min(edge, mirror)
    assert min(errors(noise + 0.5)) != errors(noise + 0.5)[0]


def test_zeros_around_a_digit(chapter):
    images = data.digits()[0]
    sheets = np.pad(images, ((0, 0), (1, 1), (1, 1)))[:, None]
    zeros, edge, mirror = (
        chapter["ring_error"](sheets - images.mean(), mode) for mode in ("constant", "edge", "reflect")
    )
    assert 0.3 < zeros < edge < mirror


# Counting


def test_760_parameters_and_a_32_by_32_by_10_output():
    assert conv_parameters(3, 10, 5) == 10 * (5 * 5 * 3 + 1) == 760
    assert conv_output_size(32, 5, padding=2) == 32
    layer = torch.nn.Conv2d(3, 10, 5, padding=2)
    assert sum(p.numel() for p in layer.parameters()) == 760
    assert tuple(layer(torch.zeros(1, 3, 32, 32)).shape) == (1, 10, 32, 32)


def test_dense_local_and_shared_counts():
    places, window, n_in, n_out = 32 * 32, 75, 3072, 10240
    assert n_out * (n_in + 1) == sum(p.numel() for p in torch.nn.Linear(n_in, n_out, device="meta").parameters())
    assert n_out * (n_in + 1) == 31_467_520
    assert n_out * (window + 1) == 778_240
    assert n_out * window == conv_macs(3, 10, 5, 32) == 768_000
    assert 31_467_520 // 778_240 == 40
    assert n_out * (window + 1) // 760 == places


def test_how_the_layers_grow_with_the_image():
    def weights(side):
        inputs, outputs = 3 * side**2, 10 * side**2
        grows, fixed = (torch.nn.Linear(inputs, n, bias=False, device="meta") for n in (outputs, 1000))
        local = torch.nn.Conv2d(3 * side**2, outputs, 5, groups=side**2, bias=False, device="meta")  # a group per place
        conv = torch.nn.Conv2d(3, 10, 5, bias=False, device="meta")
        return np.array([layer.weight.numel() for layer in (grows, fixed, local, conv)])

    assert (weights(64) / weights(32)).tolist() == [16, 4, 4, 1]
    assert weights(32)[2] == 768_000


def test_the_three_matrices():
    """The numbered tables of the figure, the right one against the matrix of a convolution."""
    source = next(cell for cell in cells() if "np.indices((4, 6))" in cell)
    space = {"np": np}
    exec(source[: source.index("figure(")], space)
    tables = space["tables"]
    assert [len(np.unique(ids[ids >= 0])) for ids in tables.values()] == [24, 12, 3]
    rows, columns, values, shape = conv2d_matrix(np.array([[[[1.0, 2.0, 3.0]]]]), (1, 6))
    matrix = np.zeros(shape)
    matrix[rows, columns] = values
    assert (matrix == tables["convolution"] + 1).all()
    assert ((tables["locally connected"] >= 0) == (matrix > 0)).all()


def test_one_bias_per_output_channel():
    layer = torch.nn.Conv2d(3, 10, 5, padding=2)
    assert tuple(layer.bias.shape) == (10,)
    y = conv2d(np.zeros((2, 3, 8, 8)), np.zeros((10, 3, 5, 5)), np.arange(10.0))
    assert (y == np.arange(10.0)[:, None, None]).all()


# 1 × 1, groups, separable


def test_a_1_by_1_convolution_is_one_matrix_at_every_pixel():
    x, w, b = rng().standard_normal((2, 5, 7, 6)), rng().standard_normal((4, 5)), rng().standard_normal(4)
    at_every_pixel = np.empty((2, 4, 7, 6))
    for n, i, j in np.ndindex(2, 7, 6):
        at_every_pixel[n, :, i, j] = w @ x[n, :, i, j] + b
    np.testing.assert_allclose(conv2d(x, w[:, :, None, None], b), at_every_pixel, rtol=1e-12, atol=1e-12)


def test_groups_divide_parameters_and_separable_divides_more():
    full, halves = (conv_parameters(64, 128, 3, groups=g, bias=False) for g in (1, 2))
    separable = conv_parameters(64, 64, 3, groups=64, bias=False) + conv_parameters(64, 128, 1, bias=False)
    assert (full, halves, separable) == (73_728, 36_864, 8_768)
    assert round(full / separable, 1) == 8.4


def test_a_separable_layer_is_a_full_one_with_a_product_for_weight():
    draw = rng()
    x, d, p = (draw.standard_normal(s) for s in ((2, 6, 9, 9), (6, 1, 3, 3), (8, 6, 1, 1)))
    np.testing.assert_allclose(conv2d(conv2d(x, d, groups=6), p), conv2d(x, p * d[:, 0]), rtol=1e-10, atol=1e-10)


def test_separable_layers_hold_a_sixth_of_a_random_layer():
    for seed in range(3):
        w = np.random.default_rng(seed).standard_normal((128, 64, 9))
        kept = sum(np.linalg.svd(w[:, c], compute_uv=False)[0] ** 2 for c in range(64)) / (w**2).sum()
        assert 0.155 < kept < 0.175
    product = w[:, :, :1] * w[:1]  # (128, 64, 9): one pattern for each input channel, scaled
    kept = sum(np.linalg.svd(product[:, c], compute_uv=False)[0] ** 2 for c in range(64)) / (product**2).sum()
    assert math.isclose(kept, 1)


# Transposed


def test_transposed_convolution_is_the_transposed_matrix_and_no_inverse():
    small, kernel = np.array([[1.0, 2], [3, 4]]), np.outer([1.0, 2, 1], [1, 2, 1])
    rows, columns, values, shape = conv2d_matrix(kernel[None, None], (5, 5), stride=2)
    A = np.zeros(shape)
    A[rows, columns] = values
    up = conv_transpose2d(small[None, None], kernel[None, None], stride=2)[0, 0]
    assert A.shape == (4, 25)
    assert (A.T @ small.ravel() == up.ravel()).all()
    down = one_channel(up, kernel, stride=2)
    assert down.shape == small.shape
    assert down.tolist() == [[70, 105], [140, 175]]


def test_the_dropped_remainder_is_output_padding():
    assert conv_output_size(7, 3, stride=2, padding=1) == conv_output_size(8, 3, stride=2, padding=1) == 4
    for n, k, s, p in itertools.product(range(5, 20), (2, 3, 5), (1, 2, 3), (0, 1)):
        m, r = conv_output_size(n, k, stride=s, padding=p), conv_leftover(n, k, stride=s, padding=p)
        assert conv_transpose_output_size(m, k, stride=s, padding=p, output_padding=r) == n


def test_checkerboard_of_three_kernels(chapter):
    contrast, four_sums = chapter["contrast"], chapter["four_sums"]
    assert contrast(four_sums(np.ones((3, 3)))) > 0.4
    assert contrast(four_sums(np.ones((4, 4)))) == 0
    assert contrast(four_sums(np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]))) == 0


def test_divisibility_helps_weights_that_are_alike_and_no_others(chapter):
    chapter["repeated"] = np.ones((1, 1, 20, 20))
    medians = {size: np.median(values) for size, values in chapter["many"](0, 1).items()}
    assert all(0.85 < medians[f"{k}×{k}"] < 0.95 for k in (2, 3, 4, 5, 6))
    assert abs(medians["3×3"] - medians["4×4"]) < 0.05
    alike = {size: np.median(values) for size, values in chapter["many"](1, 0.3).items()}
    assert alike["3×3"] > 1.5 * alike["2×2"]
    assert alike["3×3"] > 2 * alike["4×4"]
    assert alike["5×5"] > 2 * alike["6×6"]
    assert medians["repeat,\n3×3"] < 1e-12
    assert alike["repeat,\n3×3"] < 1e-12


def test_resizing_first_has_no_checkerboard():
    grey = np.ones((1, 1, 10, 10)).repeat(2, axis=2).repeat(2, axis=3)
    y = conv2d(grey, rng().standard_normal((1, 1, 3, 3)))
    np.testing.assert_allclose(y, y[0, 0, 0, 0], rtol=1e-12)


def test_the_kernel_that_stamps_is_bilinear_and_prints_no_checkerboard():
    kernel = np.outer([1.0, 2, 1], [1, 2, 1])
    assert (kernel / 4 == np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])).all()
    y = conv_transpose2d(np.ones((1, 1, 10, 10)), kernel[None, None], stride=2)[0, 0, 4:-4, 4:-4]
    assert (y == 4).all()
    equal = conv_transpose2d(np.ones((1, 1, 10, 10)), np.ones((1, 1, 3, 3)), stride=2)[0, 0, 4:-4, 4:-4]
    assert set(equal.ravel()) == {1, 2, 4}


def test_the_four_sums_are_what_flat_input_gives():
    kernel = rng().standard_normal((5, 5))
    y = conv_transpose2d(np.ones((1, 1, 10, 10)), kernel[None, None], stride=2)[0, 0]
    for i, j in np.ndindex(2, 2):
        assert math.isclose(y[8 + i, 8 + j], kernel[i::2, j::2].sum(), rel_tol=1e-12)


# Exercises


def test_exercise_1(chapter):
    source = ast.unparse(ast.parse(next(cell for cell in cells() if "def conv2d_loops" in cell)))
    dilated = source.replace("stride=1)", "stride=1, d=1)").replace("- k)", "- (d * (k - 1) + 1))")
    dilated = dilated.replace("top:top + k,", "top:top + d * (k - 1) + 1:d,")
    dilated = dilated.replace("left:left + k]", "left:left + d * (k - 1) + 1:d]")
    space = {"np": np}
    exec(dilated, space)
    x, w, b = rng().standard_normal((2, 3, 11, 9)), rng().standard_normal((4, 3, 3, 3)), rng().standard_normal(4)
    np.testing.assert_allclose(
        space["conv2d_loops"](x, w, b, 2, d=2), conv2d(x, w, b, stride=2, dilation=2), rtol=1e-10, atol=1e-10
    )


def test_exercise_2():
    found = [
        (k, s, p)
        for k, s, p in itertools.product(range(1, 8), range(1, 5), range(4))
        if conv_output_size(224, k, stride=s, padding=p) == 112 and conv_leftover(224, k, stride=s, padding=p) == 0
    ]
    assert found == [(2, 2, 0), (4, 2, 1), (6, 2, 2)]
    assert conv_leftover(224, 3, stride=2, padding=1) == conv_leftover(224, 7, stride=2, padding=3) == 1


def test_exercise_3():
    stripes = np.tile([0.0, 1.0], (7, 4))
    board = np.indices((7, 7)).sum(axis=0) % 2 * 2.0 - 1
    for image in (stripes, board):
        assert (one_channel(image, NUMBERS) == one_channel(image, NUMBERS[::-1, ::-1])).all()


def test_exercise_4():
    x, v, w = (rng().standard_normal(s) for s in ((1, 1, 9, 9), (1, 1, 3, 3), (1, 1, 3, 3)))
    both = conv2d(np.pad(v, ((0, 0), (0, 0), (2, 2), (2, 2))), w[..., ::-1, ::-1])  # the 5 × 5 kernel of the two
    np.testing.assert_allclose(conv2d(conv2d(x, v), w), conv2d(x, both), rtol=1e-10, atol=1e-10)
    differs = ~np.isclose(conv2d(conv2d(x, v, padding=1), w, padding=1), conv2d(x, both, padding=2))[0, 0]
    assert not differs[1:-1, 1:-1].any()
    assert differs[0].all()


def test_exercise_5():
    full = conv_macs(64, 128, 3, 56)
    depthwise, pointwise = conv_macs(64, 64, 3, 56, groups=64), conv_macs(64, 128, 1, 56)
    assert [round(count / 1e6, 1) for count in (full, depthwise, pointwise)] == [231.2, 1.8, 25.7]
