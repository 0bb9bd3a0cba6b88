"""What became of the predictions.

Every experiment says in its docstring what it predicts and what would refute it, and said so before it ran. Its
function `verdicts` applies that rule to its files of results; those functions, too, were written before the results,
but for that of `features`, half of whose results had been seen. `python -m tools.experiments` writes what comes out on
the page of experiments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean
from typing import NamedTuple

from experiments import harness
from experiments.harness import Row

HOLDS, REFUTED, UNDECIDED = "holds", "refuted", "undecided"
DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


class Verdict(NamedTuple):
    """A prediction, HOLDS, REFUTED or UNDECIDED, and the numbers that decide."""

    prediction: str
    outcome: str
    measured: str


def rows_of_seeds(name: str, where: Row) -> list[dict[str, str]]:
    """Return the rows of ``results/NAME.csv`` for seeds 0, 1 and 2, where other columns have these values.

    Raises ValueError unless there is exactly one for each seed.
    """
    wanted = {key: str(value) for key, value in where.items()}
    rows = [row for row in harness.read(harness.RESULTS / f"{name}.csv") if wanted.items() <= row.items()]
    rows.sort(key=lambda row: row["seed"])
    if (seeds := [row["seed"] for row in rows]) != ["0", "1", "2"]:
        raise ValueError(f"{name}.csv has seeds {seeds} where {where}; expected 0, 1 and 2")
    return rows


def over_seeds(name: str, where: Row, column: str) -> list[float]:
    """Return the numbers in one column of these rows."""
    return [float(row[column]) for row in rows_of_seeds(name, where)]


def holds_if(true: bool) -> str:
    """Return HOLDS, or REFUTED."""
    return HOLDS if true else REFUTED


def means_in_order(less: Sequence[float], more: Sequence[float]) -> str:
    """Judge by the means alone.

    >>> means_in_order([1, 5, 3], [2, 3, 5])
    'holds'
    """
    return holds_if(mean(less) < mean(more))


def ranges_in_order(less: Sequence[float], more: Sequence[float]) -> str:
    """Judge by the ranges of the seeds: undecided where they overlap.

    >>> ranges_in_order([1, 5, 3], [2, 3, 5]), ranges_in_order([4, 5], [1, 2])
    ('undecided', 'refuted')
    """
    return UNDECIDED if overlap(less, more) else means_in_order(less, more)


def overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    """Say whether the ranges of two sets of numbers have a point in common."""
    return max(min(one), min(other)) <= min(max(one), max(other))


def all_of(outcomes: Iterable[str]) -> str:
    """Return the outcome of a prediction that several comparisons must bear out: one that is refuted refutes it.

    >>> all_of([HOLDS, UNDECIDED]), all_of([HOLDS, UNDECIDED, REFUTED])
    ('undecided', 'refuted')
    """
    found = set(outcomes)
    return next(outcome for outcome in (REFUTED, UNDECIDED, HOLDS) if outcome in found)


def percent(values: Sequence[float]) -> str:
    """Return mean and range of fractions, as text in per cent.

    >>> percent([0.1, 0.12, 0.14])
    '12.0 (10.0–14.0)'
    """
    low, middle, high = (f"{100 * value:.1f}" for value in (min(values), mean(values), max(values)))
    return f"{middle} ({low}–{high})"


def points(values: Iterable[float]) -> str:
    """Return differences of fractions as text, in points of a hundred.

    >>> points([0.012, -0.1])
    '1.2, −10.0'
    """
    return ", ".join(f"{100 * value:.1f}".replace("-", "−") for value in values)


def share(found: Sequence[bool]) -> str:
    """Return how many of the comparisons went as predicted.

    >>> share([True, False, True])
    '2 of 3 comparisons'
    """
    return f"{sum(found)} of {len(found)} comparisons"
