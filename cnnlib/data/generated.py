"""Coloured shapes on textured ground, drawn from a seed, with where each of them lies."""

from __future__ import annotations

from math import cos, pi, sin, sqrt
from typing import NamedTuple

import numpy as np

from cnnlib.geometry import as_int

SHAPE_CLASSES = ("circle", "square", "triangle", "star", "cross", "ring")
_SMALLEST = 4  # pixels across
_CHUNK = 128  # images drawn at a time: few enough to stay in the processor's cache


class Shapes(NamedTuple):
    """Images with one shape each: what it is, the box around it and the pixels it covers."""

    images: np.ndarray  # (n, 3, size, size) uint8
    labels: np.ndarray  # (n,) int64
    boxes: np.ndarray  # (n, 4) int64: left, top, right, bottom
    masks: np.ndarray  # (n, size, size) bool


def shapes(n: int, *, seed: int, size: int = 32, scale: tuple[float, float] = (0.4, 0.9)) -> Shapes:
    """Return n images of `size` × `size` pixels with one shape each; SHAPE_CLASSES names the labels.

    A shape fits tightly into a circle whose diameter is drawn between the two fractions of the side in `scale`. It lies
    wholly within the image, anywhere, turned by any angle. Its colour and that of the ground, which is plain, shaded,
    striped, chequered or marbled, are drawn without regard to its class; all draws are uniform.

    A mask holds the pixels whose centre lies in the shape. A box (left, top, right, bottom) is the smallest around
    them, in pixels, with right and bottom just beyond: `masks[i, top:bottom, left:right]` has them all, and
    right − left is the width.

    The seed decides everything: equal arguments give equal arrays, and the first images of many are those of few.
    Raises ValueError for a bad argument, and where a shape could be less than 4 pixels across.

    >>> images, labels, boxes, masks = shapes(3, seed=0)
    >>> images.shape, [SHAPE_CLASSES[label] for label in labels]
    ((3, 3, 32, 32), ['ring', 'circle', 'star'])
    """
    n, size, seed = as_int("n", n, 1), as_int("size", size, 1), as_int("seed", seed, 0)
    low, high = _as_scale(scale, size)
    place, colour, noise = (np.random.default_rng([seed, stream]) for stream in range(3))
    where = place.random((n, 5), np.float32)
    how = colour.random((n, 14), np.float32)
    labels = (where[:, 0] * len(SHAPE_CLASSES)).astype(np.int64)
    images = np.empty((n, 3, size, size), np.uint8)
    masks = np.empty((n, size, size), bool)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        x, y, radius = _coordinates(where[part], size, low, high)
        outside = _distance(labels[part], x, y, radius)
        masks[part] = outside < 0
        pixels = _paint(outside, x / radius, how[part])
        pixels += np.float32(0.02) * noise.standard_normal(pixels.shape, np.float32)
        images[part] = np.rint(255 * np.clip(pixels, 0, 1))
    return Shapes(images, labels, _boxes(masks), masks)


def _as_scale(scale: tuple[float, float], size: int) -> tuple[float, float]:
    """Return the two fractions, or raise a ValueError that says which pairs there are."""
    try:
        low, high = (float(value) for value in scale)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not 0 < low <= high <= 1:
        raise ValueError(f"scale is {scale!r}; expected two fractions of the side, 0 < low ≤ high ≤ 1")
    if low * size < _SMALLEST:
        raise ValueError(
            f"scale is {scale!r} and size {size}; expected shapes of at least {_SMALLEST} pixels across, "
            f"not {low * size:.3g}"
        )
    return low, high


