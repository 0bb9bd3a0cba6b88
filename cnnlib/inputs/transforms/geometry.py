"""Where a pixel comes from: turned, scaled, shifted, seen from the side, or through fewer pixels."""

from __future__ import annotations

from math import inf

import torch
from torch.nn import functional as F

from cnnlib.checks import choice, number
from cnnlib.inputs.transforms.chain import Range, Transform, at_most, between, checked

OUTSIDE = ("zeros", "border", "reflection")
Number = float | torch.Tensor  # one for all images, or one for each, (N,)


def affine(
    x: torch.Tensor,
    *,
    degrees: Number = 0.0,
    scale: Number = 1.0,
    shift: tuple[Number, Number] = (0.0, 0.0),
    outside: str = "zeros",
) -> torch.Tensor:
    """Return images turned about their middle, anticlockwise, then scaled, then shifted right and down.

    x (N, C, H, W); `shift` is in fractions of width and height; each number is one for all images or (N,). Pixels are
    read bilinearly. What comes from `outside` the image is "zeros", the nearest pixel of its "border", or its
    "reflection". Raises ValueError for another word, a scale that is not positive, and numbers that are not finite.

    >>> x = torch.arange(4.0).view(1, 1, 2, 2)
    >>> affine(x, degrees=90).round().tolist(), affine(x, shift=(0.5, 0)).tolist()
    ([[[[1.0, 3.0], [0.0, 2.0]]]], [[[[0.0, 0.0], [0.0, 2.0]]]])
    """
    h, w = x.shape[2:]
    return sample(x, affine_places(x, (h, w), degrees=degrees, scale=scale, shift=shift), outside=outside)


def affine_places(
    x: torch.Tensor, size: tuple[int, int], *, degrees: Number, scale: Number, shift: tuple[Number, Number]
) -> torch.Tensor:
    """Return where in x the pixels of an image of another `size` (H, W) lie, (1 or N, H, W, 2): right, down.

    x lies over the middle of that image, turned, scaled and shifted as by `affine`. Its own edges are at −1 and 1.
    """
    (h, w), (height, width) = x.shape[2:], size
    given = {"degrees": degrees, "scale": scale, "shift": shift[0], "shift, down": shift[1]}
    turn, scale, right, down = (_column(name, value, x) for name, value in given.items())
    if (scale <= 0).any():
        raise ValueError(f"scale is {scale.min():g}; expected positive numbers")
    c, s = torch.cos(torch.deg2rad(turn)), torch.sin(torch.deg2rad(turn))
    u = torch.arange(width).to(x) - (width - 1) / 2 - right * width  # (N or 1, 1, W), pixels from where the middle is
    v = torch.arange(height).to(x)[:, None] - (height - 1) / 2 - down * height  # (N or 1, H, 1)
    across, along = (c * u - s * v) / scale, (s * u + c * v) / scale
    return torch.stack([2 * across / w, 2 * along / h], -1)


def sample(x: torch.Tensor, places: torch.Tensor, *, outside: str = "zeros") -> torch.Tensor:
    """Return x read bilinearly at places (1 or N, H, W, 2), as `affine_places` returns them."""
    choice("outside", outside, OUTSIDE)
    if not len(x) or not len(places):
        return x.new_zeros(0, x.shape[1], *places.shape[1:3])
    n = max(len(x), len(places))
    return F.grid_sample(
        x.expand(n, -1, -1, -1), places.expand(n, -1, -1, -1), padding_mode=outside, align_corners=False
    )


