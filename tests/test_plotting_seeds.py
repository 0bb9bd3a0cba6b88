"""The picture of an experiment with several seeds shows its means and ranges."""

import numpy as np
import pytest

from cnnlib.plotting.seeds import curves

PANELS = {"left": {"a": {1: [3, 5], 10: [2, 4, 3]}, "b": {1: [1]}}, "right": {"b": {10: [7, 8]}}}


def test_lines_are_means_and_bands_are_ranges():
    fig = curves(PANELS, x="images", y="error, %", x_scale="log", y_scale="log", ticks=(1, 10))
    left, right = fig.axes
    a, b = left.lines
    assert a.get_xdata().tolist() == [1, 10]
    assert a.get_ydata().tolist() == [4, 3]
    corners = left.collections[0].get_paths()[0].vertices
    assert {tuple(corner) for corner in corners} >= {(1, 3), (1, 5), (10, 2), (10, 4)}
    assert right.lines[0].get_ydata().tolist() == [7.5]
    assert right.lines[0].get_color() == b.get_color() != a.get_color()
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["a", "b"]
    assert (left.get_xlabel(), left.get_ylabel(), left.get_xscale(), left.get_yscale()) == (
        "images",
        "error, %",
        "log",
        "log",
    )
    assert [label.get_text() for label in left.get_xticklabels()] == ["1", "10"]


def test_panels_may_share_a_scale():
    left, right = curves(PANELS, x="", y="", share_y=True).axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[0] < 1
    assert left.get_ylim()[1] > 8


def test_a_long_line_has_few_marks():
    (ax,) = curves({"": {"loss": {epoch: [1 / epoch] for epoch in range(1, 21)}}}, x="epoch", y="loss").axes
    assert ax.lines[0].get_markevery() == 4
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1 / np.arange(1, 21))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="x_scale is 'cubic'; expected one of 'linear', 'log'"):
        curves(PANELS, x="", y="", x_scale="cubic")
    with pytest.raises(ValueError, match="y_scale is 'cubic'"):
        curves(PANELS, x="", y="", y_scale="cubic")
    with pytest.raises(ValueError, match="expected 1 to 6, and at least one in each panel"):
        curves({"": {str(n): {1: [1]} for n in range(7)}}, x="", y="")
    with pytest.raises(ValueError, match=r"panels has the lines \['a'\]; expected"):
        curves({"": {"a": {1: [1]}}, "empty": {}}, x="", y="")


def test_a_logarithmic_axis_over_several_powers_of_ten_has_fewer_labels():
    def labelled(high):
        ax = curves({"": {"a": {1: [1.0], 2: [high]}}}, x="x", y="y", y_scale="log").axes[0]
        low, high = ax.get_ylim()
        return [tick for tick in ax.get_yticks() if low <= tick <= high]

    assert labelled(10.0) == [1, 2, 3, 4, 5, 6, 8, 10]
    assert labelled(1000.0) == [1, 3, 10, 30, 100, 300, 1000]
