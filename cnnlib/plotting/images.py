"""Images as they are, in sheets and tables: what the other drawings of images are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlib.geometry import as_int
from cnnlib.plotting.base import new

Images = Any  # (N, C, H, W), or images (C, H, W) of several sizes: arrays or tensors, grey (C = 1) or in colour (C = 3)

WIDTH = 5.0  # inches: on a telephone a figure is shown some 360 pixels wide, so that 11 pt stay 11 pixels high
LINE = 0.23  # inches that a line of text takes, with its share of the gaps
SMALL = 100  # pixels: images with a shorter side are shown with their pixels as squares


def sheet(images: Images, *, titles: Sequence[str] = (), columns: int | None = None, width: float = WIDTH) -> Figure:
    """Draw images with pixels from 0 to 1 in the order of reading, each under its title, if there are any.

    Of `columns` there are at most five unless given. Small images keep their pixels as squares. Filters and images made
    to order may leave the range: scale them by `stretched`, changes by `magnified`. Raises ValueError for none, for
    other shapes or pixels, and for another number of titles than of images.

    >>> sheet(np.zeros((3, 1, 8, 8)), titles=["a", "b", "c"]).axes[1].get_title()
    'b'
    """
    pictures = as_pictures("images", images)
    check_words("titles", titles, len(pictures), "images")
    columns = min(5, len(pictures)) if columns is None else as_int("columns", columns, 1)
    rows = -(-len(pictures) // columns)
    lines = lines_of(titles)
    fig, axes = new(columns, rows, width=width, height=rows * (_shape(pictures) * width / columns + LINE * lines))
    for place, ax in enumerate(axes.flat):
        ax.axis("off")
        if place < len(pictures):
            draw(ax, pictures[place], titles[place] if titles else "")
    return fig


def table(rows: Mapping[str, Images], *, titles: Sequence[str] = (), width: float = WIDTH) -> Figure:
    """Draw rows of images one below the other, each with its name at the side; `titles` are those of the columns.

    A row may be shorter than others. Raises ValueError as `sheet`, and for another number of titles than of columns.

    >>> fig = table({"image": np.zeros((2, 3, 8, 8)), "layer 1": np.ones((2, 3, 8, 8))})
    >>> [fig.axes[place].get_ylabel() for place in (0, 2)]
    ['image', 'layer 1']
    """
    if not rows:
        raise ValueError("rows is empty; expected at least one row of images")
    pictures = {name: as_pictures(f"rows[{name!r}]", images) for name, images in rows.items()}
    columns = max(map(len, pictures.values()))
    check_words("titles", titles, columns, "columns")
    lines, names = lines_of(titles), LINE * lines_of(pictures)
    heights = [_shape(row) * (width - names) / columns + 0.06 for row in pictures.values()]
    fig, axes = new(columns, len(pictures), width=width, height=sum(heights) + LINE * lines + 0.1)
    axes[0, 0].get_gridspec().set_height_ratios(heights)
    for number, (name, row) in enumerate(pictures.items()):
        for place, ax in enumerate(axes[number]):
            ax.axis("off")
            if place < len(row):
                draw(ax, row[place], titles[place] if titles and number == 0 else "")
        axes[number, 0].set_ylabel(name)
    return fig


def draw(ax: Axes, picture: np.ndarray, title: str = "") -> None:
    """Draw a picture (H, W) or (H, W, 3) in a thin frame: black is 0 and white is 1."""
    smooth = "auto" if min(picture.shape[:2]) > SMALL else "nearest"
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation=smooth)
    ax.axis("on")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, linewidth=0.6, color="#767676")
    ax.set_title(title, fontsize=11, pad=3)


def stretched(images: Images) -> np.ndarray:
    """Return images (N, C, H, W), each scaled about mid-grey until its farthest pixel is black or white.

    >>> stretched(np.array([[[[0.5, 0.75, 1.5]]]])).ravel().tolist()
    [0.5, 0.625, 1.0]
    """
    away = as_array(images) - 0.5
    reach = np.abs(away).max(axis=tuple(range(1, away.ndim)), keepdims=True, initial=0)
    return 0.5 + away / (2 * np.where(reach > 0, reach, 1))


def magnified(changes: Images) -> tuple[np.ndarray, float]:
    """Return changes (N, C, H, W) as images about mid-grey, and the factor by which they had to be multiplied.

    It is the same for all, and of ½, 1, 2, 5, 10, 20, 50… the largest with which no pixel leaves the range.

    >>> images, factor = magnified(np.array([[[[-0.02, 0.0, 0.01]]]]))
    >>> images.ravel().round(6).tolist(), factor
    ([0.1, 0.5, 0.7], 20.0)
    """
    values = as_array(changes)
    largest = np.abs(values).max(initial=0)
    nice = [0.5, *(float(digit * 10**power) for power in range(7) for digit in (1, 2, 5))]
    factor = max((each for each in nice if each * largest <= 0.5 + 1e-6), default=0.5) if largest else 1.0
    return np.clip(0.5 + factor * values, 0, 1), factor


def as_pictures(name: str, images: Images) -> list[np.ndarray]:
    """Return images as matplotlib takes them, (H, W) or (H, W, 3), or raise ValueError that names them."""
    pictures = []
    for image in images:
        array = as_array(image)
        if array.ndim != 3 or array.shape[0] not in {1, 3} or not array.size:
            raise ValueError(f"{name} has an image of shape {array.shape}; expected (1, H, W) or (3, H, W)")
        if not (array.min() >= -1e-6 and array.max() <= 1 + 1e-6):  # NaN is neither
            raise ValueError(f"{name} runs from {array.min():.3g} to {array.max():.3g}; expected pixels from 0 to 1")
        pictures.append(array[0] if len(array) == 1 else array.clip(0, 1).transpose(1, 2, 0))
    if not pictures:
        raise ValueError(f"{name} is empty; expected at least one image")
    return pictures


def check_words(name: str, words: Sequence[str], count: int, of: str) -> None:
    """Raise ValueError unless there is a string for each of `count` things, or none at all."""
    if len(words) not in {0, count}:
        raise ValueError(f"{name} is {len(words)} strings; expected one for each of {count} {of}, or none")


def lines_of(words: Iterable[str]) -> int:
    r"""Return of how many lines the longest is.

    >>> lines_of(["a", "b\nc"]), lines_of([])
    (2, 0)
    """
    return max((word.count("\n") + 1 for word in words), default=0)


def as_array(values: Any) -> np.ndarray:
    """Return an array of float64, also of a tensor that is elsewhere or has gradients."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, float)


def _shape(pictures: Sequence[np.ndarray]) -> float:
    """Return the largest ratio of height to width."""
    return max(picture.shape[0] / picture.shape[1] for picture in pictures)
