"""Windows one axis at a time: a box is a product of intervals, so what holds for one axis is repeated for the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from cnnlib.geometry import Geometry


def padded_to_reach(x: torch.Tensor, geometry: Geometry, fill: float) -> torch.Tensor:
    """Pad x to exactly what the windows reach, also where they overhang in ceil mode."""
    pads: list[int] = []
    for i in reversed(range(x.ndim - 2)):
        before = geometry.padding[i][0]
        reach = geometry.stride[i] * (geometry.output_size[i] - 1) + geometry.span[i]
        pads += [before, reach - before - x.shape[2 + i]]  # a negative amount crops what no window covers
    return F.pad(x, pads, value=fill)


def scatter_axis(values: torch.Tensor, axis: int, positions: torch.Tensor, size: int) -> torch.Tensor:
    """Add each entry along an axis to its position on a new axis of `size`: the adjoint of `index_select`."""
    shape = (*values.shape[:axis], size, *values.shape[axis + 1 :])
    return values.new_zeros(shape).index_add(axis, positions, values)


def spread(shares: torch.Tensor, windows: Sequence[Sequence[tuple[int, int]]], size: Sequence[int]) -> torch.Tensor:
    """Add each window's share to every pixel that it covers; `windows` holds (start, end) of each, for every axis."""
    for axis, (extents, pixels) in enumerate(zip(windows, size, strict=True), 2):
        covered = [(w, p) for w, (a, b) in enumerate(extents) for p in range(max(a, 0), min(b, pixels))]
        origins, positions = torch.tensor(covered, device=shares.device).T
        shares = scatter_axis(shares.index_select(axis, origins), axis, positions, pixels)
    return shares
