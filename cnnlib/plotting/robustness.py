"""How far attacks come: how often they fool, at what cost, and what rounding, cameras and defences leave of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from cnnlib.checks import choice
from cnnlib.defend import Certificate, Finding
from cnnlib.inputs import Result
from cnnlib.plotting.attacks import NORMS
from cnnlib.plotting.base import COLOURS, new
from cnnlib.plotting.images import WIDTH, as_array
from cnnlib.plotting.lines import LINES, check, legend, plot

MEASURES = {
    "l0": "pixels changed",
    "l2": "length of the change, L2",
    "linf": "largest change of a number, L∞",
    "queries": "queries",
}


def success(results: Mapping[str, Sequence[Result]]) -> Figure:
    """Draw the share of the attacked images that fool against ε, a line for each named series of results.

    Whole lines are the images as found, dashed ones as a file has them, rounded. Raises ValueError for no series, more
    than can be told apart, threats of several norms, and results without an image that was attacked.
    """
    check("results", results)
    norms = {result.threat.norm for series in results.values() for result in series}
    if len(norms) != 1:
        raise ValueError(f"results has threats in the norms {sorted(norms)}; expected all in one")
    fig, ax = plot(3.6)
    for (name, series), (colour, marker, _) in zip(results.items(), LINES, strict=False):
        order = sorted(series, key=lambda result: result.threat.eps)
        eps = [result.threat.eps for result in order]
        for style, rounded, label in (("-", False, name), ("--", True, None)):
            shares = [100 * _share(result, rounded=rounded) for result in order]
            ax.plot(eps, shares, style, marker=marker, color=COLOURS[colour], label=label)
            ax.lines[-1].set(markersize=5 if not rounded else 0, linewidth=1.2 if rounded else 1.8)
    ax.set(xlabel=f"ε, {NORMS[norms.pop()]} (dashed: rounded to 8 bits)", ylabel="images that fool, %", ylim=(-3, 103))
    legend(fig, ax)
    return fig


def reached(results: Mapping[str, Result], measure: str) -> Figure:
    """Draw which share of the attacked images each attack has fooled with at most so much of a measure.

    The measure is "l0", "l2" or "linf", the size of the change, or "queries", how often the model was asked. An image
    that was not fooled never counts. Raises ValueError for another measure, and as `success`.
    """
    choice("measure", measure, tuple(MEASURES))
    check("results", results)
    fig, ax = plot(3.6)
    found = {name: _costs(result, measure) for name, result in results.items()}
    right = 1.05 * (max(costs[-1] for costs, _ in found.values()) or 1)
    for (name, (costs, shares)), (colour, _, style) in zip(found.items(), LINES, strict=False):
        # on to the edge, as nothing more was found
        ax.step(
            [*costs, right], [*shares, shares[-1]], linestyle=style, where="post", color=COLOURS[colour], label=name
        )
    ax.set(xlim=(0, right), ylim=(-3, 103), xlabel=MEASURES[measure], ylabel="images that fool, %")
    if measure == "queries":
        ax.set_xscale("symlog", linthresh=1)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    legend(fig, ax)
    return fig


def _costs(result: Result, measure: str) -> tuple[list[float], list[float]]:
    """Return what the fooled images cost, in order after 0, and the shares in percent that are then fooled."""
    _share(result)
    costs = np.sort(as_array(getattr(result, measure))[as_array(result.success) > 0])
    return [0.0, *costs], [100 * count / int(result.attacked.sum()) for count in range(len(costs) + 1)]


def rounding(results: Mapping[str, Result]) -> Figure:
    """Draw, for each named result, the share of the attacked images that fool before and after rounding to 8 bits.

    Raises ValueError for no results, and for one without an image that was attacked.
    """
    if not results:
        raise ValueError("results is empty; expected at least one")
    fig, ax = plot(1.3 + 0.32 * len(results))
    shares = np.array([[100 * _share(each, rounded=rounded) for rounded in (False, True)] for each in results.values()])
    places = -np.arange(len(results))
    ax.hlines(places, *shares.T, color=COLOURS["grey"], linewidth=1.5, zorder=1)
    ax.plot(shares[:, 0], places, "o", color=COLOURS["blue"], markersize=9, label="as found")
    ax.plot(shares[:, 1], places, "D", color=COLOURS["vermilion"], markersize=6, label="rounded to 8 bits")
    _categories(ax, list(results), "images that fool, %")
    legend(fig, ax)
    return fig


def survival(shares: Mapping[str, Any]) -> Figure:
    """Draw, for each name, the share of views in which each image fools (N,), as dots, and their mean as a bar.

    The shares are what `cnnlib.attacks.survival` returned. Raises ValueError for none, or beyond 0 to 1.

    >>> fig = survival({"PGD": [0.0, 0.5], "EOT": [1.0, 0.8]})
    >>> [round(float(x), 1) for x in fig.axes[0].lines[1].get_xdata()]
    [25.0, 25.0]
    """
    if not shares:
        raise ValueError("shares is empty; expected at least one")
    fig, ax = plot(1.1 + 0.45 * len(shares))
    for place, (name, each) in enumerate(shares.items()):
        values = as_array(each)
        if values.ndim != 1 or not values.size or not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(f"shares[{name!r}] is {values}; expected numbers (N,) from 0 to 1")
        spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
        ax.plot(100 * values, spread - place, "o", color=COLOURS["sky"], markersize=5)
        ax.plot([100 * values.mean()] * 2, [-place - 0.33, 0.33 - place], color=COLOURS["vermilion"], linewidth=2.5)
    _categories(ax, list(shares), "views in which an image fools, % (bar: mean)")
    return fig


def transfer(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw as a table the share of images that fool each network, by the network that they were made on.

    `shares[made on][asked]` lies from 0 to 1. Raises ValueError for other numbers, and where a pair is missing.

    >>> fig = transfer({"A": {"A": 1.0, "B": 0.25}, "B": {"A": 0.5, "B": 1.0}})
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['100', '25', '50', '100']
    """
    asked = list(dict.fromkeys(name for row in shares.values() for name in row))
    if not asked or any(list(row) != asked for row in shares.values()):
        raise ValueError(f"shares has rows {[list(row) for row in shares.values()]}; expected the same names in each")
    values = np.array([list(row.values()) for row in shares.values()], float)
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"shares run from {values.min():g} to {values.max():g}; expected numbers from 0 to 1")
    fig, axes = new(width=WIDTH, height=1.0 + 0.45 * len(values))
    ax = axes[0, 0]
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        ax.text(j, i, f"{100 * value:.0f}", ha="center", va="center", color="white" if value > 0.6 else "black")
    ax.set_xticks(range(len(asked)), asked)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.tick_params(length=0)
    ax.set(xlabel="asked", ylabel="made on", title="images that fool, %")
    return fig


