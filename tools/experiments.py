"""Tell what the experiments found: ``python -m tools.experiments`` writes the results of ``book/experiments.md``.

Nothing is trained: the numbers come from ``experiments/results``, the verdicts from each experiment's own rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cnnlib.plotting.base import DPI
from cnnlib.plotting.seeds import curves
from experiments import (
    all_convolutional,
    degradation,
    dense,
    depth,
    features,
    fine_tuning,
    harness,
    hybrid,
    kernel_sizes,
    normalisation,
)
from experiments.verdicts import DATA, HOLDS, REFUTED, UNDECIDED, Verdict, percent
from tools.book import ROOT
from tools.tables import fill, fingerprint, markdown

PAGE = ROOT / "book" / "experiments.md"
PICTURES = ROOT / "book" / "_static"
PILLS = {HOLDS: "right", REFUTED: "wrong", UNDECIDED: "unclear"}
JUDGED: dict[str, Callable[[], list[Verdict]]] = {
    module.__name__.split(".")[-1]: module.verdicts
    for module in (
        features,
        dense,
        depth,
        degradation,
        kernel_sizes,
        all_convolutional,
        normalisation,
        fine_tuning,
        hybrid,
    )
}
NAMES = DATA | hybrid.KINDS | {"hog": "HOG", "sift": "SIFT", "all": "all layers trained"}
NAMES |= {
    "linear": "the linear layer alone",
    "labels": "learned features",
    "shuffled": "shuffled labels",
    "none": "as drawn",
    "": "",
}
TABLES = {  # the columns whose values name a row
    "kernel_sizes": ("block", "parameters", "macs"),
    "all_convolutional": ("stages", "head", "parameters", "macs"),
    "normalisation": ("normalisation", "lr"),
    "hybrid": ("network", "images", "parameters", "macs"),
}
Row = dict[str, str]
Panels = dict[str, dict[str, dict[float, list[float]]]]
Drawn = dict[str, tuple[Any, Callable[[Any], Figure]]]  # what a picture shows, and how it is drawn, by its name


def results(name: str) -> list[Row]:
    """Return the rows of an experiment."""
    return harness.read(harness.RESULTS / f"{name}.csv")


def plain(text: str) -> str:
    """Return a text of the results as a reader expects it.

    >>> plain("three 3x3, equal macs")
    'three 3 × 3, equal multiply–adds'
    """
    return re.sub(r"(\d)x(?=\d)", r"\1 × ", text).replace("macs", "multiply–adds")


def panels(rows: Sequence[Row], panel: str, line: str, x: str, y: str, scale: float = 100) -> Panels:
    """Return what `curves` draws: `scale` times the column `y`, as a rule a fraction, by three other columns."""
    found: Panels = {}
    for row in rows:
        title, name = (NAMES.get(row.get(key, ""), row.get(key, "")) for key in (panel, line))
        found.setdefault(title, {}).setdefault(plain(name), {}).setdefault(float(row[x]), []).append(
            scale * float(row[y])
        )
    return found


def layers() -> list[Row]:
    """Return what was measured of each layer for the page on degradation, and where and how it is shown."""
    return [
        {
            **row,
            "depth": f"{row['network']}, {row['depth']} layers",
            "place": str((int(row["position"]) + 1) / int(row["depth"])),
            "epoch": {"0": "before training", "1": "after one epoch"}.get(row["epoch"], f"after {row['epoch']}"),
            "product": str(float(row["gradient_norm"]) * float(row["weight_norm"])),
            "alike": str(float(row["norm_of_mean_gradient"]) / float(row["gradient_norm"])),
        }
        for row in results("degradation_layers")
        if row["epoch"] in ("0", "1", "20")
    ]


def drawn() -> Drawn:
    """Return, by the name of each picture, what it shows and how."""
    in_place = [row for row in results("dense") if row["pixels"] == "in place"]
    objects = [{**row, "object": f"object {row['object']} wide"} for row in results("depth")]
    short = [row for row in results("fine_tuning") if row["steps"] == str(fine_tuning.STEPS)]

    losses = [{**row, "depth": f"{row['depth']} layers"} for row in results("degradation")]
    falling = partial(curves, y="test error, %", x_scale="log", y_scale="log")
    by_images = partial(falling, x="training images", ticks=tuple(dense.EPOCHS))
    fields = [2 * d + 1 for d in depth.DEPTHS]
    place = "layer, 1 the last"
    return {
        "features": (panels(results("features"), "data", "features", "images", "test_error"), by_images),
        "dense": (panels(in_place, "data", "network", "images", "test_error"), by_images),
        "depth": (
            panels(objects, "", "object", "field", "test_accuracy"),
            partial(curves, x="receptive field, columns", y="right answers, %", ticks=fields),
        ),
        "degradation": (
            panels(losses, "network", "depth", "epoch", "train_loss", scale=1),
            partial(curves, x="epoch", y="training loss", ticks=(1, 5, 10, 15, 20), share_y=True),
        ),
        "degradation_layers": (
            panels(layers(), "epoch", "depth", "place", "product", scale=1),
            partial(curves, x=place, y="gradient norm × weight norm", y_scale="log", share_y=True),
        ),
        "degradation_alike": (
            panels(layers(), "epoch", "depth", "place", "alike", scale=1),
            partial(curves, x=place, y="norm of mean / mean norm", share_y=True),
        ),
        "fine_tuning": (
            panels(short, "trained", "start", "images", "test_error"),
            partial(falling, x="images of each class", ticks=fine_tuning.IMAGES, share_y=True),
        ),
    }


def judged(verdicts: Sequence[Verdict]) -> str:
    """Return the table of predictions."""
    lines = [
        (prediction, f'<span class="verdict verdict-{PILLS[outcome]}">{outcome}</span>', measured)
        for prediction, outcome, measured in verdicts
    ]
    return markdown(("prediction", "outcome", "measured"), lines, texts=3)


def errors(name: str, keys: Sequence[str]) -> str:
    """Return the table of mean test errors over the seeds, for each of the values of some columns."""
    found: dict[tuple[str, ...], list[float]] = {}
    for row in results(name):
        found.setdefault(tuple(row[key] for key in keys), []).append(float(row["test_error"]))
    lines = [
        (*(f"{int(v):,}" if v.isdigit() else NAMES.get(v, v) for v in values), percent(of))
        for values, of in found.items()
    ]
    return plain(markdown((*keys, "test error, %"), lines))


def contents() -> dict[str, str]:
    """Return the tables by the marks between which they stand on the page."""
    return {name: judged(verdicts()) for name, verdicts in JUDGED.items()} | {
        f"{name}_errors": errors(name, keys) for name, keys in TABLES.items()
    }


def write(page: Path, tables: Mapping[str, str], pictures: Drawn) -> None:
    """Write tables into a page, and the pictures beside it."""
    fill(page, tables)
    for name, (shown, draw) in pictures.items():
        metadata = {"Software": None, "Description": fingerprint(shown)}
        draw(shown).savefig(PICTURES / f"experiment-{name}.png", dpi=DPI, metadata=metadata)


if __name__ == "__main__":
    write(PAGE, contents(), drawn())
