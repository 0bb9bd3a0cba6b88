"""Drawn convolutions for the tests of `cnnlib.fast`: every algorithm of the dispatch in its turn, every layout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnnlib.geometry import as_ints


class Drawn(NamedTuple):
    x: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    options: dict[str, Any]
    layout: str


LAYOUTS = ("first", "last", "strided", "turned", "fortran")


def laid_out(values, layout):
    """Return the same values, (N, C, H, W), otherwise in memory."""
    if layout == "last":
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "strided":
        wider = np.full((*values.shape[:3], 2 * values.shape[3]), np.nan, values.dtype)
        wider[..., ::2] = values
        return wider[..., ::2]
    if layout == "fortran":
        return np.asfortranarray(values)
    if layout == "turned":
        return values[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1]
    return values


def some_padding(rng, most):
    form = rng.integers(4)
    if form == 0:
        return 0
    if form == 1:
        return int(rng.integers(0, most + 1))
    if form == 2:
        return tuple(int(p) for p in rng.integers(0, most + 1, 2))
    return tuple(tuple(int(p) for p in pair) for pair in rng.integers(0, most + 1, (2, 2)))


def pair(rng, low, high):
    values = tuple(int(v) for v in rng.integers(low, high, 2))
    return values if rng.integers(2) else values[0]


def draw(rng, kind):
    """Return a convolution; `kind` says what sort, and leaves all the rest to chance."""
    batch, layout = int(rng.integers(1, 5)), LAYOUTS[rng.integers(len(LAYOUTS))]
    channels, filters, groups = (int(v) for v in rng.integers(1, 9, 3))
    kernel, options = tuple(int(k) for k in rng.integers(1, 6, 2)), {}
    groups = groups % 3 + 1 if kind == "groups" else 1
    if kind == "1×1":
        kernel, options = (1, 1), {"stride": pair(rng, 1, 4)}
    elif kind == "3×3":
        channels, filters, kernel = int(rng.integers(32, 40)), int(rng.integers(32, 40)), (3, 3)
        options = {"padding": some_padding(rng, 3)}
    elif kind == "large":
        channels, filters = (int(v) for v in rng.integers(1, 4, 2))
        kernel = (19, int(rng.integers(19, 22)))
        options = {"padding": some_padding(rng, 6)}
    elif kind == "dilated":
        options = {"dilation": pair(rng, 2, 4), "stride": pair(rng, 1, 3), "padding": some_padding(rng, 3)}
    else:
        filters = filters if rng.integers(2) else filters + 9
        options = {"stride": pair(rng, 1, 5), "padding": some_padding(rng, 3)}
    if kind == "depthwise":
        channels = filters = groups = channels + 1
    dilation = as_ints("dilation", options.get("dilation", 1), 2, 1)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    most = 2 if kind == "3×3" and rng.integers(2) else 12  # the smallest tiles are for the smallest planes
    size = [least + int(rng.integers(0, most)) for least in reach]
    return Drawn(
        (batch, channels * (groups if kind == "groups" else 1), *size),
        (filters * (groups if kind == "groups" else 1), 1 if kind == "depthwise" else channels, *kernel),
        {**options, "groups": groups},
        layout,
    )


KINDS = ("1×1", "3×3", "large", "dilated", "any", "any", "groups", "depthwise")