def findings(found: Sequence[Finding]) -> Figure:
    """Draw what `diagnose` found: the shares of images that fool, as bars; blue where sound, else striped vermilion.

    >>> fig = findings([Finding("restarts", False, {"1": 0.1, "6": 0.9})])
    >>> fig.axes[0].get_title("left")
    'restarts: speaks of masking'
    """
    if not found:
        raise ValueError("found is empty; expected at least one finding")
    counts = [len(each.numbers) for each in found]
    fig, axes = new(1, len(found), width=WIDTH, height=sum(0.6 + 0.27 * count for count in counts) + 0.3)
    axes[0, 0].get_gridspec().set_height_ratios(counts)
    for ax, each in zip(axes[:, 0], found, strict=True):
        places, values = -np.arange(len(each.numbers)), [100 * value for value in each.numbers.values()]
        colour, hatch = ("sky", None) if each.sound else ("vermilion", "///")
        ax.barh(places, values, color=COLOURS[colour], hatch=hatch, edgecolor="white", height=0.7)
        for place, value in zip(places, values, strict=True):
            ax.text(value + 1, place, f"{value:.0f}", va="center")
        ax.set_title(f"{each.what}: {'sound' if each.sound else 'speaks of masking'}", loc="left", fontsize=11)
        ax.set_yticks(places, list(each.numbers))
        ax.set(xlim=(0, 112), ylim=(0.5 - len(places), 0.5), xticks=[])
        ax.spines["bottom"].set_visible(False)
    axes[-1, 0].set_xlabel("images that fool, %")
    return fig


def certified(certificates: Mapping[str, tuple[Certificate, Any]]) -> Figure:
    """Draw the share of images that are certified to be right within a radius, against it.

    Each is what `certify` returned, and the true classes (N,). Images on which it abstained are not right. Raises
    ValueError for none, more than can be told apart, no images, and classes that do not go with them.
    """
    check("certificates", certificates)
    for name, (each, y) in certificates.items():
        if not len(each.classes) or as_array(y).shape != each.classes.shape:
            expected = f"one of each of {len(each.classes)} images, at least one"
            raise ValueError(f"certificates[{name!r}] has {len(y)} classes; expected {expected}")
    fig, ax = plot(3.6)
    right = max(float(each.radius.max()) for each, _ in certificates.values()) or 1.0
    for (name, (each, y)), (colour, _, style) in zip(certificates.items(), LINES, strict=False):
        classes, truth = as_array(each.classes), as_array(y)
        radii = np.sort(as_array(each.radius)[classes == truth])
        left = 100 * np.arange(len(radii), -1, -1) / len(classes)  # those whose radius is larger than each
        ax.step([0, *radii, 1.05 * right], [*left, 0], style, where="post", color=COLOURS[colour], label=name)
        ax.lines[-1].set_linewidth(1.8)
    ax.set(xlim=(0, 1.05 * right), ylim=(0, 103), xlabel="radius, L2", ylabel="certified to be right, %")
    legend(fig, ax)
    return fig


def _share(result: Result, *, rounded: bool = False) -> float:
    attacked = int(result.attacked.sum())
    if not attacked:
        raise ValueError("results has one without an image that was attacked; expected at least one in each")
    return int((result.rounded_success if rounded else result.success).sum()) / attacked


def _categories(ax: Axes, names: Sequence[str], label: str) -> None:
    """Name the lines of a chart, and let its axis run from 0 to 100 %."""
    ax.set_yticks(-np.arange(len(names)), names)
    ax.set(xlim=(-3, 103), ylim=(0.5 - len(names), 0.5), xlabel=label)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#dddddd")
    ax.set_axisbelow(True)
