"""What pooling and upsampling share: padding as far as windows reach, and adding entries to places along an axis."""

from __future__ import annotations

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
