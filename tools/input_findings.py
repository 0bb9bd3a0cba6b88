"""Tables and pictures of some experiments on inputs, for ``python -m tools.input_experiments``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cnnlib.plotting import landscapes as drawing
from cnnlib.plotting.images import table
from cnnlib.plotting.seeds import curves
from experiments import (
    attribution_labels,
    attribution_located,
    attribution_randomised,
    certified,
    few_pixels,
    harness,
    landscapes,
    patch,
    physical,
    universal,
)
from experiments.verdicts import DATA, over_seeds, percent
from tools.book import ROOT
from tools.experiments import Drawn, Panels, results
from tools.tables import markdown

FINDINGS = (
    few_pixels,
    universal,
    patch,
    physical,
    certified,
    attribution_randomised,
    attribution_labels,
    attribution_located,
    landscapes,
)
NAMES = {"digits": "digits"} | DATA
CONTOURS = (0.2, 0.5, 1, 2, 5, 10)  # of losses; that of guessing is 2.3
RADII = [round(0.1 * i, 1) for i in range(14)]
TABLES: dict[str, tuple[Sequence[str], dict[str, str]]] = {  # the columns that name a row, and the fractions shown
    "few_pixels": (("data", "pixels", "search", "queries"), {"fooled": "fooled, %"}),
    "universal": (
        ("perturbation", "eps"),
        {"train_fooled": "fooled, of those to fit, %", "test_fooled": "of others, %"},
    ),
    "patch": (("sticker", "width"), {"test_taken": "taken for the target, %"}),
    "physical": (
        ("attack",),
        {
            "fooled": "as a file, %",
            "views_fooled": "in views, %",
            "print_fooled": "in print, %",
            "print_destroyed": "destroyed by print, %",
        },
    ),
}


def over_draws(name: str) -> str:
    """Return a table of an experiment: means and ranges of fractions over what was drawn, in per cent."""
    keys, columns = TABLES[name]
    found: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in results(name):
        found.setdefault(tuple(NAMES.get(row[key], row[key]) for key in keys), []).append(row)
    lines = [(*map(thousands, which), *(share(rows, column) for column in columns)) for which, rows in found.items()]
    return markdown((*keys, *columns.values()), lines)


def thousands(text: str) -> str:
    """Return a large number with a comma, and any other text as it is."""
    return f"{int(text):,}" if text.isdecimal() else text


def share(rows: Sequence[dict[str, str]], column: str) -> str:
    """Return mean and range of a column of fractions in per cent, of a single one itself, of none a dash."""
    found = [float(row[column]) for row in rows if row[column]]
    return percent(found) if len(found) > 1 else f"{100 * found[0]:.1f}" if found else "–"


def on_objects() -> str:
    """Return the table of how much of the maps lies on objects."""
    lines = [
        (
            method,
            *(
                percent(over_seeds("attribution_located", {"network": which, "method": method}, "share"))
                for which in attribution_located.NETWORKS[::-1]
            ),
        )
        for method in attribution_randomised.METHODS
    ]
    return markdown(("method", "untrained, %", "trained, %"), lines)


def of_two_networks() -> str:
    """Return the table of how alike maps of two networks are, by what the second has learned: means and ranges."""
    lines = []
    for method in attribution_randomised.METHODS:
        found = [
            over_seeds("attribution_labels", {"labels": labels, "method": method}, "alike")
            for labels in attribution_labels.LABELS
        ]
        lines.append((method, *(f"{mean(of):.2f} ({min(of):.2f}–{max(of):.2f})" for of in found)))
    return markdown(("method", "the labels", "shuffled labels", "nothing, as drawn"), lines)


def beside_libraries() -> str:
    """Return the table of each attack's time beside the faster of two libraries, theirs over ours, by batch."""
    return by_batch(lambda row: {"": min((row["torchattacks"], row["foolbox"]), key=lambda of: float(of or inf))})


def within_frozen() -> str:
    """Return the table of foolbox's times over ours, as it comes and with the model frozen, by batch."""
    return by_batch(
        lambda row: {", as it comes": row["foolbox"], ", frozen": row["foolbox_frozen"]} if row["foolbox"] else {}
    )


