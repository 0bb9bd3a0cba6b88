"""Drawings of the chapter on back-propagation: paths, sums, adjoints, pooling, step sizes and training runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from cnnlib.plotting.base import COLOURS, grid, new

TAPS = ("blue", "vermilion", "green", "purple")
WIDTH = 5.0  # inches: on a telephone a figure is shown some 360 pixels wide, so that 11 pt stay 11 pixels high
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1)))


def paths() -> Figure:
    """Draw one input of a 1-D layer y_i = a x_{i−1} + b x_i + c x_{i+1}, and its three paths to the loss."""
    fig, axes = new(width=WIDTH, height=3.0)
    ax = axes[0, 0]
    for k in range(4):
        for tap, letter, colour in ((1, "a", "blue"), (0, "b", "green"), (-1, "c", "vermilion")):
            if 0 <= k + tap < 4:
                chosen = k == 1
                _arrow(ax, (1, -k), (4, -k - tap), COLOURS[colour] if chosen else "#cccccc", 2.4 if chosen else 0.9)
                if chosen:
                    ax.text(
                        2.3,
                        -k - 0.43 * tap + (0.13 if tap < 1 else -0.3),
                        letter,
                        color=COLOURS[colour],
                        fontweight="bold",
                        ha="center",
                    )
        _arrow(ax, (4.3, -k), (7, -1.5), COLOURS["black"] if k < 3 else "#cccccc", 1.6 if k < 3 else 0.9)
    for k in range(4):
        _node(ax, (1, -k), f"$x_{k}$", "yellow" if k == 1 else None)
        _node(ax, (4.15, -k), f"$y_{k}$", None)
    for k, height in enumerate((-0.22, -0.98, -2.05)):
        ax.text(5.0, height, f"$G_{k}$", ha="center")
    _node(ax, (7.15, -1.5), "$L$", None)
    ax.set(xlim=(0.5, 7.7), ylim=(-3.5, 0.55))
    ax.axis("off")
    return fig


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, width: float) -> None:
    arrow = FancyArrowPatch(start, end, color=colour, linewidth=width, arrowstyle="-|>", mutation_scale=13)
    arrow.shrinkA = arrow.shrinkB = 13
    ax.add_patch(arrow)


def _node(ax: Axes, centre: tuple[float, float], text: str, colour: str | None) -> None:
    box = {"boxstyle": "circle,pad=0.3", "facecolor": COLOURS[colour] if colour else "white", "edgecolor": "black"}
    ax.text(*centre, text, ha="center", va="center", bbox=box, zorder=3)


def weight_windows(x: np.ndarray, grad_output: np.ndarray, kernel_size: tuple[int, int]) -> Figure:
    """Draw, for every weight (u, v), the block of x (H, W) that it met; beside them grad_output (h, w)."""
    kh, kw = kernel_size
    h, w = grad_output.shape
    fig, axes = new(kw + 1, kh, width=WIDTH, height=1.75 * kh)
    for u, v in np.ndindex(kh, kw):
        total = np.sum(grad_output * x[u : u + h, v : v + w])
        grid(axes[u, v], x, title=f"$w_{{{u}{v}}}$: sum {total:.0f}".replace("-", "−"), colour="grey")
        name = TAPS[u * kw + v]
        axes[u, v].add_patch(Rectangle((v, u), w, h, fill=False, edgecolor=COLOURS[name], linewidth=3.2, zorder=4))
    grid(axes[0, kw], grad_output, title="upstream $G$")
    for row in range(1, kh):
        axes[row, kw].axis("off")
        axes[row, kw].text(0.5, 0.5, "multiply each frame\nby $G$, cell by cell,\nand add up", ha="center", va="center")
    return fig


def one_weight(window: np.ndarray, grad_output: np.ndarray) -> Figure:
    """Draw the pixels that one weight met, the upstream gradient, and their products, all (H, W): the sum is dL/dw."""
    fig, axes = new(3, width=WIDTH, height=2.4)
    products = window * grad_output
    titles = ("pixels it met", "upstream $G$", "products")
    for ax, values, title in zip(axes[0], (window, grad_output, products), titles, strict=True):
        _signed(fig, ax, values, title)
    for ax, sign in zip(axes[0, :2], "×=", strict=True):
        ax.text(1.1, 0.5, sign, transform=ax.transAxes, fontsize=16, va="center")
    return fig


def _signed(fig: Figure, ax: Axes, values: np.ndarray, title: str, *, bar: bool = True) -> None:
    """Show an array of both signs: orange below zero, white at zero, blue above."""
    shades = [COLOURS["vermilion"], "white", COLOURS["blue"]]
    largest = float(np.abs(values).max()) or 1.0
    colours = mpl.colors.LinearSegmentedColormap.from_list("signed", shades)
    image = ax.imshow(values, cmap=colours, norm=TwoSlopeNorm(0, -largest, largest))
    ax.set_title(title)
    ax.set(xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(True)
    if bar:
        ticks = [-largest, 0, largest]
        labels = [f"{t:.2g}".replace("-", "−") for t in ticks]
        fig.colorbar(image, ax=ax, orientation="horizontal", shrink=0.85).set_ticks(ticks, labels=labels)


def scatter_gather() -> Figure:
    """Draw ∂L/∂x of a 3 × 3 input and a 2 × 2 kernel twice: an output that pays, and an input that collects."""
    fig, axes = new(1, 2, width=WIDTH, height=5.4)
    for ax, title in zip(axes[:, 0], ("scatter: one output pays", "gather: one input collects"), strict=True):
        ax.set(xlim=(-0.1, 9.6), ylim=(5.2, -0.2), aspect="equal", title=title)
        ax.axis("off")
        ax.text(1.5, 5.1, "upstream $G$", ha="center")
        ax.text(7.25, 5.1, "gradient of $x$", ha="center")
        _cells(ax, (0, 0.6), (2, 2), size=1.5)
        _cells(ax, (5, 0), (3, 3), size=1.5)
    pays, collects = axes[:, 0]
    _fill(pays, (1.5, 0.6), 1.5, "orange", "$G_{01}$")
    _fill(collects, (6.5, 1.5), 1.5, "orange", "$x_{11}$")
    for u, v in np.ndindex(2, 2):
        colour, i, j = TAPS[2 * u + v], 1 - u, 1 - v
        _fill(pays, (5 + 1.5 * (1 + v), 1.5 * u), 1.5, colour, f"$G_{{01}}w_{{{u}{v}}}$")
        _fill(collects, (1.5 * j, 0.6 + 1.5 * i), 1.5, colour, f"$G_{{{i}{j}}}w_{{{u}{v}}}$")
        # past the words in the cells: the far ones are reached along the outer edge
        end = (8.7, 3.05 * u - 0.02) if v else (6.9, 0.75 + 1.5 * u)
        _arrow(pays, (2.3, 1.1 + 0.5 * u), end, COLOURS[colour], 1.8)
        start = (2.7, 1.35 + 1.5 * i) if j else (0.6, 0.7 + 2.8 * i)
        _arrow(collects, start, (6.95, 1.7 + 0.9 * i + 0.25 * (j if i == 0 else -j)), COLOURS[colour], 1.8)
    return fig


def _cells(ax: Axes, corner: tuple[float, float], shape: tuple[int, int], *, size: float) -> None:
    for i, j in np.ndindex(*shape):
        place = (corner[0] + j * size, corner[1] + i * size)
        ax.add_patch(Rectangle(place, size, size, facecolor="white", edgecolor=COLOURS["grey"]))


def _fill(ax: Axes, corner: tuple[float, float], size: float, colour: str, text: str) -> None:
    tint = [1 - 0.35 * (1 - c) for c in mpl.colors.to_rgb(COLOURS[colour])]
    ax.add_patch(Rectangle(corner, size, size, facecolor=tint, edgecolor=COLOURS[colour], linewidth=2))
    ax.text(corner[0] + size / 2, corner[1] + size / 2, text, ha="center", va="center")


def dilated(spread: np.ndarray, kernel: np.ndarray, grad_x: np.ndarray) -> Figure:
    """Draw an upstream gradient with zeros between and around it, the turned kernel, and the gradient of x they give.

    The kernel stands in the centre of the spread gradient, whose frame it multiplies into the marked cell.
    """
    fig, axes = new(2, 2, width=WIDTH, height=5.6)
    (wide, words), (turned, result) = axes
    grid(wide, spread, title="$G$, dilated and padded", colour="sky")
    for i, j in np.argwhere(spread != 0):
        wide.add_patch(Rectangle((j, i), 1, 1, fill=False, edgecolor=COLOURS["blue"], linewidth=2.4, zorder=3))
    h, w = kernel.shape
    frame = Rectangle((2, 2), w, h, fill=False, edgecolor=COLOURS["vermilion"], zorder=4)
    frame.set(linewidth=2.6, linestyle="--")
    wide.add_patch(frame)
    window = spread[2 : 2 + h, 2 : 2 + w]
    terms = [f"{g:.0f} · {k:.0f}" for g, k in zip(window.ravel(), kernel.ravel(), strict=True) if g]
    words.axis("off")
    total = f"the frame:\n\n{' + '.join(terms[:2])}\n+ {' + '.join(terms[2:])}\n= {np.sum(window * kernel):.0f}"
    words.text(0.5, 0.5, total, ha="center", va="center", fontsize=12)
    grid(turned, kernel, title="the kernel, turned", colour="orange")
    grid(result, grad_x, title="gradient of $x$", marks={(2, 2): "vermilion"})
    return fig


def coverage(counts: Mapping[str, np.ndarray]) -> Figure:
    """Draw, for several layers, how many windows lie over each pixel of the input (H, W)."""
    fig, axes = new(len(counts), width=WIDTH, height=2.1)
    for ax, (title, values) in zip(axes[0], counts.items(), strict=True):
        grid(ax, values, title=title, colour="green")
    return fig


def matrices(forward: np.ndarray) -> Figure:
    """Draw the matrix A (outputs, inputs) of a layer beside its transpose, zeros left blank."""
    fig, axes = new(2, width=WIDTH, height=3.2)
    axes[0, 0].get_gridspec().set_width_ratios(forward.shape[::-1])
    for ax, values, title in zip(axes[0], (forward, forward.T), ("$A$: $y = A\\,x$", "$A^{T}$"), strict=True):
        _signed(fig, ax, values, title, bar=False)
        for i, j in np.argwhere(values != 0):
            text = f"{values[i, j]:.0f}".replace("-", "−")
            dark = abs(values[i, j]) > 0.6 * np.abs(values).max()
            ax.text(j, i, text, ha="center", va="center", color="white" if dark else "black")
        ax.set_xticks(np.arange(-0.5, values.shape[1]), minor=True)
        ax.set_yticks(np.arange(-0.5, values.shape[0]), minor=True)
        ax.grid(which="minor", color="#cccccc", linewidth=0.8)
        ax.tick_params(which="minor", length=0)
    axes[0, 0].set(xlabel="input pixels, row by row", ylabel="outputs")
    axes[0, 1].set(xlabel="outputs", ylabel="input pixels")
    return fig


def pooling(rows: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Draw pooling layers, one a row: (name, x, y, grad_output, grad_x), each but the name (H, W)."""
    fig, axes = new(4, len(rows), width=WIDTH, height=1.5 * len(rows))
    for place, (line, (name, *arrays)) in enumerate(zip(axes, rows, strict=True)):
        for ax, values, title in zip(line, arrays, ("$x$", "$y$", "upstream $G$", "gradient of $x$"), strict=True):
            whole = np.allclose(values, np.round(values))
            grid(ax, values, digits=0 if whole else 1, colour="green" if title in {"$x$", "$y$"} else "blue")
            if place == 0:
                ax.set_title(title, fontsize=11)
        line[0].text(-0.17, 0.5, name, transform=line[0].transAxes, rotation=90, ha="center", va="center")
    return fig


