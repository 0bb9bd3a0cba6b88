"""Local connection without shared weights, in torch on any device: the twin of `cnnlib.ops_numpy.local`.

There it is one product of matrices per position, over all taps; here one product per tap, over all positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from cnnlib.checks import like, shaped
from cnnlib.checks.conv import local_operands
from cnnlib.geometry import Geometry, IntOrTuple, Padding, conv_geometry
from cnnlib.ops_torch._correlation import crop, flat_pads


def _taps(geometry: Geometry) -> Iterator[tuple[Any, Any]]:
    """Yield each tap as an index of the filters, (…, u, v), and of the pixels that it reads, (…, rows, columns)."""
    for tap in itertools.product(*map(range, geometry.kernel_size)):
        starts = (t * d for t, d in zip(tap, geometry.dilation, strict=True))
        reached = zip(starts, geometry.stride, geometry.output_size, strict=True)
        yield (..., *tap), (..., *(slice(start, start + s * (o - 1) + 1, s) for start, s, o in reached))


def locally_connected2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Apply to each window filters of its own: the twin of `cnnlib.ops_numpy.locally_connected2d`, which says all.

    >>> weight = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1, 1, 1)
    >>> locally_connected2d(torch.tensor([[[[1.0, 2.0, 3.0]]]]), weight)
    tensor([[[[  1.,  20., 300.]]]])
    """
    groups = local_operands(x, weight, bias, groups, torch.Tensor)
    geometry = conv_geometry(x.shape[2:], weight.shape[4:], stride=stride, padding=padding, dilation=dilation)
    shaped("weight", weight, (*geometry.output_size, *weight.shape[2:]), torch.Tensor)
    maps = F.pad(x, flat_pads(geometry.padding)).unflatten(1, (groups, -1))  # (N, groups, C/groups, H, W)
    filters = weight.unflatten(2, (groups, -1))  # (oh, ow, groups, C_out/groups, C/groups, kh, kw)
    y = x.new_zeros(len(x), *filters.shape[2:4], *geometry.output_size)
    for tap, pixels in _taps(geometry):
        y += torch.einsum("ngcij,ijgfc->ngfij", maps[pixels], filters[tap])
    y = y.flatten(1, 2)
    return y if bias is None else y + bias.permute(2, 0, 1)


def locally_connected2d_backward(
    grad_output: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    *,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (grad_x, grad_weight, grad_bias) of `locally_connected2d`.

    >>> x, weight = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1, 1, 1)
    >>> locally_connected2d_backward(torch.ones(1, 1, 1, 3), x, weight)[0]
    tensor([[[[  1.,  10., 100.]]]])
    """
    groups = local_operands(x, weight, None, groups, torch.Tensor)
    geometry = conv_geometry(x.shape[2:], weight.shape[4:], stride=stride, padding=padding, dilation=dilation)
    shaped("weight", weight, (*geometry.output_size, *weight.shape[2:]), torch.Tensor)
    shaped("grad_output", grad_output, (len(x), weight.shape[2], *geometry.output_size), torch.Tensor)
    like("grad_output", grad_output, "x", x)
    maps = F.pad(x, flat_pads(geometry.padding)).unflatten(1, (groups, -1))
    filters, gradients = weight.unflatten(2, (groups, -1)), grad_output.unflatten(1, (groups, -1))
    grad_maps, grad_filters = torch.zeros_like(maps), torch.zeros_like(filters)
    for tap, pixels in _taps(geometry):
        grad_maps[pixels] += torch.einsum("ngfij,ijgfc->ngcij", gradients, filters[tap])
        grad_filters[tap] = torch.einsum("ngfij,ngcij->ijgfc", gradients, maps[pixels])
    starts = tuple(before for before, _ in geometry.padding)
    grad_x = crop(grad_maps.flatten(1, 2), starts, tuple(x.shape[2:]))
    return grad_x, grad_filters.flatten(2, 3), grad_output.sum(dim=0).permute(1, 2, 0)