def by_batch(ratios: Callable[[dict[str, str]], dict[str, str]]) -> str:
    """Return a table of ratios of times: lines by the attack and what `ratios` adds to its name, columns by batch."""
    found: dict[str, dict[str, str]] = {}
    for row in harness.read(ROOT / "benchmarks" / "results" / "attacks.csv"):
        attack = row["attack"].replace("Linf", "norm ∞").replace("L2", "norm 2")
        for more, ratio in ratios(row).items():
            found.setdefault(attack + more, {})[f"{NAMES[row['data']]}, {row['batch']}"] = f"{float(ratio):.2f}"
    batches = list(dict.fromkeys(batch for of in found.values() for batch in of))
    return markdown(("attack", *batches), [(name, *(of[batch] for batch in batches)) for name, of in found.items()])


def by_radius() -> Panels:
    """Return, for each data set and σ, the share of images certified for more than a radius, of each seed, in %."""
    return {
        NAMES[data]: {
            f"σ = {sigma}": {
                radius: [100 * share for share in certified.certified(radius, data=data, training="noisy", sigma=sigma)]
                for radius in RADII
            }
            for sigma in certified.SIGMAS
        }
        for data in certified.TRAINED
    }


def by_layer() -> Panels:
    """Return, for each method, the mean correlation of maps with a number of layers random, of each seed."""
    found: dict[str, dict[float, list[float]]] = {}
    for row in results("attribution_randomised"):
        for layers, alike in enumerate(row["by_layer"].split(), 1):
            found.setdefault(row["method"], {}).setdefault(layers, []).append(float(alike))
    return {"": found}


def around() -> dict[str, list[list[float]]]:
    """Return, for each network, the losses along its lines."""
    return {f"{network}, {depth} layers": of for (network, depth), of in landscapes.lines().items()}


def planes() -> dict[str, list[list[float]]]:
    """Return, for the deeper twins, the losses over the plane of two directions, (distances, distances)."""
    return {
        f"{row['network']}, {row['depth']} layers": np.array(row["losses"].split(), float)
        .reshape(landscapes.PLANE, landscapes.PLANE)
        .tolist()
        for row in results("landscapes")
        if (row["along"], row["depth"]) == ("plane", "44")
    }


def stickers() -> dict[str, list[str]]:
    """Return the wider stickers of each kind, one for each target, as their bytes in hexadecimal digits."""
    found: dict[str, list[str]] = {}
    for row in results("patch"):
        if row["width"] == str(max(patch.WIDTHS)):
            found.setdefault(row["sticker"], []).append(row["pixels"])
    return found


def draw_stickers(shown: dict[str, list[str]]) -> Figure:
    """Draw stickers, a row for each kind."""
    rows = {}
    for kind, of in shown.items():
        pixels = np.array([list(bytes.fromhex(text)) for text in of]) / 255
        side = round((pixels.shape[1] / 3) ** 0.5)
        rows[kind] = pixels.reshape(-1, 3, side, side)
    return table(rows, titles=patch.TARGETS)


PICTURES: dict[str, tuple[Callable[[], Any], Callable[..., Figure]]] = {  # what they show, and how it is drawn
    "patch": (stickers, draw_stickers),
    "certified": (by_radius, partial(curves, x="radius, L2", y="images certified, %", share_y=True)),
    "attribution_randomised": (
        by_layer,
        partial(curves, x="layers random, from the logits down", y="rank correlation"),
    ),
    "landscapes": (around, partial(drawing.line, landscapes.places(landscapes.LINE), scale="log")),
    "landscapes_plane": (planes, partial(drawing.plane, landscapes.places(landscapes.PLANE), levels=CONTOURS)),
}


def contents() -> dict[str, str]:
    """Return the tables by the marks between which they stand on the page."""
    return {f"{name}_table": over_draws(name) for name in TABLES} | {
        "attribution_labels_table": of_two_networks(),
        "attribution_located_table": on_objects(),
        "attacks_speed": beside_libraries(),
        "attacks_frozen": within_frozen(),
    }


def drawn() -> Drawn:
    """Return, by the name of each picture, what it shows and how."""
    return {name: (shown(), draw) for name, (shown, draw) in PICTURES.items()}
