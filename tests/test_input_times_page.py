"""Sentences of the page of experiments on inputs: what attacks take beside those of other libraries."""

from statistics import median

import pytest

from experiments import harness
from tools import input_experiments
from tools.book import ROOT

SINGLE = ("digits 1", "mnist 1", "cifar10 1")


@pytest.fixture(scope="module")
def text():
    return input_experiments.PAGE.read_text("utf-8").replace("\n", " ")


@pytest.fixture(scope="module")
def rows():
    return {
        (row["attack"], f"{row['data']} {row['batch']}"): row
        for row in harness.read(ROOT / "benchmarks" / "results" / "attacks.csv")
    }


def ratios(rows, attack, who=("torchattacks", "foolbox")):
    """Return the times of the fastest of others over ours, by the network and how many images at once."""
    return {
        case: min(float(row[name]) for name in who if row[name])
        for (name, case), row in rows.items()
        if name.startswith(attack)
    }


def test_a_single_step_pays_for_the_checks(text, rows):
    fgsm = ratios(rows, "FGSM").values()
    assert f"{min(fgsm):.2f} to {max(fgsm):.2f}, and in no column is ours the faster one" in text
    assert max(fgsm) < 1
    one = rows["FGSM", "digits 1"]
    ours = float(one["milliseconds"])
    assert f"{ours:.1f} milliseconds here and {ours * float(one['torchattacks']):.1f} with torchattacks" in text
    price = ours * (float(one["foolbox_frozen"]) - float(one["foolbox"]))
    assert 0.08 < price < 0.13  # "a tenth of a millisecond"
    assert price < 0.5 * (ours - ours * float(one["torchattacks"]))  # "less than half of what torchattacks is ahead by"
    assert (
        f"takes foolbox {float(one['foolbox']):.2f} of our time without and {float(one['foolbox_frozen']):.2f}" in text
    )


def test_forty_steps_take_about_as_long(text, rows):
    more = {case: 100 * (1 / ratio - 1) for case, ratio in ratios(rows, "PGD-40").items()}
    batches = [percent for case, percent in more.items() if case not in SINGLE]
    assert f"between {abs(min(batches)):.0f} and {max(batches):.0f} % more time than the faster library" in text
    assert f"on single images up to {max(more[case] for case in SINGLE):.0f} %" in text


def test_three_attacks_are_faster_or_level(text, rows):
    found = [ratio for name in ("DeepFool", "Carlini–Wagner") for ratio in ratios(rows, name).values()]
    assert f"by {100 * (min(found) - 1):.0f} % to a factor of {max(found):.1f}" in text
    square = {case: float(row["torchattacks"]) for case, row in rows.items() if case[0].startswith("Square")}
    assert f"and Square by up to a factor of {max(square.values()):.1f}" in text
    level = ("Square, L2", "cifar10 20")
    assert 0.98 < square.pop(level) < 1.02  # "it is level"
    assert min(square.values()) > 1.02
    digits = rows["DeepFool", "digits 100"]
    told = f"asks {float(digits['passes_ours']):.1f} times each where foolbox's asks {digits['passes_foolbox']} times"
    assert told in text
    cw = [row for (name, _), row in rows.items() if name == "Carlini–Wagner"]
    assert {(row["passes_ours"], row["passes_foolbox"]) for row in cw} == {("201", "200")}
    assert "asks 201 times where foolbox asks 200" in text


def test_the_gain_of_carlini_and_wagners_is_that_of_freezing(text, rows):
    asked = [row for row in rows.values() if row["foolbox"]]
    slower = [row for row in asked if float(row["foolbox_frozen"]) >= float(row["foolbox"])]
    assert slower == [rows["FGSM", "digits 1"]]  # "everywhere else foolbox is faster frozen"
    frozen = ratios(rows, "Carlini–Wagner", ["foolbox_frozen"]).values()
    assert f"Carlini–Wagner then needs {median(frozen):.2f} of our time, in the median of the columns" in text
