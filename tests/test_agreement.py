"""The experiment that measures the agreement of the twins runs, and its kept table says what it should."""

import csv

import numpy as np
import pytest

from experiments import agreement


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_twins_agree_to_a_few_rounding_units(dtype):
    rows = agreement.compare(dtype, "cpu", draws=5, seed=1)
    assert len(rows) == 3
    for row in rows:
        assert float(row["worst_error"]) < 8 * float(row["eps"])


def test_an_error_is_the_worst_over_the_size_of_the_terms():
    ours, theirs = [np.array([1.0, 2.0]), np.array([3.0])], [np.array([1.0, 2.5]), np.array([3.0])]
    assert agreement.error(ours, theirs, [np.array([5.0]), np.array([1.0])]) == 0.1


def test_the_kept_table_carries_its_provenance():
    with (agreement.RESULTS / "agreement_cpu.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        assert float(row["worst_error"]) < 8 * float(row["eps"])
        assert all(row[field] for field in ("device", "versions", "date", "command"))
