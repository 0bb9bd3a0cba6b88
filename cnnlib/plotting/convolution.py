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

# A figure 7 inches wide is shown on a phone at half its size: 12 points are as small as text may be.
SMALL, CELL = 12, 14


def _cells(ax: Axes, values: np.ndarray, title: str, colour: str = "blue") -> None:
    """Draw `values` as cells whose numbers can be read on a phone."""
    grid(ax, values, title=title, colour=colour)
    ax.title.set_fontsize(SMALL)
    for text in ax.texts:
        text.set_fontsize(CELL)


def _signed(ax: Axes, values: np.ndarray, title: str) -> None:
    """Draw `values` as cells, positive numbers in blue and negative ones in orange."""
    _cells(ax, values, title)
    largest = np.abs(values).max() or 1
    for patch, value in zip(ax.patches, values.ravel(), strict=True):
        rgb = np.array(to_rgb(COLOURS["blue" if value > 0 else "orange"]))
        patch.set_facecolor(1 - 0.6 * abs(value) / largest * (1 - rgb))
    for text in ax.texts:
        text.set_color("black")


def _grey_negatives(ax: Axes, values: np.ndarray, title: str) -> None:
    """Draw `values` as white cells, those below zero in grey."""
    _cells(ax, values, title)
    for patch, value in zip(ax.patches, values.ravel(), strict=True):
        patch.set_facecolor("#c9c9c9" if value < 0 else "white")
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


def _photo_with_window(ax: Axes, image: np.ndarray, corner: tuple[int, int], side: int) -> None:
    ax.imshow(image.astype(int), extent=(0, image.shape[1], image.shape[0], 0))
    ax.add_patch(Rectangle(corner[::-1], side, side, fill=False, edgecolor=COLOURS["yellow"], linewidth=2.5))
    ax.set_title(f"input, 3×{image.shape[0]}×{image.shape[1]}", fontsize=SMALL)
    ax.axis("off")


def one_number(
    image: np.ndarray, window: np.ndarray, weight: np.ndarray, bias: float, corner: tuple[int, int]
) -> Figure:
    """Draw an image (H, W, 3) of 0…255, the window (3, k, k) that starts at `corner` in it, and a filter."""
    fig, axes = new(3, 3, height=7.2)
    _photo_with_window(axes[0, 0], image, corner, window.shape[-1])
    sums = (window * weight).sum(axis=(1, 2))
    channels = (("red", "vermilion"), ("green", "green"), ("blue", "blue"))
    lines = [f"{name} products: {value:,.0f}" for (name, _), value in zip(channels, sums, strict=True)]
    lines += [f"all {window.size}: {sums.sum():,.0f}", f"bias: {bias:,.0f}", f"output: {sums.sum() + bias:,.0f}"]
    text = "\n".join(lines).replace("-", "−")
    axes[0, 1].text(0.25, 0.5, text, va="center", linespacing=1.5, fontsize=CELL).set_in_layout(False)
    for ax in axes[0, 1:]:
        ax.axis("off")
    for c, (name, colour) in enumerate(channels):
        _cells(axes[1, c], window[c], f"{name} window", colour=colour)
        _grey_negatives(axes[2, c], weight[c], f"{name} weights")
        for ax in axes[1:, c]:
            ax.title.set_color(COLOURS[colour])
    return fig


def one_map(image: np.ndarray, values: np.ndarray, corner: tuple[int, int], side: int) -> Figure:
    """Draw an image (H, W, 3) of 0…255, and the map (H', W') of a filter with `side` pixels; `corner` is framed."""
    fig, axes = new(2, height=3.4)
    _photo_with_window(axes[0, 0], image, corner, side)
    ax, reach = axes[0, 1], np.abs(values).max()
    picture = ax.imshow(values, cmap="PuOr", vmin=-reach, vmax=reach, extent=(0, values.shape[1], values.shape[0], 0))
    _frame(ax, [corner])
    ax.set_title(f"map, {values.shape[0]}×{values.shape[1]}", fontsize=SMALL)
    ax.axis("off")
    bar = fig.colorbar(picture, ax=ax, shrink=0.8)
    bar.ax.tick_params(labelsize=SMALL)
    return fig


def row_of_grids(
    panels: Mapping[str, np.ndarray], *, height: float = 3.0, framed: Sequence[tuple[int, int]] = ()
) -> Figure:
    """Draw arrays side by side as cells of one size, each under its title; `framed` are cells of the last one."""
    fig, axes = new(len(panels), height=height)
    axes[0, 0].get_gridspec().set_width_ratios([values.shape[1] for values in panels.values()])
    rows = max(len(values) for values in panels.values())
    for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
        _signed(ax, values, title)
        ax.set(ylim=(rows + 0.05, -0.05), anchor="N")
    _frame(axes[0, -1], framed)
    return fig


