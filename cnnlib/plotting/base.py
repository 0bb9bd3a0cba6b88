"""What all figures of the book share: colours, a figure with its alternative text, arrays drawn as cells."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlib.checks import choice

# Okabe and Ito's palette, which the colour-blind tell apart: https://jfly.uni-koeln.de/color/
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "sky": "#56B4E9",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
    "black": "#000000",
    "grey": "#767676",
}

STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(
        color=[COLOURS[name] for name in ("blue", "vermilion", "green", "orange", "purple", "sky", "black")]
    ),
    "figure.facecolor": "white",
    "legend.frameon": False,
}
DPI = 120


def new(ncols: int = 1, nrows: int = 1, *, width: float = 7.0, height: float = 3.0) -> tuple[Figure, Any]:
    """Return a figure of `width` × `height` inches in the book's style, and its axes as an array (nrows, ncols).

    >>> fig, axes = new(2)
    >>> axes.shape
    (1, 2)
    """
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(width, height), layout="constrained")
        axes = fig.subplots(nrows, ncols, squeeze=False)
    return fig, axes


def figure(fig: Figure, alt: str) -> None:
    """Show a figure in a notebook, with the words that say what one sees in it for those who do not see it.

    The image carries `alt` in its metadata, and it is the plain-text form of the output.
    Raises ValueError where `alt` is empty.
    """
    from IPython.display import display

    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt is {alt!r}; expected a sentence that says what the figure shows")
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        fig.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    width, height = (round(inches * DPI) for inches in fig.get_size_inches())
    display(
        {"image/png": buffer.getvalue(), "text/plain": alt},
        metadata={"image/png": {"alt": alt, "width": width, "height": height}},
        raw=True,
    )


def grid(
    ax: Axes,
    values: np.ndarray,
    *,
    title: str = "",
    marks: Mapping[tuple[int, int], str] | None = None,
    digits: int = 0,
    colour: str = "blue",
    labels: bool = True,
) -> None:
    """Draw a 2-D array as cells, shaded by size, with its numbers in them.

    `marks` maps (row, column) to a colour name of `COLOURS`: that cell gets a thick frame. NaN cells are hatched and
    empty. Negative numbers get a real minus sign; the shade says the size alone.
    Raises ValueError for other arrays, unknown colours and marks outside the array.
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or np.isinf(values).any():
        raise ValueError(f"values has shape {values.shape}; expected two axes of finite numbers or NaN")
    H, W = values.shape
    for name in (colour, *(marks or {}).values()):
        choice("colour", name, tuple(COLOURS))
    for i, j in marks or {}:
        if not (0 <= i < H and 0 <= j < W):
            raise ValueError(f"marks holds {(i, j)}; expected (row, column) inside {values.shape}")
    largest = np.nanmax(np.abs(values), initial=0) or 1
    red, green, blue = mpl.colors.to_rgb(COLOURS[colour])
    for i, j in np.ndindex(H, W):
        value = values[i, j]
        if np.isnan(value):
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor="white", edgecolor="#767676", hatch="///", linewidth=0.6))
            continue
        strength = 0.75 * abs(value) / largest
        shade = [1 - strength * (1 - c) for c in (red, green, blue)]
        ax.add_patch(Rectangle((j, i), 1, 1, facecolor=shade, edgecolor="#767676", linewidth=0.6))
        if labels:
            text = f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0 turns −0 into 0
            dark = np.dot(shade, (0.299, 0.587, 0.114)) < 0.5
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", color="white" if dark else "black")
    for (i, j), name in (marks or {}).items():
        ax.add_patch(Rectangle((j, i), 1, 1, fill=False, edgecolor=COLOURS[name], linewidth=2.6, zorder=3))
    ax.set(xlim=(-0.05, W + 0.05), ylim=(H + 0.05, -0.05), aspect="equal")
    ax.axis("off")
    ax.set_title(title)
