"""Draw the picture that a link to the site shows: ``python -m tools.social_card`` writes it to ``book/_static``."""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from cnnlib.ops_numpy import conv2d
from tools.book import ROOT

CARD = ROOT / "book" / "_static" / "social-card.png"
PAPER, INK, MUTED, AMBER, BLUE = "#12161c", "#f3f1ec", "#a9b3c0", "#ffb366", "#9cc2f5"
X = np.array([[int(digit) for digit in row] for row in ("100001", "010010", "001100", "100010", "010010", "001010")])
WEIGHT = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


def draw_grid(ax, values, left: float, top: float, cell: float, colour: str) -> None:
    """Draw a matrix as cells with numbers, its top left corner at (left, top)."""
    for (i, j), value in np.ndenumerate(values):
        x, y = left + j * cell, top - (i + 1) * cell
        ax.add_patch(Rectangle((x, y), cell, cell, fill=False, edgecolor=colour, linewidth=1.5))
        text = f"{value:g}".replace("-", "−")
        ax.text(x + cell / 2, y + cell / 2, text, color=INK, fontsize=18, ha="center", va="center")


def draw() -> plt.Figure:
    """Draw the worked example of the front page: image, kernel, the sixteen numbers, and one of them marked."""
    y = conv2d(X[None, None].astype(float), WEIGHT[None, None].astype(float))[0, 0]  # (4, 4)
    figure = plt.figure(figsize=(12, 6.3), dpi=100, facecolor=PAPER)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 12), ylim=(0, 6.3))
    ax.axis("off")
    ax.text(0.75, 5.45, "Convolutional networks, computed", color=INK, fontsize=37, weight="bold", va="center")
    ax.text(0.75, 4.75, "Every number on these pages was computed.", color=MUTED, fontsize=23, va="center")
    draw_grid(ax, X, 0.75, 4.0, 0.54, MUTED)
    draw_grid(ax, WEIGHT, 5.05, 3.19, 0.54, AMBER)
    draw_grid(ax, y, 7.95, 3.6, 0.66, BLUE)
    ax.add_patch(Rectangle((0.75, 4.0 - 3 * 0.54), 3 * 0.54, 3 * 0.54, fill=False, edgecolor=AMBER, linewidth=5))
    ax.add_patch(Rectangle((7.95, 3.6 - 0.66), 0.66, 0.66, fill=False, edgecolor=AMBER, linewidth=5))
    for x, sign in ((4.52, "∗"), (7.3, "=")):
        ax.text(x, 2.35, sign, color=INK, fontsize=34, ha="center", va="center")
    return figure


def main() -> int:
    """Write the card."""
    draw().savefig(CARD, metadata={"Software": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
