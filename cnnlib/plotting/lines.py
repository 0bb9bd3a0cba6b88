"""Charts of named lines: what curves of attacks, layers and losses have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnlib.plotting.base import COLOURS, new
from cnnlib.plotting.images import WIDTH, as_array

LINES: tuple[tuple[str, str, Any], ...] = (  # colour, marker and dashes: each alone tells lines apart
    ("blue", "o", "-"),
    ("vermilion", "D", "--"),
    ("green", "s", "-."),
    ("orange", "^", (0, (1, 1))),
    ("purple", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("black", "x", (0, (7, 3))),
)


def plot(height: float) -> tuple[Figure, Axes]:
    """Return a figure as wide as a telephone, and its only axes.

    >>> plot(2.0)[0].get_size_inches().tolist()
    [5.0, 2.0]
    """
    fig, axes = new(width=WIDTH, height=height)
    return fig, axes[0, 0]


def check(name: str, lines: Mapping[str, Any]) -> None:
    """Raise ValueError unless there is a line, and no more than can be told apart.

    >>> check("results", {})
    Traceback (most recent call last):
    ValueError: results has the lines []; expected 1 to 6
    """
    if not 1 <= len(lines) <= len(LINES):
        raise ValueError(f"{name} has the lines {list(lines)}; expected 1 to {len(LINES)}")


def legend(fig: Figure, ax: Axes) -> None:
    """Put the names below the axes, where there are several lines, or into the title, where there is one."""
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) == 1:
        ax.set_title(labels[0], loc="left", fontsize=11)
    else:
        columns = max(1, min(len(labels), 60 // (8 + max(map(len, labels)))))
        fig.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def by_layer(values: Mapping[str, Mapping[str, Any]], *, label: str, level: float | None = None) -> Figure:
    """Draw a line for each name through the mean of what was measured at each layer, in a band from least to largest.

    `values[name][layer]` is a number or several, (N,); layers stand in their order, the first at the top, as in a list
    of the network. `label` names the numbers; at `level` stands a dotted line, such as that of chance. Raises
    ValueError for no line, more than can be told apart, lines with other layers, and numbers that are not finite.

    >>> fig = by_layer({"probe": {"1": 0.5, "4": [0.7, 0.9]}}, label="accuracy")
    >>> fig.axes[0].lines[0].get_xdata().round(1).tolist()
    [0.5, 0.8]
    """
    check("values", values)
    layers = list(next(iter(values.values())))
    fig, ax = plot(1.4 + 0.27 * len(layers))
    places = np.arange(len(layers))
    for (name, line), (colour, marker, style) in zip(values.items(), LINES, strict=False):
        if not layers or list(line) != layers:
            raise ValueError(f"values[{name!r}] has the layers {list(line)}; expected {layers or 'at least one'}")
        measured = [np.atleast_1d(as_array(each)) for each in line.values()]
        if not all(each.size and np.isfinite(each).all() for each in measured):
            raise ValueError(f"values[{name!r}] is {measured}; expected finite numbers for each layer")
        low, mean, high = (np.array([f(each) for each in measured]) for f in (np.min, np.mean, np.max))
        ax.fill_betweenx(places, low, high, color=COLOURS[colour], alpha=0.2, linewidth=0)
        ax.plot(mean, places, marker=marker, linestyle=style, color=COLOURS[colour], markersize=6, label=name)
    if level is not None:
        ax.axvline(level, color=COLOURS["grey"], linestyle=":", linewidth=1.2)
    ax.set_yticks(places, layers)
    ax.set(ylim=(len(layers) - 0.6, -0.4), xlabel=label)
    ax.grid(axis="y", color="#dddddd")
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    legend(fig, ax)
    return fig


def histories(values: Mapping[str, Any], *, label: str, scale: str = "linear") -> Figure:
    """Draw what an ascent climbed, before every step: its `history` (steps, N), a line for the mean of the N images.

    A band runs from the least to the largest. `label` names the objective, `scale` is "linear" or "symlog". Raises
    ValueError for no line, more than can be told apart, and anything but (steps, N).

    >>> fig = histories({"class models": np.array([[0.0, 1.0], [2.0, 4.0]])}, label="logit")
    >>> fig.axes[0].lines[0].get_ydata().tolist()
    [0.5, 3.0]
    """
    check("values", values)
    fig, ax = plot(3.4)
    for (name, history), (colour, _, style) in zip(values.items(), LINES, strict=False):
        steps = as_array(history)
        if steps.ndim != 2 or not steps.size:
            raise ValueError(f"values[{name!r}] is {steps.shape}; expected (steps, N)")
        places = np.arange(len(steps))
        ax.fill_between(places, steps.min(1), steps.max(1), color=COLOURS[colour], alpha=0.2, linewidth=0)
        ax.plot(places, steps.mean(1), linestyle=style, color=COLOURS[colour], linewidth=1.8, label=name)
    ax.set(xlabel="step", ylabel=label, yscale=scale)
    legend(fig, ax)
    return fig
