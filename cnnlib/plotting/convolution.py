"""The drawings of the chapter on convolution arithmetic. Each takes arrays and returns a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlib.plotting.base import COLOURS, grid, new
from cnnlib.shapes import conv_output_size

SMALL = 9


def _resize_text(ax: Axes, size: float) -> None:
    for text in ax.texts:
        text.set_fontsize(size)


def _signed(ax: Axes, values: np.ndarray, title: str) -> None:
    """Draw `values` as cells, positive numbers in blue and negative ones in orange."""
    grid(ax, values, title=title)
    largest = np.abs(values).max() or 1
    for patch, value in zip(ax.patches, values.ravel(), strict=True):
        rgb = np.array(to_rgb(COLOURS["blue" if value > 0 else "orange"]))
        patch.set_facecolor(1 - 0.6 * abs(value) / largest * (1 - rgb))
    for text in ax.texts:
        text.set_color("black")


def _same_cells(axes: Sequence[Axes], sides: Sequence[int]) -> None:
    """Give grids of different `sides` cells of the same size."""
    for ax, side in zip(axes, sides, strict=True):
        margin = (max(sides) - side) / 2 + 0.05
        ax.set(xlim=(-margin, side + margin), ylim=(side + margin, -margin))


def _frame(ax: Axes, cells: Sequence[tuple[int, int]]) -> None:
    for i, j in cells:
        ax.add_patch(Rectangle((j, i), 1, 1, fill=False, edgecolor="black", linewidth=2.6, zorder=3))


def one_number(image: np.ndarray, window: np.ndarray, weight: np.ndarray, corner: tuple[int, int]) -> Figure:
    """Draw a colour image (H, W, 3), the window (3, k, k) that starts at `corner` in it, and a filter of that shape."""
    fig, axes = new(4, 2, height=4.1)
    k = window.shape[-1]
    axes[0, 0].imshow(image, extent=(0, image.shape[1], image.shape[0], 0))
    axes[0, 0].add_patch(Rectangle(corner[::-1], k, k, fill=False, edgecolor=COLOURS["yellow"], linewidth=2.5))
    axes[0, 0].set_title("input 3×32×32")
    axes[0, 0].axis("off")
    axes[1, 0].axis("off")
    sums = (window * weight).sum(axis=(1, 2))
    lines = [f"{name}: {value:,.0f}" for name, value in zip(("red", "green", "blue"), sums, strict=True)]
    text = "sums of products\n" + "\n".join(lines) + f"\nall 75: {sums.sum():,.0f}"
    axes[1, 0].text(0.5, 0.5, text.replace("-", "−"), ha="center", va="center", linespacing=1.5)
    for c, (name, colour) in enumerate((("red", "vermilion"), ("green", "green"), ("blue", "blue"))):
        grid(axes[0, c + 1], window[c], title=f"{name} window", colour=colour)
        _signed(axes[1, c + 1], weight[c], f"{name} weights")
        _resize_text(axes[0, c + 1], SMALL)
    return fig


def row_of_grids(
    panels: Mapping[str, np.ndarray], *, height: float = 2.6, framed: Sequence[tuple[int, int]] = ()
) -> Figure:
    """Draw arrays side by side as cells of one size, each under its title; `framed` are cells of the last one."""
    fig, axes = new(len(panels), height=height)
    for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
        _signed(ax, values, title)
        ax.title.set_fontsize(11 if len(panels) < 4 else 10)
    _same_cells(axes[0], [max(values.shape) for values in panels.values()])
    _frame(axes[0, -1], framed)
    return fig


def windows_along_axis(size: int, kernel_size: int, strides: Sequence[int]) -> Figure:
    """Draw one axis of `size` pixels for each stride, the windows that fit on it, and hatch the pixels none reads."""
    fig, axes = new(len(strides), height=2.7)
    for ax, stride in zip(axes[0], strides, strict=True):
        count = conv_output_size(size, kernel_size, stride=stride)
        read = {start * stride + tap for start in range(count) for tap in range(kernel_size)}
        for pixel in range(size):
            face, hatch = ("#dce9f3", "") if pixel in read else ("white", "////")
            ax.add_patch(Rectangle((pixel, 0), 1, 1, edgecolor=COLOURS["grey"], facecolor=face, hatch=hatch))
            if pixel in read:
                ax.text(pixel + 0.5, 0.5, str(pixel), ha="center", va="center", fontsize=SMALL)
        for window in range(count):
            low, y = window * stride, -1.1 - 0.9 * window
            ax.plot([low + 0.08, low + kernel_size - 0.08], [y, y], color=COLOURS["blue"], linewidth=5)
        verdict = "all pixels read" if len(read) == size else f"pixel {size - 1} unread"
        ax.set_title(f"stride {stride}: {count} windows\n{verdict}")
        ax.title.set_fontsize(11)
        ax.set(xlim=(-0.2, size + 0.2), ylim=(-5.3, 1.4), aspect="equal")
        ax.axis("off")
    return fig


def coverage(maps: Mapping[str, np.ndarray]) -> Figure:
    """Draw how many windows read each pixel, one integer map (H, W) per title; pixels read by none are hatched."""
    fig, axes = new(len(maps), height=3.0)
    for ax, (title, counts) in zip(axes[0], maps.items(), strict=True):
        grid(ax, np.where(counts == 0, np.nan, counts), title=title)
        ax.title.set_fontsize(11)
        _resize_text(ax, 10)
    return fig


def shrinkage(sizes: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the side of the map after 0, 1, 2… layers, one line per title."""
    fig, axes = new(height=3.2)
    ax = axes[0, 0]
    for (title, values), marker in zip(sizes.items(), "osD^", strict=False):
        ax.plot(range(len(values)), values, marker=marker, markersize=5)
        end = (len(values) - 1, values[-1])
        ax.annotate(title, end, xytext=(8, 0), textcoords="offset points", va="center")
    ax.set(xlabel="layers passed", ylabel="side of the map (pixels)", xlim=(-0.3, 13.6), ylim=(0, 35))
    ax.set_xticks(range(0, 11, 2))
    return fig