def windows_along_axis(size: int, kernel_size: int, strides: Sequence[int]) -> Figure:
    """Draw one axis of `size` pixels for each stride, the windows that fit on it, and hatch the pixels none reads."""
    counts = [conv_output_size(size, kernel_size, stride=stride) for stride in strides]
    fig, axes = new(1, len(strides), height=1.1 + 0.32 * sum(counts) + 0.55 * len(strides))
    axes[0, 0].get_gridspec().set_height_ratios([1.8 + 0.55 * count for count in counts])
    for ax, stride, count in zip(axes[:, 0], strides, counts, strict=True):
        read = {start * stride + tap for start in range(count) for tap in range(kernel_size)}
        for pixel in range(size):
            face, hatch = ("#dce9f3", "") if pixel in read else ("white", "////")
            ax.add_patch(Rectangle((pixel, 0), 1, 0.7, edgecolor=COLOURS["grey"], facecolor=face, hatch=hatch))
            if pixel in read:
                ax.text(pixel + 0.5, 0.35, str(pixel), ha="center", va="center", fontsize=CELL)
        for window in range(count):
            low, y = window * stride, -0.25 - 0.35 * window
            ax.plot([low + 0.05, low + kernel_size - 0.05], [y, y], color=COLOURS["blue"], linewidth=7)
        verdict = "all pixels read" if len(read) == size else f"pixel {size - 1} unread"
        ax.set_title(f"stride {stride}: {count} windows, {verdict}", fontsize=CELL, loc="left")
        ax.set(xlim=(-0.05, size + 0.05), ylim=(-0.1 - 0.35 * count, 0.75))
        ax.axis("off")
    return fig


def coverage(maps: Mapping[str, np.ndarray]) -> Figure:
    """Draw how many windows read each pixel, one integer map (H, W) per title; pixels read by none are hatched."""
    fig, axes = new(len(maps), height=2.7)
    for ax, (title, counts) in zip(axes[0], maps.items(), strict=True):
        _cells(ax, np.where(counts == 0, np.nan, counts), title)
    return fig


