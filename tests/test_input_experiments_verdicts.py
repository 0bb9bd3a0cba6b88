"""Predictions about inputs are judged by their rules, on rows that are made up."""

import made_rows
import pytest

from cnnlib.files import write_csv
from experiments import harness
from experiments.harness import read
from experiments.verdicts import HOLDS, REFUTED
from tools import input_experiments

COMMITTED = harness.RESULTS


def dimension(row, wrong):
    side = int(row["side"])
    as_drawn, from_zero, from_drawn = 28 / side, {7: 2, 14: 1.5}.get(side, 1), (28 / side) ** 0.6
    if wrong:
        as_drawn, from_zero, from_drawn = 1, (28 / side) ** 1.2, 1
    return {
        "linf": {"as drawn": as_drawn, "zero": from_zero, "drawn": from_drawn}[row["start"]],
        "moved_by_signs": 1 if wrong else side,
        "moved_by_noise": 1,
        "fooled_by_noise": 0.5 * wrong,
    }


def error_by_epsilon(row, wrong):
    eps, trained = float(row["eps"]), "robust" in row["network"]
    own = {"digits": 0.2, "mnist": 0.3}.get(row["data"], 0)
    if wrong:
        plain = {"random signs": 0.9, "scaled gradient": 0.99, "FGSM": 0.9, "PGD": 0.5, "ensemble": 0.9}
        error = {"PGD": 0.1, "ensemble": 0.95}.get(row["attack"], 0.5) if trained else plain[row["attack"]]
    else:
        plain = {"random signs": 0.05, "scaled gradient": 0.3, "FGSM": 0.8}
        error = {"PGD": 0.25}.get(row["attack"], 0.3) if trained else plain.get(row["attack"], 1)
        error = 0.9 if trained and eps > own else error
    return {"error": error, "clean_error": 0.05}


def minimal_norms(row, wrong):
    deep = row["network"] != "linear"
    found = {"closed form": 1, "Carlini–Wagner": 1, "L-BFGS": 1.02, "DeepFool": 1.2, "FGSM": 1.5, "HopSkipJump": 1.6}
    if wrong:
        found = {"closed form": 1, "Carlini–Wagner": 1.5, "L-BFGS": 2, "DeepFool": 1.4, "FGSM": 1.3, "HopSkipJump": 1.2}
    size = found.get(row["attack"], 2 if wrong else 10)
    if row["norm"] == "inf" and row["attack"] == "PGD":
        size = 0.1 if wrong else 0.004
    spoiled = (row["network"] == "resnet20_cifar10") != wrong
    survived = {"survived_rounding": 0.3 if spoiled else 0.7} if deep else {}
    return {"sizes": " ".join([str(size)] * int(row["images"])), **survived}


def transferability(row, wrong):
    source, target = row["source"], row["target"]
    nets = {"lenet5", "lenet5_1998"}
    if target == "itself":
        fooled = 0.05 if wrong and source != "linear" else 0.9
    elif source == target:
        fooled = 0.1 if wrong else 0.85
    else:
        fooled = 0.6 if ({source, target} == nets) != wrong else 0.5
    return {"fooled": fooled, "fooled_by_noise": 0.9 if wrong else 0.05}


def price(row, wrong):
    kind, eps = row["trained"], float(row["eps"])
    if kind == "plain":
        clean, robust, own = (0.9, 0.9, 0.9) if wrong else (0.98, 0.2, 0.98)
    elif kind == "noise":
        clean, robust, own = (0.95, 0.9, 0.9) if wrong else (0.95, 0.21, 0.2)
    else:
        clean, robust = (0.99, 0.5 + eps) if wrong else (0.95 - eps / 2, 0.7 - abs(eps - 0.1))
        own = 0.7 - eps - (kind == "one step") * (0.2 if wrong else 0.01)
    seconds = 20 if wrong else {"PGD": 20, "one step": 5}.get(kind, 3)
    weak = own + (0.3 if wrong else 0.05)
    return {"clean": clean, "robust": robust, "robust_own": own, "robust_own_fgsm": weak, "cpu_seconds": seconds}


# What the columns of a row would hold if all went as predicted, or if it went wrong; by the name of the results.
MADE = {made.__name__: made for made in (dimension, error_by_epsilon, minimal_norms, transferability, price)}
MADE |= made_rows.MADE


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results for a test to fill."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    return tmp_path


def outcomes(name, results, *, wrong):
    """Return the outcomes of an experiment whose committed rows have other values in some columns."""
    rows = read(COMMITTED / f"{name}.csv")
    write_csv(results / f"{name}.csv", list(rows[0]), [{**row, **MADE[name](row, wrong)} for row in rows])
    return {verdict.outcome for verdict in input_experiments.JUDGED[name]()}


@pytest.mark.parametrize("name", input_experiments.JUDGED)
def test_results_as_predicted_hold_and_the_opposite_is_refuted(name, results):
    assert outcomes(name, results, wrong=False) == {HOLDS}
    assert outcomes(name, results, wrong=True) == {REFUTED}
