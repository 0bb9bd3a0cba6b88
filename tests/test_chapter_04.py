"""Every number and claim of the chapter on convolution arithmetic, each computed again."""

import ast
import itertools
import math
import warnings
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cnnlib import data
from cnnlib.ops_numpy import conv2d, conv2d_matrix, conv2d_naive, conv_transpose2d
from cnnlib.shapes import (
    conv_leftover,
    conv_macs,
    conv_output_size,
    conv_parameters,
    conv_transpose_output_size,
    pool_output_size,
)

SOURCE = Path(__file__).parent.parent / "book" / "chapters" / "04_convolution_arithmetic.md"

IMAGE = np.array(
    [
        [1, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 0],
        [0, 0, 1, 1, 0, 0],
        [1, 0, 0, 0, 1, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 0, 1, 0, 1, 0],
    ],
    float,
)
DIAGONAL = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], float)
NUMBERS = np.arange(1.0, 10).reshape(3, 3)


@pytest.fixture(scope="module")
def chapter():
    """The functions that the chapter defines in its cells, without running the rest."""
    cells = [cell.source for cell in jupytext.read(SOURCE, fmt="md:myst").cells if cell.cell_type == "code"]
    trees = [ast.parse(source) for source in cells if "%pip" not in source]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    space = {
        "np": np,
        "torch": torch,
        "F": F,
        "conv2d": conv2d,
        "conv_output_size": conv_output_size,
        "device": "cpu",
    }
    exec(compile(ast.Module(functions, []), str(SOURCE), "exec"), space)
    return space


@pytest.fixture(scope="module")
def crops():
    """Crops of the photograph, as the chapter takes them."""
    places = np.lib.stride_tricks.sliding_window_view(data.photo("chelsea"), (32, 32), axis=(0, 1))
    return places[::24, ::24].reshape(-1, 3, 32, 32)


def one_channel(image, kernel, **options):
    return conv2d(image[None, None], kernel[None, None], **options)[0, 0]


def loops_source():
    cells = [cell.source for cell in jupytext.read(SOURCE, fmt="md:myst").cells if cell.cell_type == "code"]
    return ast.unparse(ast.parse(next(cell for cell in cells if "def conv2d_loops" in cell)))


def rng():
    return np.random.default_rng(0)


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


def test_stride_2_halves_only_with_padding():
    assert [conv_output_size(n, 3, stride=2) for n in (7, 8, 10)] == [3, 3, 4]
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
    assert after == (
        27,
        13,
    )  # the paper's next counts follow from 55, not from 55 alone: 54 too where pooling rounds up
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
    cells = [cell.source for cell in jupytext.read(SOURCE, fmt="md:myst").cells if cell.cell_type == "code"]
    source = next(cell for cell in cells if "np.indices((4, 6))" in cell)
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


def test_the_four_sums_are_what_flat_input_gives():
    kernel = rng().standard_normal((5, 5))
    y = conv_transpose2d(np.ones((1, 1, 10, 10)), kernel[None, None], stride=2)[0, 0]
    for i, j in np.ndindex(2, 2):
        assert math.isclose(y[8 + i, 8 + j], kernel[i::2, j::2].sum(), rel_tol=1e-12)


# Exercises


def test_exercise_1(chapter):
    source = loops_source()
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
