"""Images that attacks found, and in what they differ from those they came from."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from matplotlib.figure import Figure

from cnnlib.attacks import Fooling, Patch, Universal
from cnnlib.geometry import as_int
from cnnlib.inputs import Result
from cnnlib.plotting.base import new
from cnnlib.plotting.images import LINE, WIDTH, as_array, as_pictures, draw, magnified, sheet

NORMS = {0: "L0", 2: "L2", inf: "L∞"}


def attacked(result: Result, *, names: Sequence[str] = (), count: int = 4) -> Figure:
    """Draw the first images that were attacked, a row each: the image, the change on mid-grey, the attacked image.

    Above them stand the class, the size of the change in the norm of the threat, and what the model makes of the image
    now. `names` are those of the classes. Raises ValueError where no image was attacked.
    """
    rows = _rows(result, count)
    x, adversarial = result.x[rows], result.adversarial[rows]
    norm = result.threat.norm
    sizes = {0: result.l0, 2: result.l2, inf: result.linf}[norm][rows].tolist()
    titles = [
        (_name(names, int(result.y[row])), f"{NORMS[norm]} = {size:.3g}", _verdict(result, int(row), names))
        for row, size in zip(rows, sizes, strict=True)
    ]
    return changes(x, adversarial, titles=titles)


def changes(x: Any, changed: Any, *, titles: Sequence[tuple[str, str, str]] = ()) -> Figure:
    """Draw images x (N, C, H, W), what was changed in them, magnified on mid-grey, and the changed images, in rows.

    One factor holds for all changes, and is said above them. `titles` are three for each row. Raises ValueError for
    images of two shapes or with pixels outside 0 to 1.

    >>> import numpy as np
    >>> fig = changes(np.zeros((1, 1, 8, 8)), np.full((1, 1, 8, 8), 0.1))
    >>> fig.axes[1].get_title()
    'change × 5'
    """
    before, after = as_array(x), as_array(changed)
    if before.shape != after.shape:
        raise ValueError(f"changed is {after.shape}; expected {before.shape}, as x is")
    if len(titles) not in {0, len(before)}:
        raise ValueError(f"titles has {len(titles)} rows; expected one for each of {len(before)} images, or none")
    shown, factor = magnified(after - before)
    columns = as_pictures("x", before), as_pictures("change", shown), as_pictures("changed", after)
    lines = (1 + len(titles)) if titles else 1
    shape = before.shape[2] / before.shape[3]
    fig, axes = new(3, len(before), width=WIDTH, height=len(before) * shape * WIDTH / 3 + LINE * lines)
    heads = ("image", f"change × {factor:g}".replace("0.5", "½"), "attacked")
    for place, (line, pictures) in enumerate(zip(axes, zip(*columns, strict=True), strict=True)):
        words = titles[place] if titles else ("", "", "")
        for ax, picture, head, title in zip(line, pictures, heads, words, strict=True):
            draw(ax, picture, "\n".join(filter(None, [head if place == 0 else "", title])))
    return fig


def universal(found: Universal, result: Result, *, names: Sequence[str] = (), count: int = 7) -> Figure:
    """Draw a universal perturbation, magnified on mid-grey, and then images that it was added to, with their verdicts.

    `result` is what `found.on` returned. Raises ValueError where no image was attacked.
    """
    shown, factor = magnified(found.perturbation)
    return _with(shown[0], f"perturbation\n× {factor:g}", result, names, count)


def patch(found: Patch, result: Result, *, names: Sequence[str] = (), count: int = 7) -> Figure:
    """Draw the picture on a sticker, and then images that it was put on, with what the model makes of them.

    `result` is what `found.on` returned. Raises ValueError where no image was attacked.
    """
    return _with(found.image[0], "the patch\n", result, names, count)


def _with(thing: Any, title: str, result: Result, names: Sequence[str], count: int) -> Figure:
    rows = _rows(result, count)
    verdicts = [f"{_name(names, int(result.y[row]))}\n{_verdict(result, int(row), names)}" for row in rows]
    return sheet([thing, *result.adversarial[rows]], titles=[title, *verdicts], columns=4)


def fooling(found: Fooling, y: Any, *, names: Sequence[str] = ()) -> Figure:
    r"""Draw fooling images, each under the class y (N,) that the model gives it, and how sure it is of that.

    >>> import torch
    >>> found = Fooling(torch.rand(1, 1, 8, 8), torch.tensor([0.998]), torch.tensor([5]))
    >>> fooling(found, torch.tensor([3])).axes[0].get_title()
    '3\n99.8 %'
    """
    classes = [_name(names, int(each)) for each in y]
    if len(classes) != len(found.images):
        raise ValueError(f"y is {len(classes)} classes; expected one for each of {len(found.images)} images")
    titles = [f"{name}\n{_percent(each)}" for name, each in zip(classes, found.confidence.tolist(), strict=True)]
    return sheet(found.images, titles=titles)


def _rows(result: Result, count: int) -> list[int]:
    """Return the numbers of the first images that were attacked."""
    rows = result.attacked.nonzero().flatten().tolist()
    if not rows:
        raise ValueError("result has no image that was attacked; expected at least one")
    return rows[: as_int("count", count, 1)]


def _name(names: Sequence[str], label: int) -> str:
    if names and not 0 <= label < len(names):
        raise ValueError(f"names has {len(names)} strings; expected one for each class, up to {label}")
    return names[label] if names else str(label)


def _verdict(result: Result, row: int, names: Sequence[str]) -> str:
    read = int(result.predictions[row])
    return f"{'still' if read == int(result.y[row]) else '→'} {_name(names, read)}"


def _percent(share: float) -> str:
    """Return a share in percent, to a tenth.

    >>> _percent(0.5), _percent(0.9993), _percent(1.0)
    ('50.0 %', '99.9 %', '100.0 %')
    """
    return f"{100 * share:.1f} %"
