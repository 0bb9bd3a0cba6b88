"""The picture of how fast the library is: one line for each shape, one mark for each direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from cnnlib.plotting.base import COLOURS, new

MARKS = {  # direction: colour, marker
    "forward": ("blue", "o"),
    "forward+backward": ("vermilion", "D"),
    "step": ("green", "s"),
}
TICKS = (0.25, 0.5, 1, 2, 4)


def ratios(panels: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw, for each titled panel, rows {shape, direction, ratio}: torch's time over ours, on a logarithmic axis.

    Marks right of the line at 1 are shapes in which NumPy is faster. Raises ValueError where there are no rows, or a
    direction has no mark.
    """
    counts = [len({row["shape"] for row in rows}) for rows in panels.values()]
    if not counts or not all(counts):
        raise ValueError(f"panels has {counts} shapes; expected at least one in each")
    height = 0.34 * sum(counts) + 0.95 * len(counts)
    fig, axes = new(1, len(counts), width=7.0, height=height)
    axes[0, 0].get_gridspec().set_height_ratios([count + 1.5 for count in counts])
    for ax, (title, rows) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(ax, title, rows)
    axes[-1, 0].set_xlabel("torch's time / ours")
    return fig


def _panel(ax: Any, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    unknown = {row["direction"] for row in rows} - MARKS.keys()
    if unknown:
        raise ValueError(f"direction is {sorted(unknown)[0]!r}; expected one of {', '.join(map(repr, MARKS))}")
    ax.axvline(1, color=COLOURS["black"], linewidth=1)
    ax.text(1.02, -0.55, "NumPy is faster →", fontsize=10, va="center")
    for shape in range(len(shapes)):
        ax.axhline(shape, color=COLOURS["grey"], linewidth=0.5, alpha=0.4)
    for direction, (colour, marker) in MARKS.items():
        chosen = [row for row in rows if row["direction"] == direction]
        heights = [shapes.index(row["shape"]) for row in chosen]
        if chosen:
            values = [float(row["ratio"]) for row in chosen]
            ax.plot(values, heights, marker, color=COLOURS[colour], label=direction.replace("+", " + "), zorder=3)
    ax.set(yticks=range(len(shapes)), yticklabels=shapes, ylim=(len(shapes) - 0.4, -0.9), xscale="log")
    ax.set_xlim(TICKS[0] * 0.9, TICKS[-1] * 1.1)
    ax.xaxis.set_major_locator(FixedLocator(TICKS))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{tick:g}" for tick in TICKS])
    ax.set_title(title, loc="left")
    ax.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderpad=0, handletextpad=0, columnspacing=1
    )