def border_images(images: Mapping[str, np.ndarray]) -> Figure:
    """Draw maps (H, W) with values from 0 to 1 side by side in grey, with one scale for all."""
    fig, axes = new(len(images), height=2.3)
    for ax, (title, values) in zip(axes[0], images.items(), strict=True):
        picture = ax.imshow(values, cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize=11)
        ax.axis("off")
    fig.colorbar(picture, ax=list(axes[0]), shrink=0.62, label="brightness")
    return fig


def border_profiles(predicted: Mapping[int, np.ndarray], measured: Mapping[int, np.ndarray]) -> Figure:
    """Draw profiles from the edge inwards, keyed by the number of layers: predicted as lines, measured as marks."""
    fig, axes = new(height=3.4)
    ax = axes[0, 0]
    names = ("blue", "vermilion", "green", "purple")
    for (layers, line), name, marker in zip(predicted.items(), names, "osD^", strict=False):
        ax.plot(range(1, len(line) + 1), line, color=COLOURS[name])
        ax.plot(
            range(1, len(line) + 1),
            measured[layers],
            marker,
            color=COLOURS[name],
            label=f"{layers} layer{'s' * (layers > 1)}",
            markersize=6,
        )
    ax.axhline(1, color=COLOURS["grey"], linewidth=0.8)
    ax.set(xlabel="pixel, counted from the edge", ylabel="energy, centre = 1", ylim=(0, 1.12))
    ax.legend(title="marks: measured\nlines: predicted", loc="lower right")
    return fig