def perspective(x: torch.Tensor, corners: torch.Tensor, *, outside: str = "zeros") -> torch.Tensor:
    """Return images seen from the side: each corner is moved, and every straight line stays straight.

    `corners` (4, 2): how far the corners left and right above, then right and left below, go to the right and down, in
    fractions of width and height.

    >>> moved = torch.tensor([[0.5, 0.0]]).expand(4, 2)  # all alike: a shift
    >>> perspective(torch.arange(4.0).view(1, 1, 2, 2), moved).round(decimals=5).tolist()
    [[[[0.0, 0.0], [0.0, 2.0]]]]
    """
    if corners.shape != (4, 2):
        raise ValueError(f"corners has shape {tuple(corners.shape)}; expected (4, 2)")
    h, w = x.shape[2:]
    before = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]], dtype=torch.float64)
    back = _homography(before + 2 * corners.double().cpu(), before)
    u, v = torch.meshgrid(*((2 * torch.arange(n, dtype=torch.float64) + 1) / n - 1 for n in (w, h)), indexing="xy")
    at = torch.stack([u, v, torch.ones_like(u)], -1) @ back.T  # (H, W, 3)
    return sample(x, (at[None, ..., :2] / at[None, ..., 2:]).to(x), outside=outside)


def _homography(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return the matrix (3, 3) that sends four points (4, 2) to four others, in homogeneous coordinates."""
    ones, none = torch.ones(4, 1, dtype=start.dtype), torch.zeros(4, 3, dtype=start.dtype)
    points = torch.cat([start, ones], 1)
    rows = [torch.cat([points, none, -end[:, :1] * start], 1), torch.cat([none, points, -end[:, 1:] * start], 1)]
    solution = torch.linalg.solve(torch.cat(rows), end.T.reshape(8))
    return torch.cat([solution, solution.new_ones(1)]).view(3, 3)


def rescale(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Return images shrunk to `factor` of their size, without aliasing, and enlarged again, both bilinearly.

    Sizes are rounded to whole pixels, at least one. At 1 nothing is lost.

    >>> rescale(torch.tensor([0.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 4), 0.5).flatten()
    tensor([0.5714, 0.5714, 0.5714, 0.5714])
    """
    if not 0 < number("factor", factor) <= 1:
        raise ValueError(f"factor is {factor!r}; expected a number above 0, at most 1")
    h, w = x.shape[2:]
    small = [max(1, round(n * factor)) for n in (h, w)]
    if not len(x):
        return x
    shrunk = F.interpolate(x, small, mode="bilinear", antialias=True)
    return F.interpolate(shrunk, (h, w), mode="bilinear", antialias=True)


def random_affine(
    *, degrees: float = 30.0, scale: Range = (0.8, 1.2), shift: float = 0.1, outside: str = "zeros"
) -> Transform:
    """Return a transform that turns by up to ±`degrees`, scales, and shifts by up to `shift` of the side each way.

    Raises ValueError for negative or empty ranges.
    """
    degrees, shift = at_most("degrees", degrees, 180), at_most("shift", shift, 1)
    least, most = checked("scale", scale, 1e-3, inf)
    choice("outside", outside, OUTSIDE)

    def move(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        turn, right, down = between(-1, 1, generator, 3).tolist()
        size = between(least, most, generator).item()
        return affine(x, degrees=degrees * turn, scale=size, shift=(shift * right, shift * down), outside=outside)

    return move


def random_perspective(distance: float = 0.1, *, outside: str = "zeros") -> Transform:
    """Return a transform that moves each corner by up to `distance` of the side, right or left and up or down.

    Raises ValueError unless the distance is from 0 to 0.24: from a quarter on, three corners can lie in a line.
    """
    distance = at_most("distance", distance, 0.24)
    choice("outside", outside, OUTSIDE)
    return lambda x, generator: perspective(x, between(-distance, distance, generator, 8).view(4, 2), outside=outside)


def random_rescale(factor: Range = (0.5, 1.0)) -> Transform:
    """Return a transform that shrinks to a factor in a range, and enlarges; ValueError for a range beyond 0 to 1."""
    least, most = checked("factor", factor, 1e-3, 1)
    return lambda x, generator: rescale(x, between(least, most, generator).item())


def _column(name: str, value: Number, x: torch.Tensor) -> torch.Tensor:
    column = torch.as_tensor(value, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
    if not column.isfinite().all():
        raise ValueError(f"{name} is {value}; expected finite numbers")
    return column
