"""What must be true of the drawings on back-propagation, whose pixels no test compares."""

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from cnnlib.plotting import backward as draw
from cnnlib.plotting.base import COLOURS

X = np.array([[1.0, 2, 0], [3, -1, 2], [0, 1, 1]])
G = np.array([[1.0, 2], [3, 4]])


def _texts(ax):
    return [text.get_text() for text in ax.texts]


def test_the_paths_are_labelled_in_the_order_of_the_chain_rule():
    fig = draw.paths()
    words = {t.get_text(): t.get_position()[1] for t in fig.axes[0].texts}
    assert words["c"] > words["b"] > words["a"]  # c leads up to y_0, a down to y_2
    assert words["$G_0$"] > words["$G_1$"] > words["$G_2$"]
    assert "$x_1$" in words


def test_every_weights_window_is_titled_with_its_gradient():
    fig = draw.weight_windows(X, G, (2, 2))
    titles = [ax.get_title() for ax in fig.axes if "w_" in ax.get_title()]
    assert titles == ["$w_{00}$: sum 10", "$w_{01}$: sum 7", "$w_{10}$: sum 5", "$w_{11}$: sum 10"]


def test_the_third_map_is_the_product_of_the_first_two():
    window, grad = np.arange(4.0).reshape(2, 2), np.array([[1.0, -1], [2, 0.5]])
    maps = [ax.images[0].get_array() for ax in draw.one_weight(window, grad).axes if ax.images]
    np.testing.assert_array_equal(maps[2], maps[0] * maps[1])


def test_scatter_shows_the_kernel_upright_and_gather_turned():
    pays, collects = draw.scatter_gather().axes
    upright, turned = (
        [text for text, _ in sorted(_products(ax).items(), key=lambda at: (-at[1][1], at[1][0]))][::-1]
        for ax in (pays, collects)
    )
    assert [t[-5:-2] for t in turned] == [t[-5:-2] for t in upright][::-1]
    assert set(upright) & set(turned) == {"$G_{01}w_{10}$"}  # the one payment that both pictures show


@pytest.mark.parametrize("panel", [0, 1])
def test_every_payment_has_its_arrow(panel):
    ax = draw.scatter_gather().axes[panel]
    assert len([p for p in ax.patches if isinstance(p, FancyArrowPatch)]) == len(_products(ax)) == 4


def _products(ax):
    return {t.get_text(): t.get_position() for t in ax.texts if "w_" in t.get_text()}


def test_the_second_matrix_is_the_transpose_of_the_first():
    A = np.array([[1.0, 0, 2], [0, -3, 0]])
    first, second = (ax.images[0].get_array() for ax in draw.matrices(A).axes)
    np.testing.assert_array_equal(second, first.T)


def test_pooling_titles_stand_over_the_first_row_only():
    fig = draw.pooling([("max", X, G, G, X), ("average", X, G, G, X)])
    titles = [ax.get_title() for ax in fig.axes]
    assert all(titles[:4])
    assert not any(titles[4:])


def test_step_errors_leaves_exact_zeros_out():
    ax = draw.step_errors(np.array([1e-3, 1e-2]), {"central": np.array([0.0, 1e-4])}, {}).axes[0]
    assert np.isnan(ax.lines[0].get_ydata()).tolist() == [True, False]


def test_the_kinks_two_branches_are_not_joined():
    ax = draw.kink(np.array([-1.0, -0.5, 0.5, 1.0]), [1, 1, 2, 2], {"backward pass": 1.0}).axes[0]
    assert [line.get_xdata().tolist() for line in ax.lines[:2]] == [[-1, -0.5], [0.5, 1]]


def test_training_shows_every_run_and_the_dots_of_every_recipe():
    losses = {"right": np.ones((3, 8)), "wrong": 2 * np.ones((3, 8))}
    curves, dots = draw.training(losses, {"right": np.full(3, 0.05), "wrong": np.full(3, 0.5)}).axes
    assert [line.get_ydata()[0] for line in curves.lines] == [1, 1, 1, 2, 2, 2]
    assert len({line.get_color() for line in curves.lines}) == 2
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["right", "wrong"]
    assert [line.get_xdata()[0] for line in dots.lines] == [5, 50]


def test_twins_shows_the_size_of_the_difference():
    curves, gap = draw.twins(np.array([1.0, 0.5]), np.array([1.0 + 1e-12, 0.5])).axes
    assert gap.lines[0].get_ydata()[0] == pytest.approx(1e-12, rel=1e-3)
    assert np.isnan(gap.lines[0].get_ydata()[1])
    assert curves.lines[1].get_color() == COLOURS["black"]


def test_dilated_and_coverage_write_their_numbers():
    spread = np.zeros((8, 8))
    spread[2:6:2, 2:6:2] = G
    turned = np.arange(9.0, 0, -1).reshape(3, 3)
    wide, words, kernel, result = draw.dilated(spread, turned, np.ones((6, 6))).axes
    assert [len(_texts(ax)) for ax in (wide, kernel, result)] == [64, 9, 36]
    assert "1 · 9 + 2 · 7\n+ 3 · 3 + 4 · 1\n= 36" in _texts(words)[0]
    assert _texts(draw.coverage({"stride 1": G}).axes[0]) == ["1", "2", "3", "4"]
