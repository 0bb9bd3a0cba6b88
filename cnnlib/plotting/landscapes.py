"""The loss around a network, along a line and over a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnlib.checks import choice
from cnnlib.plotting.base import COLOURS, new
from cnnlib.plotting.images import WIDTH, as_array
from cnnlib.plotting.lines import LINES, check, legend, plot

SCALES = ("linear", "log")


def line(distances: Sequence[float], losses: Mapping[str, Any], *, scale: str = "linear") -> Figure:
    """Draw for each network the losses at K distances from it, (K,) or along R directions, (R, K), with their mean.

    Single directions are thin. `scale` is that of the loss, "linear" or "log". Raises ValueError for another, no line
    or more than can be told apart, and losses that are not finite or not as many as the distances.

    >>> fig = line([-1, 0, 1], {"LeNet-5": [3.0, 0.1, 2.0]})
    >>> fig.axes[0].lines[0].get_ydata().tolist()
    [3.0, 0.1, 2.0]
    """
    choice("scale", scale, SCALES)
    check("losses", losses)
    places = as_array(distances)
    fig, ax = plot(3.4)
    for (name, values), (colour, _, style) in zip(losses.items(), LINES, strict=False):
        runs = np.atleast_2d(as_array(values))
        if runs.ndim != 2 or runs.shape[1] != len(places) or not len(places) or not np.isfinite(runs).all():
            raise ValueError(f"losses[{name!r}] is {runs.shape}; expected finite numbers for {len(places)} distances")
        ax.plot(places, runs.mean(0), linestyle=style, color=COLOURS[colour], linewidth=2, label=name)
        if len(runs) > 1:
            ax.plot(places, runs.T, color=COLOURS[colour], linewidth=0.6, alpha=0.5)
    ax.axvline(0, color=COLOURS["grey"], linestyle=":", linewidth=1)
    ax.set(xlabel="distance, in lengths of the filters", ylabel="mean cross-entropy", yscale=scale)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if scale == "linear":
        ax.set_ylim(bottom=0)
    legend(fig, ax)
    return fig


def plane(distances: Sequence[float], losses: Mapping[str, Any], *, levels: Sequence[float] | None = None) -> Figure:
    """Draw for each network, one above the other, the contours of the losses (K, K) over a plane.

    A cross is the network. Rows lie along the first direction, which points up. The levels are the same for all, and 1,
    2 or 5 times powers of ten unless given; the darker, the larger. Raises ValueError for no network, fewer than two
    distances, losses of another shape or that are not finite, and levels that do not grow.

    >>> fig = plane([-1, 0, 1], {"flat": np.ones((3, 3)), "bowl": [[3, 2, 3], [2, 0.5, 2], [3, 2, 3]]}, levels=[1, 2])
    >>> [ax.get_title(loc="left") for ax in fig.axes]
    ['flat', 'bowl']
    """
    places = as_array(distances)
    if not losses or len(places) < 2:
        raise ValueError(f"losses has {list(losses)} at {len(places)} distances; expected a network, and two distances")
    grids = {name: as_array(values) for name, values in losses.items()}
    for name, values in grids.items():
        if values.shape != (len(places),) * 2 or not np.isfinite(values).all():
            expected = f"finite numbers {(len(places),) * 2}"
            raise ValueError(f"losses[{name!r}] is {values.shape}; expected {expected}")
    heights = _levels(np.stack(list(grids.values()))) if levels is None else as_array(levels)
    if not len(heights) or (np.diff(heights) <= 0).any():
        raise ValueError(f"levels is {levels}; expected at least one, each larger than the one before")
    fig, axes = new(1, len(grids), width=WIDTH, height=4.3 * len(grids) + 0.2)
    shades = [f"{shade:.3f}" for shade in np.linspace(1, 0.55, len(heights) + 1)]
    for ax, (name, values) in zip(axes[:, 0], grids.items(), strict=True):
        ax.contourf(places, places, values, [-np.inf, *heights, np.inf], colors=shades)
        drawn = ax.contour(places, places, values, heights, colors=COLOURS["blue"], linewidths=1.4)
        for text in ax.clabel(drawn, fmt=lambda level: f"{level:g}", fontsize=10, colors="black"):
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8})
        ax.plot(0, 0, "+", color=COLOURS["vermilion"], markersize=13, markeredgewidth=2.5)
        ax.set_title(name, loc="left", fontsize=12)
        ax.set(aspect="equal", ylabel="along the first direction")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes[-1, 0].set_xlabel("along the second direction, in lengths of the filters")
    return fig


def _levels(values: np.ndarray) -> list[float]:
    """Return at most ten of 0.1, 0.2, 0.5, 1… between the least and the largest of positive numbers.

    >>> _levels(np.array([0.3, 12.0]))
    [0.5, 1.0, 2.0, 5.0, 10.0]
    """
    nice = [digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5)]
    inside = [level for level in nice if values.min() < level < values.max()]
    return inside[-10:] or [float(values.max())]