def step_errors(steps: np.ndarray, errors: Mapping[str, np.ndarray], guides: Mapping[str, float]) -> Figure:
    """Draw the relative error of finite differences (n,) against their step, one curve a method; zeros are left out."""
    fig, axes = new(width=WIDTH, height=4.4)
    ax = axes[0, 0]
    for (name, values), marker in zip(errors.items(), "o^sD", strict=False):
        ax.loglog(steps, np.where(values > 0, values, np.nan), marker, markersize=4, linestyle="-", label=name)
    for name, place in guides.items():
        ax.axvline(place, color=COLOURS["grey"], linestyle=":", linewidth=1)
        ax.text(place, 1.02, name, transform=ax.get_xaxis_transform(), ha="center", color=COLOURS["black"])
    ax.set(xlabel="step ε (dotted: for float64)", ylabel="relative error of the derivative")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=1, frameon=False)
    return fig


def kink(biases: np.ndarray, slopes: Sequence[float], answers: Mapping[str, float]) -> Figure:
    """Draw the slope of a loss (n,) along one bias, and what several methods say the slope at 0 is."""
    fig, axes = new(width=WIDTH, height=3.4)
    ax = axes[0, 0]
    for side in (biases < 0, biases > 0):
        ax.plot(biases[side], np.asarray(slopes)[side], color=COLOURS["black"], linewidth=2)
    ax.axvline(0, color=COLOURS["grey"], linestyle=":", linewidth=1)
    for (name, value), marker in zip(answers.items(), "osD", strict=False):
        ax.plot([0], [value], marker, markersize=9, linestyle="none", label=f"{name}: {value:.3f}")
    ax.set(xlabel="bias", ylabel="slope of the loss")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    return fig