def _coordinates(where: np.ndarray, size: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixel centres from each shape's own centre and axes, (m, size, size) twice, and radii (m, 1, 1)."""
    _, scale, right, down, turn = where.T[:, :, None, None]
    radius = size / 2 * (low + (high - low) * scale)
    centres = np.arange(size, dtype=np.float32) + np.float32(0.5)
    dx = centres - (radius + (size - 2 * radius) * right)  # (m, 1, size)
    dy = centres[:, None] - (radius + (size - 2 * radius) * down)  # (m, size, 1)
    c, s = np.cos(2 * pi * turn), np.sin(2 * pi * turn)
    return c * dx + s * dy, c * dy - s * dx, radius


def _distance(labels: np.ndarray, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return how far each pixel lies outside the edge of its shape, (m, size, size): negative inside."""
    outside = np.empty_like(x)
    for label, name in enumerate(SHAPE_CLASSES):
        chosen = labels == label
        u, v, r = x[chosen], y[chosen], radius[chosen]
        if name == "circle":
            outside[chosen] = np.hypot(u, v) - r
        elif name == "ring":  # a hole of half the diameter
            outside[chosen] = np.abs(np.hypot(u, v) - 0.75 * r) - 0.25 * r
        elif name == "cross":
            u, v, width = np.abs(u), np.abs(v), 0.28 * r
            length = sqrt(1 - 0.28**2) * r
            outside[chosen] = np.minimum(np.maximum(u - length, v - width), np.maximum(u - width, v - length))
        else:
            points, waist = {"square": (4, cos(pi / 4)), "triangle": (3, cos(pi / 3)), "star": (5, 0.45)}[name]
            outside[chosen] = _star(u, v, r, points, waist)
    return outside


def _star(x: np.ndarray, y: np.ndarray, radius: np.ndarray, points: int, waist: float) -> np.ndarray:
    """Return the distance from a star with its inner corners at `waist` of the radius; at cos(π/points) a polygon."""
    sector = 2 * pi / points
    angle = np.abs(np.mod(np.arctan2(y, x), sector) - sector / 2)  # folded: 0 between two points, sector/2 on one
    u, v = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    across, along = sin(pi / points), cos(pi / points) - waist  # from the inner corner (waist, 0) to the point
    return (across * (u - waist * radius) - along * v) / np.hypot(across, along)


def _paint(outside: np.ndarray, x: np.ndarray, how: np.ndarray) -> np.ndarray:
    """Return pixels (m, 3, size, size) near 0 to 1: shape over ground, bright on dark or dark on bright."""
    bright = how[:, 0] < 0.5
    shape = _rgb(
        how[:, 1], 0.6 + 0.4 * how[:, 2], np.where(bright, 0.75, 0.35) + np.where(bright, 0.25, 0.35) * how[:, 3]
    )
    hue = how[:, 1] + 0.2 + 0.6 * how[:, 4]  # away from the shape's
    grounds = [
        _rgb(
            hue + spread,
            np.where(bright, 0.2, 0.05) + np.where(bright, 0.5, 0.25) * how[:, 5],
            np.where(bright, 0.1, 0.75) + np.where(bright, 0.35, 0.25) * value,
        )
        for spread, value in ((0, how[:, 6]), (0.2 * (how[:, 7] - 0.5), how[:, 8]))
    ]
    first, second = grounds
    pixels = first + (second - first) * _texture(outside.shape[-1], how[:, 9:])[:, None]
    cover = np.clip(0.5 - outside, 0, 1)[:, None]  # a pixel on the edge is partly covered
    light = 1 + np.float32(0.15) * x[:, None]
    return pixels + cover * (shape * light - pixels)


def _texture(size: int, how: np.ndarray) -> np.ndarray:
    """Return what mixes the two colours of the ground, (m, size, size) from 0 to 1: one of five patterns."""
    kind, turn, often, shift, slip = how[:, :5].T[:, :, None, None]
    kind = (5 * kind).astype(int)  # plain, shaded, striped, chequered, marbled
    across = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / size - np.float32(0.5)
    c, s = np.cos(2 * pi * turn), np.sin(2 * pi * turn)
    cycles = 2 * pi * np.choose(kind, [0, 0.3, 2 + 3 * often, 1.5 + 2 * often, 0.8 + often])
    u = cycles * (c * across + s * across[:, None]) + 2 * pi * shift
    v = np.cos(cycles * (c * across[:, None] - s * across) + 2 * pi * slip)
    wave = np.cos(u + np.where(kind == 4, 2 * v, 0))
    sharp = np.choose(kind, [0, 0.5, 2, 3 * v, 0.5])
    return np.clip(0.5 + sharp * wave, 0, 1)


def _rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return colours (m, 3, 1, 1) of float32; the hue counts turns."""
    sixths = np.mod(6 * hue[:, None] + np.array([5, 3, 1]), 6)
    dip = np.clip(np.minimum(sixths, 4 - sixths), 0, 1)
    return (value[:, None] * (1 - saturation[:, None] * dip)).astype(np.float32)[:, :, None, None]


def _boxes(masks: np.ndarray) -> np.ndarray:
    """Return the smallest box around each mask, (n, 4): left, top, right, bottom."""
    size = masks.shape[-1]
    ends = []
    for axis in (1, 2):
        filled = np.any(masks, axis=axis)  # (n, size): columns, then rows
        ends.append((filled.argmax(1), size - filled[:, ::-1].argmax(1)))
    (left, right), (top, bottom) = ends
    return np.stack([left, top, right, bottom], 1)
