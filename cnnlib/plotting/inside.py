"""What a look inside a network found: patches, attributions and neighbours. Sheets and tables of images do the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from cnnlib.plotting.base import COLOURS, new
from cnnlib.plotting.images import LINE, WIDTH, as_array, as_pictures, check_words, draw, lines_of, stretched
from cnnlib.visualize import Neighbours, Patches

# Zero is white, so that what says nothing is as light as the paper; the ends are told apart by all, also in grey.
SIGNED: Colormap = LinearSegmentedColormap.from_list("signed", [COLOURS["vermilion"], "white", COLOURS["blue"]])


def top_patches(patches: Patches, projections: Any = None) -> Figure:
    """Draw for each channel what excites it most, as a mosaic, and beside it the projections (K, P, C, h, w), if given.

    Patches read like lines of text, the strongest first. The projections of a channel have one scale about mid-grey.
    Raises ValueError for no channels and projections of another shape.
    """
    crops = as_array(patches.crops)
    if not len(crops):
        raise ValueError("patches has no channels; expected at least one")
    others = None if projections is None else as_array(projections)
    if others is not None and others.shape != crops.shape:
        raise ValueError(f"projections is {others.shape}; expected {crops.shape}, as the patches")
    mosaics = [_mosaic(each) for each in crops]
    if others is not None:
        pairs = zip(mosaics, [_mosaic(stretched(0.5 + each[None])[0]) for each in others], strict=True)
        mosaics = [mosaic for pair in pairs for mosaic in pair]
    rows = -(-len(mosaics) // 2)
    edge = max(2, mosaics[0].shape[2] // 30)  # so that mosaics are farther apart than patches
    mosaics = [np.pad(mosaic, ((0, 0), (0, 0), (edge, edge)), constant_values=1.0) for mosaic in mosaics]
    shape = mosaics[0].shape[1] / mosaics[0].shape[2]
    fig, axes = new(2, rows, width=WIDTH, height=rows * (shape * WIDTH / 2 + LINE + 0.05))
    titles = [f"channel {int(channel)}" for channel in patches.channels]
    if others is not None:
        titles = [title for each in titles for title in (each, "led back to pixels")]
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture, title in zip(axes.flat, as_pictures("patches", mosaics), titles, strict=False):
        draw(ax, picture, title)
        ax.spines[:].set_visible(False)
    return fig


def _mosaic(crops: np.ndarray) -> np.ndarray:
    """Lay P images (P, C, h, w) out in a square, with white lines between: (C, H, W)."""
    side = int(np.ceil(np.sqrt(len(crops))))
    rows = -(-len(crops) // side)
    gap = max(1, crops.shape[2] // 12)
    framed = np.pad(crops, ((0, rows * side - len(crops)), (0, 0), (0, gap), (0, gap)), constant_values=1.0)
    framed[len(crops) :] = 1.0
    C, h, w = framed.shape[1:]
    whole = framed.reshape(rows, side, C, h, w).transpose(2, 0, 3, 1, 4).reshape(C, rows * h, side * w)
    return whole[:, :-gap, :-gap]


def attributions(images: Any, maps: Mapping[str, Any], *, titles: Sequence[str] = (), over: bool = False) -> Figure:
    """Draw images (N, C, H, W), and below them a row of their maps (N, 1 or C, H, W) for each named attribution.

    Blue pixels have positive numbers, vermilion ones negative, white says nothing. Of the channels of a map its sum is
    shown, or the largest where none is negative. As attributions have no common unit, each map is divided by the
    magnitude that 99 % of its pixels do not exceed, and cut there. With `over` the image shows faintly through. Raises
    ValueError for maps that do not go with the images, or are not finite.

    >>> fig = attributions(np.zeros((1, 3, 8, 8)), {"gradient": np.ones((1, 3, 8, 8))})
    >>> [ax.get_ylabel() for ax in fig.axes[:2]]
    ['image', 'gradient']
    """
    pictures = as_pictures("images", images)
    planes = {name: _planes(name, each, pictures) for name, each in maps.items()}
    if not planes:
        raise ValueError("maps is empty; expected at least one attribution")
    check_words("titles", titles, len(pictures), "images")
    names = LINE * lines_of(planes)
    shape, columns, rows = pictures[0].shape[0] / pictures[0].shape[1], len(pictures), 1 + len(planes)
    height = rows * (shape * (WIDTH - names) / columns + 0.06) + 0.75 + (LINE if titles else 0)
    fig, axes = new(columns, rows, width=WIDTH, height=height)
    for place, picture in enumerate(pictures):
        draw(axes[0, place], picture, titles[place] if titles else "")
        for line, each in enumerate(planes.values(), 1):
            colours = SIGNED((1 + each[place]) / 2)[..., :3]
            if over:
                grey = picture if picture.ndim == 2 else picture @ (0.299, 0.587, 0.114)
                colours = colours * (0.4 + 0.6 * grey[..., None])
            draw(axes[line, place], colours)
    for ax, name in zip(axes[:, 0], ("image", *planes), strict=True):
        ax.set_ylabel(name)
    low = -1 if any((each < 0).any() for each in planes.values()) else 0
    _bar(fig, axes, low)
    return fig


def _bar(fig: Figure, axes: Any, low: int) -> None:
    """Put a scale from `low`, −1 or 0, to 1 below the axes."""
    whole = SIGNED if low < 0 else LinearSegmentedColormap.from_list("half", ["white", COLOURS["blue"]])
    bar = fig.colorbar(
        ScalarMappable(Normalize(low, 1), whole), ax=axes, orientation="horizontal", shrink=0.8, aspect=30, pad=0.02
    )
    bar.set_ticks([-1, 0, 1] if low < 0 else [0, 1], labels=["negative", "0", "positive"] if low < 0 else ["0", "most"])


def _planes(name: str, maps: Any, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return maps as (N, H, W) from −1 to 1."""
    values = as_array(maps)
    size = (len(pictures), *pictures[0].shape[:2])
    if values.ndim != 4 or (len(values), *values.shape[2:]) != size or not np.isfinite(values).all():
        expected = f"finite numbers ({size[0]}, 1 or C, {size[1]}, {size[2]}), as images has"
        raise ValueError(f"maps[{name!r}] is {values.shape}; expected {expected}")
    flat = values.sum(1) if (values < 0).any() else values.max(1)
    most = np.quantile(np.abs(flat), 0.99, axis=(1, 2), keepdims=True)
    largest = np.abs(flat).max(axis=(1, 2), keepdims=True)
    scale = np.where(most > 0, most, largest)
    return np.clip(flat / np.where(scale > 0, scale, 1), -1, 1)


