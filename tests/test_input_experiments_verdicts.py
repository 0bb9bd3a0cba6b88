"""Predictions about inputs are judged by their rules, on rows that are made up."""

import pytest

from cnnlib.files import write_csv
from experiments import harness
from experiments.harness import read
from experiments.verdicts import HOLDS, REFUTED
from tools import input_experiments

COMMITTED = harness.RESULTS

# By the name of the results: a row → what its columns would hold if all went as predicted, or the other way round.
AS_PREDICTED = {}
OPPOSITE = {}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results for a test to fill."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    return tmp_path


def outcomes(name, made, results):
    """Return the outcomes of an experiment whose committed rows have other values in some columns."""
    rows = read(COMMITTED / f"{name}.csv")
    write_csv(results / f"{name}.csv", list(rows[0]), [{**row, **made(row)} for row in rows])
    return [verdict.outcome for verdict in input_experiments.JUDGED[name]()]


@pytest.mark.parametrize("name", input_experiments.JUDGED)
def test_results_as_predicted_hold_and_the_opposite_does_not(name, results):
    assert set(outcomes(name, AS_PREDICTED[name], results)) == {HOLDS}
    assert REFUTED in outcomes(name, OPPOSITE[name], results)
