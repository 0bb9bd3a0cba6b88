"""Tell what the experiments on inputs found: ``python -m tools.input_experiments`` writes the page of them.

Nothing is attacked: the numbers come from ``experiments/results``, the verdicts from each experiment's own rule.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

from experiments import transferability
from experiments.verdicts import Verdict, over_seeds
from tools.book import ROOT
from tools.experiments import Drawn, judged, write
from tools.tables import markdown

PAGE = ROOT / "book" / "input_experiments.md"
JUDGED: dict[str, Callable[[], list[Verdict]]] = {  # by the name of the results
    module.__name__.split(".")[-1]: module.verdicts for module in (transferability,)
}


def drawn() -> Drawn:
    """Return, by the name of each picture, what it shows and how."""
    return {}


def matrix() -> str:
    """Return the table of transfer: a line for the maker of the images, a column for each network that sees them."""

    def share(source: str, target: str, column: str = "fooled") -> str:
        where = {"source": source, "target": target, "eps": transferability.AT}
        return f"{100 * mean(over_seeds('transferability', where, column)):.0f}"

    kinds = transferability.KINDS
    lines = [
        (name, *(share(source, target) for target in kinds), share(source, "itself")) for source, name in kinds.items()
    ]
    noise = [f"{mean(float(share(source, target, 'fooled_by_noise')) for source in kinds):.0f}" for target in kinds]
    own = [f"{mean(float(share(source, 'itself', 'fooled_by_noise')) for source in kinds):.0f}"]
    return markdown(("made with", *kinds.values(), "itself"), [*lines, ("noise", *noise, *own)])


def contents() -> dict[str, str]:
    """Return the tables by the marks between which they stand on the page."""
    tables = {name: judged(verdicts()) for name, verdicts in JUDGED.items()}
    return tables | {"transferability_matrix": matrix()}


if __name__ == "__main__":
    write(PAGE, contents(), drawn())
