"""Tell what the experiments on inputs found: ``python -m tools.input_experiments`` writes the page of them.

Nothing is attacked: the numbers come from ``experiments/results``, the verdicts from each experiment's own rule.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import mean, median

from cnnlib.plotting.seeds import curves
from experiments import dimension, error_by_epsilon, minimal_norms, price, transferability
from experiments.minimal_norms import sizes
from experiments.verdicts import Verdict, over_seeds
from tools import input_findings
from tools.book import ROOT
from tools.experiments import Drawn, Row, judged, panels, results, write
from tools.tables import markdown

PAGE = ROOT / "book" / "input_experiments.md"
JUDGED: dict[str, Callable[[], list[Verdict]]] = {  # by the name of the results
    module.__name__.split(".")[-1]: module.verdicts
    for module in (error_by_epsilon, minimal_norms, dimension, transferability, price, *input_findings.FINDINGS)
}
STARTS = {"as drawn": "as drawn", "zero": "trained from zero", "drawn": "trained from weights as drawn"}
KINDS = {"PGD": "PGD, 7 steps", "one step": "one step", "noise": "noise"}
UNDER = {"clean": "no attack", "robust": f"attacked at ε {price.AT}", "robust_own": "attacked at its own ε"}
DISTANCES = ("random", "boundary", "HopSkipJump", "FGSM", "DeepFool", "Carlini–Wagner")  # six lines can be told apart


def by_epsilon() -> list[Row]:
    """Return the rows of errors by ε with the names of lines and panels that a reader sees."""
    trained = set(error_by_epsilon.TRAINED.values())
    rows = []
    for row in results("error_by_epsilon"):
        if row["network"] not in trained:
            rows.append({**row, "line": row["attack"]})
        elif row["attack"] == "ensemble":
            rows.append({**row, "line": "ensemble, on the trained network"})
    return rows


def prices() -> list[Row]:
    """Return a row for each training and each way to be judged; the plain training, ε 0, belongs to all kinds."""
    return [
        {**row, "line": name, "panel": panel, "right": row[column]}
        for row in results("price")
        for kind, name in KINDS.items()
        if row["trained"] in (kind, "plain")
        for column, panel in UNDER.items()
    ]


def distances() -> dict[str, dict[str, dict[float, list[float]]]]:
    """Return how far attacks in the norm 2 have to go for 10 to 90 % of the images, for the two deep networks."""
    found: dict[str, dict[str, dict[float, list[float]]]] = {}
    for network in ("lenet5_mnist", "resnet20_cifar10"):
        lines = found.setdefault(minimal_norms.NETWORKS[network], {})
        for attack in DISTANCES:
            far = sorted(sizes(network, attack))
            lines[attack] = {tenths * 10: [far[tenths * len(far) // 10]] for tenths in range(1, 10)}
    return found


def drawn() -> Drawn:
    """Return, by the name of each picture, what it shows and how."""
    grids = [{**row, "line": STARTS[row["start"]]} for row in results("dimension")]
    own: Drawn = {
        "error_by_epsilon": (
            panels(by_epsilon(), "data", "line", "eps", "error"),
            partial(curves, x="ε", y="error, %"),
        ),
        "minimal_norms": (
            distances(),
            partial(curves, x="share of the images, %", y="distance of the mistake", y_scale="log"),
        ),
        "dimension": (
            panels(grids, "", "line", "side", "linf"),
            partial(
                curves,
                x="pixels a side",
                y="least ε, % of the range",
                x_scale="log",
                y_scale="log",
                ticks=dimension.SIDES,
            ),
        ),
        "price": (
            panels(prices(), "panel", "line", "eps", "right"),
            partial(curves, x="ε of the training", y="right answers, %", share_y=True),
        ),
    }
    return own | input_findings.drawn()


def norms() -> str:
    """Return the table of the median distances of each attack, and of what is left after rounding."""
    lines = []
    for norm, sign in (("2", "2"), ("inf", "∞")):
        rows = [row for row in results("minimal_norms") if row["norm"] == norm]
        for attack in dict.fromkeys(row["attack"] for row in rows):
            of_it = {row["network"]: row for row in rows if row["attack"] == attack}
            lines.append((sign, attack, *(_distance(of_it.get(network)) for network in minimal_norms.NETWORKS)))
    return markdown(("norm", "attack", *minimal_norms.NETWORKS.values()), lines, texts=2)


def _distance(row: Row | None) -> str:
    if row is None:
        return ""
    middle = median(float(size) for size in row["sizes"].split())
    text = f"{middle:.4f}" if row["norm"] == "inf" else f"{middle:.2f}"
    return f"{text} ({100 * float(row['survived_rounding']):.0f} %)" if row["survived_rounding"] else text


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
    return tables | {"minimal_norms_sizes": norms(), "transferability_matrix": matrix()} | input_findings.contents()


if __name__ == "__main__":
    write(PAGE, contents(), drawn())