def shrinkage(sizes: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the side of the map after 0, 1, 2… layers, one line per title."""
    fig, axes = new(height=4.0)
    ax = axes[0, 0]
    for (title, values), marker in zip(sizes.items(), "osD^", strict=False):
        ax.plot(range(len(values)), values, marker=marker, markersize=6)
        end = (len(values) - 1, values[-1])
        ax.annotate(title, end, xytext=(9, 0), textcoords="offset points", va="center", fontsize=SMALL)
    ax.set(xlim=(-0.3, 14.6), ylim=(0, 35))
    ax.set_xticks(range(0, 11, 2))
    _large_labels(ax, "layers passed", "side of the map (pixels)")
    return fig


def _large_labels(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=SMALL)
    ax.set_ylabel(y, fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)


def border_images(images: Mapping[str, np.ndarray]) -> Figure:
    """Draw maps (H, W) from 0 to 1 in grey, two in a row, with a line where half of the centre's brightness is left."""
    fig, axes = new(2, -(-len(images) // 2), height=6.6)
    for ax, (title, values) in zip(axes.flat, images.items(), strict=True):
        H, W = values.shape
        picture = ax.imshow(values, cmap="gray", vmin=0, vmax=1, extent=(0, W, H, 0))
        places = np.arange(W) + 0.5, np.arange(H) + 0.5
        ax.contour(*places, values / values[H // 2, W // 2], levels=[0.5], colors=COLOURS["vermilion"], linewidths=2)
        ax.set_title(title, fontsize=SMALL)
        ticks = [0, 4, 16, W // 2, W] if W > 32 else [0, W]
        ax.set(xticks=ticks, yticks=[])
        ax.tick_params(labelsize=SMALL)
    bar = fig.colorbar(picture, ax=axes, shrink=0.6)
    bar.set_label("brightness (red line: half of the centre's)", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return fig


def border_profiles(
    predicted: Mapping[int, np.ndarray], measured: Mapping[int, np.ndarray], error: Mapping[int, np.ndarray]
) -> Figure:
    """Draw profiles from the edge inwards by number of layers: predicted as lines, measured with error bars."""
    fig, axes = new(height=4.4)
    ax = axes[0, 0]
    names = ("blue", "vermilion", "green", "purple")
    for (layers, line), name, marker in zip(predicted.items(), names, "osD^", strict=False):
        places, label = range(1, len(line) + 1), f"{layers} layer{'s' * (layers > 1)}"
        ax.plot(places, line, color=COLOURS[name])
        ax.errorbar(
            places,
            measured[layers],
            2 * error[layers],
            fmt=marker,
            color=COLOURS[name],
            label=label,
            markersize=7,
            capsize=3,
        )
    ax.axhline(1, color=COLOURS["grey"], linewidth=0.8)
    ax.set_ylim(0, 1.2)
    _large_labels(ax, "pixel, counted from the edge", "energy, centre = 1")
    ax.legend(title="lines: predicted\nmarks: average", loc="lower right", fontsize=SMALL, title_fontsize=SMALL)
    return fig


def connections(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Draw weight matrices (outputs, inputs) whose integers say which weight stands where; −1 is no connection."""
    fig, axes = new(len(matrices), height=2.5)
    palette = [COLOURS[name] for name in ("sky", "orange", "green")]
    for ax, (title, ids) in zip(axes[0], matrices.items(), strict=True):
        few = ids.max() < len(palette)
        for (i, j), name in np.ndenumerate(ids):
            colour = "white" if name < 0 else palette[name] if few else "#dce9f3"
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="#767676", linewidth=0.6))
            if name >= 0:
                ax.text(j + 0.5, i + 0.5, str(name), ha="center", va="center", fontsize=SMALL)
        rows, columns = ids.shape
        ax.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -0.1), aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"{title}\n{len(np.unique(ids[ids >= 0]))} weights", fontsize=SMALL)
        ax.set_xlabel("inputs", fontsize=SMALL)
        for spine in ax.spines.values():
            spine.set_visible(False)
    axes[0, 0].set_ylabel("outputs", fontsize=SMALL)
    return fig


def channels(photo: np.ndarray, maps: Mapping[str, np.ndarray]) -> Figure:
    """Draw a photograph (H, W, 3) and single-channel maps made from it, two in a row, each scaled to its own range."""
    fig, axes = new(2, -(-(len(maps) + 1) // 2), height=5.1)
    axes[0, 0].imshow(photo)
    axes[0, 0].set_title("input, 3 channels", fontsize=SMALL)
    for ax, (title, values) in zip(axes.flat[1:], maps.items(), strict=False):
        ax.imshow(values, cmap="gray")
        ax.set_title(title, fontsize=SMALL)
    for ax in axes.flat:
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
    fig, axes = new(3, 2, height=5.2)
    last = (x.shape[0] - 1, x.shape[1] - 1)
    _cells(axes[0, 0], x, "INPUT (small)")
    _frame(axes[0, 0], [(0, 0), last])
    _cells(axes[1, 0], weight, "kernel", colour="green")
    _cells(axes[0, 1], layers[0, 0], "stamp of the\nfirst pixel", colour="vermilion")
    _cells(axes[1, 1], layers[last], "stamp of the\nlast pixel", colour="purple")
    _cells(axes[0, 2], output, "OUTPUT (large):\nsum of all stamps")
    _cells(axes[1, 2], overlap, "stamps on\neach pixel", colour="grey")
    for row, sides in zip(axes, ((max(x.shape), size[0], size[0]), (k, size[0], size[0])), strict=True):
        _same_cells(row, sides)
    return fig


def flat_pictures(images: Mapping[str, np.ndarray]) -> Figure:
    """Draw enlargements (H, W) of a flat picture, two in a row; what came out flat has the same grey in all."""
    fig, axes = new(2, -(-len(images) // 2), height=6.4)
    for ax, (title, values) in zip(axes.flat, images.items(), strict=True):
        middle = values.mean()
        reach = max(abs(middle), np.abs(values - middle).max())
        ax.imshow(values, cmap="gray", vmin=middle - reach, vmax=middle + reach)
        ax.set_title(title, fontsize=CELL)
        ax.axis("off")
    return fig


def contrasts(families: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw one above the other, by family of random kernels, boxes (the middle half, 5 to 95 %) for each size."""
    fig, axes = new(1, len(families), height=3.0 * len(families))
    for ax, (title, boxes) in zip(axes[:, 0], families.items(), strict=True):
        ax.boxplot(list(boxes.values()), whis=(5, 95), showfliers=False, medianprops={"color": COLOURS["vermilion"]})
        ax.set_xticks(range(1, len(boxes) + 1), list(boxes))
        ax.set_ylim(-0.03, 1.03)
        ax.set_title(title, fontsize=SMALL)
        _large_labels(ax, "", "contrast")
    return fig
