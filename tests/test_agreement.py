"""The experiment that measures the agreement of the twins runs, and its kept table says what it should."""

import csv

import pytest

from experiments import agreement


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_twins_agree_to_a_few_rounding_units(dtype):
    rows = agreement.compare(dtype, "cpu", draws=5, seed=1)
    assert len(rows) == 3
    for row in rows:
        assert float(row["worst_error"]) < 8 * float(row["unit"])


def test_the_kept_table_carries_its_provenance():
    with (agreement.RESULTS / "agreement_cpu.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        assert float(row["worst_error"]) < 8 * float(row["unit"])
        assert all(row[field] for field in ("device", "versions", "date", "command"))