def training(losses: Mapping[str, np.ndarray], missed: Mapping[str, np.ndarray]) -> Figure:
    """Draw the loss per epoch (seeds, epochs), one line a run, and below it the share misread at the end (seeds,)."""
    fig, axes = new(1, 2, width=WIDTH, height=6.4)
    curves, dots = axes[:, 0]
    for (name, runs), style, colour in zip(losses.items(), LINES, TAPS, strict=False):
        epochs = np.arange(1, runs.shape[1] + 1)
        (first, *_) = curves.plot(epochs, runs.T, linestyle=style, linewidth=1.8, color=COLOURS[colour])
        first.set_label(name)
    curves.set(xlabel="epoch", ylabel="training loss", ylim=(0, None), xticks=epochs)
    curves.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, ncols=2)
    for place, (values, colour) in enumerate(zip(missed.values(), TAPS, strict=False)):
        dots.semilogx(100 * values, np.full(len(values), -place), "o", alpha=0.7, markersize=8, color=COLOURS[colour])
    dots.set_yticks(-np.arange(len(missed)), labels=list(missed))
    dots.set_xticks([2, 5, 10, 20, 50, 100], labels=["2", "5", "10", "20", "50", "100"])
    dots.minorticks_off()
    dots.set(xlabel="held-out digits misread (%)", ylim=(-len(missed) + 0.5, 0.5))
    return fig


def twins(numpy_losses: np.ndarray, torch_losses: np.ndarray) -> Figure:
    """Draw the losses (steps,) of two runs that should be one, and beside them how far they are apart."""
    fig, axes = new(1, 2, width=WIDTH, height=4.8)
    curves, gap = axes[:, 0]
    steps = np.arange(1, len(numpy_losses) + 1)
    curves.plot(steps, numpy_losses, linewidth=4.5, color=COLOURS["sky"], label="NumPy, by hand")
    curves.plot(steps, torch_losses, "--", linewidth=1.4, color=COLOURS["black"], label="PyTorch, autograd")
    curves.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    curves.legend(frameon=False)
    difference = np.abs(np.asarray(numpy_losses) - np.asarray(torch_losses))
    gap.semilogy(steps, np.where(difference > 0, difference, np.nan), ".", color=COLOURS["vermilion"])
    gap.set(xlabel="step", ylabel="difference", ylim=(1e-17, 1e-9))
    return fig
