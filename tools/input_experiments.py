"""Tell what the experiments on inputs found: ``python -m tools.input_experiments`` writes the page of them.

Nothing is attacked: the numbers come from ``experiments/results``, the verdicts from each experiment's own rule.
"""

from __future__ import annotations

from collections.abc import Callable

from experiments.verdicts import Verdict
from tools.book import ROOT
from tools.experiments import Drawn, judged, write

PAGE = ROOT / "book" / "input_experiments.md"
JUDGED: dict[str, Callable[[], list[Verdict]]] = {}  # by the name of the results; those that have been run


def drawn() -> Drawn:
    """Return, by the name of each picture, what it shows and how."""
    return {}


def contents() -> dict[str, str]:
    """Return the tables by the marks between which they stand on the page."""
    return {name: judged(verdicts()) for name, verdicts in JUDGED.items()}


if __name__ == "__main__":
    write(PAGE, contents(), drawn())
