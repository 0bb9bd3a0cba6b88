"""The picture of an experiment that was done with several seeds: means as lines, and between which values they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from cnnlib.checks import choice
from cnnlib.plotting.base import COLOURS, new

Lines = Mapping[str, Mapping[float, Sequence[float]]]  # name of a line: x: what was measured there, of each seed
LOOKS = [("blue", "o"), ("vermilion", "D"), ("green", "s"), ("orange", "^"), ("purple", "v"), ("black", "x")]
SCALES = ("linear", "log")


def curves(
    panels: Mapping[str, Lines],
    *,
    x: str,
    y: str,
    x_scale: str = "linear",
    y_scale: str = "linear",
    ticks: Sequence[float] | None = None,
    share_y: bool = False,
) -> Figure:
    """Draw, for each titled panel, lines through the means of the seeds, in a band from the least to the largest.

    `x` and `y` name the axes; `ticks` are the labelled places on the first. With `share_y` all panels have one scale.
    Lines of one name look alike in all panels. Raises ValueError for other scales than "linear" and "log", more lines
    than can be told apart, and empty panels.

    >>> fig = curves({"errors": {"a": {1: [3, 5], 2: [2, 4]}}}, x="images", y="error, %")
    >>> fig.axes[0].lines[0].get_ydata().tolist()
    [4.0, 3.0]
    """
    choice("x_scale", x_scale, SCALES)
    choice("y_scale", y_scale, SCALES)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    if not 1 <= len(names) <= len(LOOKS) or not all(panels.values()):
        raise ValueError(f"panels has the lines {names}; expected 1 to {len(LOOKS)}, and at least one in each panel")
    columns = 3 if max(map(len, names)) <= 20 else 2
    rows = -(-len(names) // columns)
    fig, axes = new(len(panels), width=7.0, height=3.1 + 0.25 * rows)
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for name, points in lines.items():
            _line(ax, name, points, *LOOKS[names.index(name)])
        ax.set(xscale=x_scale, yscale=y_scale, xlabel=x)
        ax.set_title(title, loc="left")
        if ticks:
            ax.xaxis.set_major_locator(FixedLocator(list(ticks)))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticks(list(ticks), [f"{tick:,}" for tick in ticks])
    if share_y:
        low, high = zip(*(ax.get_ylim() for ax in axes[0]), strict=True)
        for ax in axes[0]:
            ax.set_ylim(min(low), max(high))
    if y_scale == "log":
        for ax in axes[0]:
            _label_log(ax)
    axes[0, 0].set_ylabel(y)
    handles = {label: line for ax in axes[0] for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend([handles[name] for name in names], names, loc="outside lower center", ncols=columns, frameon=False)
    return fig


def _label_log(ax: Any) -> None:
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 5, 6, 8) if high < 50 * low else (1, 3)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _line(ax: Any, name: str, points: Mapping[float, Sequence[float]], colour: str, marker: str) -> None:
    places = sorted(points)
    low, middle, high = (np.array([f(points[place]) for place in places]) for f in (np.min, np.mean, np.max))
    many = len(places) > 12
    ax.fill_between(places, low, high, color=COLOURS[colour], alpha=0.25, linewidth=0)
    ax.plot(
        places,
        middle,
        marker=marker,
        markersize=5,
        markevery=max(1, len(places) // 5) if many else 1,
        color=COLOURS[colour],
        label=name,
    )