def neighbours(queries: Any, images: Any, found: Neighbours, *, names: Sequence[str] = ()) -> Figure:
    """Draw each of `queries` (Q, C, H, W), and beside it the nearest of `images` with their distances.

    `images` are those whose features were searched; `names` are words for the rows. Raises ValueError for queries that
    are not those of `found`, or images that are fewer.
    """
    numbers, distances = as_array(found.images).astype(int), as_array(found.distances)
    first = as_pictures("queries", queries)
    if len(first) != len(numbers):
        raise ValueError(f"queries is {len(first)} images; expected {len(numbers)}, as found has")
    if numbers.max() >= len(images):
        raise ValueError(f"images is {len(images)} images; expected those of found, up to number {numbers.max()}")
    check_words("names", names, len(first), "queries")
    columns, shape = 1 + numbers.shape[1], first[0].shape[0] / first[0].shape[1]
    fig, axes = new(columns, len(first), width=WIDTH, height=len(first) * (shape * WIDTH / columns + LINE))
    for place, (line, query) in enumerate(zip(axes, first, strict=True)):
        draw(line[0], query, "query" if place == 0 else "")
        line[0].spines[:].set(linewidth=2, color=COLOURS["vermilion"])
        if names:
            line[0].set_ylabel(names[place])
        near = as_pictures("images", [images[number] for number in numbers[place]])
        for ax, picture, distance in zip(line[1:], near, distances[place], strict=True):
            draw(ax, picture, f"at {distance:.3g}")
    return fig
