"""Curves of attacks, layers and losses: what is drawn is what was measured."""

import numpy as np
import pytest
import torch
from drawn import Brighter, check_text

from cnnlib.attacks import fgsm
from cnnlib.defend import Certificate, Finding
from cnnlib.inputs import Threat
from cnnlib.plotting import landscapes, lines, robustness

LEVELS = torch.tensor([0.1, 0.3, 0.45, 0.55, 0.9, 0.6])
X, Y = LEVELS.view(6, 1, 1, 1).expand(6, 1, 2, 2).clone(), torch.tensor([0, 0, 0, 1, 1, 0])  # the last is misread


def attack(eps, norm=torch.inf, levels=256):
    return fgsm(Brighter(), X, Y, Threat(norm, eps, levels=levels))


def points(line):
    return [(round(float(x), 6), round(float(y), 6)) for x, y in zip(*line.get_data(), strict=True)]


def legend(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_success_is_the_share_of_those_attacked_before_and_after_rounding():
    coarse = [attack(eps, levels=3) for eps in (0.32, 0.1)]  # in a file, 0.26 to 0.74 are mid-grey, which is no light
    fig = robustness.success({"FGSM": [attack(0.32), attack(0.1)], "coarse": coarse})
    whole, dashed, found, rounded = fig.axes[0].lines
    assert points(whole) == points(dashed) == points(found) == [(0.1, 40), (0.32, 60)]  # of five that were read rightly
    assert (whole.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert points(rounded) == [(0.1, 20), (0.32, 60)]
    assert legend(fig) == ["FGSM", "coarse"]
    assert "L∞" in fig.axes[0].get_xlabel()
    check_text(fig)


def test_what_is_reached_counts_only_what_fooled():
    result = attack(0.1)
    fig = robustness.reached({"FGSM": result}, "linf")
    (line,) = fig.axes[0].lines
    assert points(line)[:3] == [(0, 0), (0.1, 20), (0.1, 40)]
    assert points(line)[3] == (0.105, 40)  # on to the edge
    assert line.get_drawstyle() == "steps-post"
    assert fig.axes[0].get_title("left") == "FGSM"
    fig = robustness.reached({"a": result, "nothing": attack(0)}, "queries")
    assert points(fig.axes[0].lines[1])[-1][1] == 0
    assert fig.axes[0].get_xscale() == "symlog"
    fig.draw_without_rendering()
    assert "1" in [text.get_text() for text in fig.axes[0].get_xticklabels()]


def test_rounding_draws_both_shares_of_each():
    fig = robustness.rounding({"fine": attack(0.3), "coarse": attack(0.1, levels=3)})
    found, rounded = fig.axes[0].lines
    assert [x for x, _ in points(found)] == [60, 40]
    assert points(rounded) == [(60, 0), (20, -1)]
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["fine", "coarse"]
    assert legend(fig) == ["as found", "rounded to 8 bits"]
    check_text(fig)


def test_survival_draws_each_image_and_the_mean():
    fig = robustness.survival({"PGD": torch.tensor([0.0, 0.5, 1.0]), "EOT": [0.8]})
    dots, mean, *_ = fig.axes[0].lines
    assert dots.get_xdata().tolist() == [0, 50, 100]
    assert mean.get_xdata().tolist() == [50, 50]


def test_a_table_of_transfer():
    fig = robustness.transfer({"A": {"A": 1.0, "B": 0.25, "C": 0}, "B": {"A": 0.5, "B": 0.9, "C": 0.1}})
    ax = fig.axes[0]
    np.testing.assert_allclose(ax.images[0].get_array(), [[1, 0.25, 0], [0.5, 0.9, 0.1]])
    assert ax.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in ax.texts] == ["100", "25", "0", "50", "90", "10"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["A", "B", "C"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["A", "B"]


def test_findings_say_in_words_and_hatches_whether_they_are_sound():
    found = [Finding("more steps", True, {"1": 0.5, "10": 0.75}), Finding("restarts", False, {"1": 0.1})]
    fig = robustness.findings(found)
    assert [ax.get_title("left") for ax in fig.axes] == ["more steps: sound", "restarts: speaks of masking"]
    assert [bar.get_width() for bar in fig.axes[0].patches] == [50, 75]
    assert [ax.patches[0].get_hatch() for ax in fig.axes] == [None, "///"]
    fig.draw_without_rendering()
    heights = [ax.patches[0].get_window_extent().height for ax in fig.axes]
    assert heights[0] == pytest.approx(heights[1])
    check_text(fig)


def test_certified_shares_fall_at_every_radius():
    certificate = Certificate(torch.tensor([1, 0, -1, 1]), torch.tensor([0.5, 0.25, 0.0, 0.75]))
    fig = robustness.certified({"σ = 0.5": (certificate, torch.tensor([1, 0, 0, 0])), "x": (certificate, [1, 0, 1, 1])})
    line, other = fig.axes[0].lines
    assert points(line) == [(0, 50), (0.25, 25), (0.5, 0), (0.7875, 0)]  # one abstains, one is wrong
    assert points(other) == [(0, 75), (0.25, 50), (0.5, 25), (0.75, 0), (0.7875, 0)]


def test_layers_stand_in_order_with_means_and_ranges():
    values = {"probe": {"conv": [0.2, 0.25, 0.45], "fc": torch.tensor([0.9])}, "chance": {"conv": 0.1, "fc": 0.1}}
    fig = lines.by_layer(values, label="accuracy", level=0.1)
    ax = fig.axes[0]
    assert points(ax.lines[0]) == [(0.3, 0), (0.9, 1)]
    assert ax.yaxis_inverted()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["conv", "fc"]
    corners = {tuple(round(float(v), 3) for v in corner) for corner in ax.collections[0].get_paths()[0].vertices}
    assert corners >= {(0.2, 0), (0.45, 0), (0.9, 1)}
    assert set(ax.lines[-1].get_xdata()) == {0.1}
    assert legend(fig) == ["probe", "chance"]
    check_text(fig)


def test_histories_have_means_and_ranges():
    fig = lines.histories({"a": np.array([[0.0, 2], [1, 5]])}, label="logit")
    assert points(fig.axes[0].lines[0]) == [(0, 1), (1, 3)]
    assert fig.axes[0].get_ylabel() == "logit"


def test_a_loss_line_is_the_mean_of_its_directions():
    runs = torch.tensor([[2.0, 0.5, 4.0], [4.0, 0.5, 2.0]])
    fig = landscapes.line([-1, 0, 1], {"one": runs, "two": [1, 0.2, 1]})
    ax = fig.axes[0]
    mean, *thin, two, middle = ax.lines
    assert points(mean) == [(-1, 3), (0, 0.5), (1, 3)]
    assert [line.get_ydata().tolist() for line in thin] == runs.tolist()
    assert points(two)[1] == (0, 0.2)
    assert set(middle.get_xdata()) == {0}
    assert ax.get_ylim()[0] == 0
    assert landscapes.line([-1, 1], {"one": [1, 1]}, scale="log").axes[0].get_yscale() == "log"
    check_text(fig)


def test_planes_share_their_levels_and_rows_point_up():
    places = [-1.0, 0.0, 1.0]
    rows = np.array([[4.0, 4, 4], [2, 2, 2], [0.1, 0.1, 0.1]])  # falls along the first direction
    fig = landscapes.plane(places, {"a": rows, "b": rows.T + 0.1}, levels=[1, 3])
    one, two = fig.axes
    lowest = one.collections[1].get_paths()[0].vertices  # the contour of 1: between the rows of 2 and of 0.1
    np.testing.assert_allclose(lowest[:, 1], 1 / 1.9, atol=1e-6)
    np.testing.assert_allclose(two.collections[1].get_paths()[0].vertices[:, 0], 1.1 / 1.9, atol=1e-6)
    for ax in fig.axes:
        assert list(ax.collections[1].levels) == [1, 3]
        assert {text.get_text() for text in ax.texts} == {"1", "3"}
        assert points(ax.lines[0]) == [(0, 0)]
    drawn = landscapes.plane(places, {"a": rows}).axes[0].collections[1]
    assert list(drawn.levels) == [0.2, 0.5, 1, 2]
    flat = landscapes.plane(places, {"flat": np.ones((3, 3))})  # has no contour, and can be drawn all the same
    flat.draw_without_rendering()
    check_text(fig)


def test_bad_input_is_named():
    seven = {str(n): attack(0) for n in range(7)}
    none = fgsm(Brighter(), X[5:], Y[5:], Threat(torch.inf, 0.1))
    certificate = Certificate(torch.tensor([1]), torch.tensor([0.5]))
    for call, says in (
        (lambda: robustness.success({}), r"results has the lines \[\]; expected 1 to 6"),
        (lambda: robustness.reached(seven, "l2"), "results has the lines .*; expected 1 to 6"),
        (
            lambda: robustness.success({"a": [attack(1)], "b": [attack(1, 2)]}),
            r"results has threats in the norms \[2, inf\]",
        ),
        (lambda: robustness.success({"a": [none]}), "results has one without an image that was attacked"),
        (lambda: robustness.reached({"a": none}, "l2"), "results has one without an image that was attacked"),
        (lambda: robustness.reached({"a": attack(0)}, "time"), "measure is 'time'; expected one of 'l0', 'l2'"),
        (lambda: robustness.rounding({}), "results is empty"),
        (lambda: robustness.survival({}), "shares is empty"),
        (lambda: robustness.survival({"a": [1.5]}), r"shares\['a'\] is \[1.5\]; expected numbers \(N,\) from 0 to 1"),
        (
            lambda: robustness.transfer({"a": {"a": 1.0}, "b": {"c": 1.0}}),
            "shares has rows .*; expected the same names",
        ),
        (lambda: robustness.transfer({"a": {"a": 2.0}}), "shares run from 2 to 2; expected numbers from 0 to 1"),
        (lambda: robustness.findings([]), "found is empty"),
        (
            lambda: robustness.certified({"a": (certificate, [1, 2])}),
            r"certificates\['a'\] has 2 classes; expected one",
        ),
        (
            lambda: robustness.certified({"a": (Certificate(torch.zeros(0), torch.zeros(0)), [])}),
            r"certificates\['a'\] has 0 classes; expected one of each of 0 images, at least one",
        ),
        (lambda: lines.by_layer({"a": {"1": 1.0}, "b": {"2": 1.0}}, label=""), r"values\['b'\] has the layers \['2'\]"),
        (lambda: lines.by_layer({"a": {}}, label=""), r"values\['a'\] has the layers \[\]; expected at least one"),
        (lambda: lines.by_layer({"a": {"1": np.nan}}, label=""), r"values\['a'\] is .*; expected finite numbers"),
        (
            lambda: lines.histories({"a": np.zeros((0, 3))}, label=""),
            r"values\['a'\] is \(0, 3\); expected \(steps, N\)",
        ),
        (lambda: landscapes.line([0, 1], {"a": [1]}), r"losses\['a'\] is \(1, 1\); expected finite numbers for 2"),
        (lambda: landscapes.line([0], {"a": [np.inf]}), r"losses\['a'\] is \(1, 1\); expected finite"),
        (lambda: landscapes.line([0], {"a": [1]}, scale="cubic"), "scale is 'cubic'; expected one of 'linear', 'log'"),
        (
            lambda: landscapes.plane([0], {"a": [[1]]}),
            r"losses has \['a'\] at 1 distances; expected a network, and two",
        ),
        (
            lambda: landscapes.plane([0, 1], {"a": [[1]]}),
            r"losses\['a'\] is \(1, 1\); expected finite numbers \(2, 2\)",
        ),
        (lambda: landscapes.plane([0, 1], {"a": np.ones((2, 2))}, levels=[2, 1]), r"levels is \[2, 1\]; expected"),
    ):
        with pytest.raises(ValueError, match=says):
            call()