def connections(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Draw weight matrices (outputs, inputs) whose integers say which weight stands where; −1 is no connection."""
    fig, axes = new(len(matrices), height=2.9)
    for ax, (title, ids) in zip(axes[0], matrices.items(), strict=True):
        few = ids.max() < 3
        palette = [COLOURS[name] for name in ("blue", "orange", "green")]
        for (i, j), name in np.ndenumerate(ids):
            colour = "white" if name < 0 else palette[name] if few else "#b9cfe0"
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="#9a9a9a", linewidth=0.6))
        rows, columns = ids.shape
        ax.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -0.1), aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"{title}\n{len(np.unique(ids[ids >= 0]))} weights", fontsize=11)
        ax.set_xlabel("inputs")
        for spine in ax.spines.values():
            spine.set_visible(False)
    axes[0, 0].set_ylabel("outputs")
    return fig


def channels(photo: np.ndarray, maps: Mapping[str, np.ndarray]) -> Figure:
    """Draw a photograph (H, W, 3) and single-channel maps made from it, each scaled to its own range."""
    fig, axes = new(len(maps) + 1, height=1.9)
    axes[0, 0].imshow(photo)
    axes[0, 0].set_title("input, 3 channels", fontsize=10)
    for ax, (title, values) in zip(axes[0, 1:], maps.items(), strict=True):
        ax.imshow(values, cmap="gray")
        ax.set_title(title, fontsize=10)
    for ax in axes[0]:
        ax.axis("off")
    return fig


def stamps(x: np.ndarray, weight: np.ndarray, stride: int) -> Figure:
    """Draw a transposed convolution of x (H, W) with a kernel (k, k): the outer pixels' stamps, and the sum."""
    k = weight.shape[0]
    size = tuple(stride * (side - 1) + k for side in x.shape)
    layers = {}
    for i, j in np.ndindex(*x.shape):
        layer = np.full(size, np.nan)
        layer[i * stride : i * stride + k, j * stride : j * stride + k] = x[i, j] * weight
        layers[i, j] = layer
    output = np.nansum(list(layers.values()), axis=0)
    overlap = np.sum([~np.isnan(layer) for layer in layers.values()], axis=0)
    fig, axes = new(3, 2, height=4.9)
    last = (x.shape[0] - 1, x.shape[1] - 1)
    grid(axes[0, 0], x, title="INPUT (small)", marks={(0, 0): "vermilion", last: "purple"})
    grid(axes[1, 0], weight, title="kernel", colour="green")
    grid(axes[0, 1], layers[0, 0], title="stamp of the first pixel", colour="vermilion")
    grid(axes[1, 1], layers[last], title="stamp of the last pixel", colour="purple")
    grid(axes[0, 2], output, title="OUTPUT (large):\nsum of all stamps")
    grid(axes[1, 2], overlap, title="stamps on each pixel", colour="grey")
    for ax in axes.flat:
        ax.title.set_fontsize(11)
    for row, sides in zip(axes, ((max(x.shape), size[0], size[0]), (k, size[0], size[0])), strict=True):
        _same_cells(row, sides)
    return fig


def checkerboards(images: Mapping[str, np.ndarray], contrast: Mapping[str, np.ndarray]) -> Figure:
    """Draw enlarged flat pictures above, and below, for each way of enlarging, the contrast of many random kernels."""
    fig, axes = new(len(images), 2, height=4.8)
    for ax, (title, values) in zip(axes[0], images.items(), strict=True):
        middle = values.mean()
        reach = max(abs(middle), np.abs(values - middle).max())  # what is flat comes out in the same grey
        ax.imshow(values, cmap="gray", vmin=middle - reach, vmax=middle + reach)
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    below = axes[1, 0].get_gridspec()
    for ax in axes[1]:
        ax.remove()
    ax = fig.add_subplot(below[1, :])
    ax.spines[["top", "right"]].set_visible(False)
    ax.boxplot(list(contrast.values()), whis=(5, 95), showfliers=False, medianprops={"color": COLOURS["vermilion"]})
    ax.set_xticks(range(1, len(contrast) + 1), list(contrast))
    ax.set(xlabel="kernel size, stride 2", ylabel="checkerboard contrast", ylim=(-0.03, 1.03))
    return fig
