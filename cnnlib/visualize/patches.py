"""What a feature map looks for: its filter, if it is of the first layer, and the patches that excite it most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from cnnlib.checks import sequence
from cnnlib.geometry import as_int
from cnnlib.models.trace import trace
from cnnlib.shapes import Axis
from cnnlib.visualize.layers import check, check_layer, reading
from cnnlib.visualize.rectifiers import deconvolved, input_gradient


class Patches(NamedTuple):
    """The strongest answers of K channels, P of each from as many images, the strongest first."""

    channels: torch.Tensor  # (K,) of int64
    values: torch.Tensor  # (K, P), the answers
    images: torch.Tensor  # (K, P) of int64: the numbers of the images
    units: torch.Tensor  # (K, P, 2) of int64: row and column in the feature map
    boxes: torch.Tensor  # (K, P, 4) of int64: left, top, right and bottom, these two just beyond
    crops: torch.Tensor  # (K, P, C, h, w), what the images show there


def first_layer_filters(model: nn.Module) -> torch.Tensor:
    """Return the filters of a model's first convolution as images (F, C, kh, kw), with 0 at mid-grey.

    One scale holds for all: the largest magnitude is black or white. As the first layer looks at pixels, its filters
    can be looked at; those of later layers weigh feature maps, and say little to the eye. Raises TypeError for no
    module, ValueError where no module has a weight (F, C, kh, kw).

    Drawn by `cnnlib.plotting.images.sheet`.

    >>> model = nn.Conv2d(1, 1, (1, 3), bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[[[-1.0, 0.0, 2.0]]]]))
    >>> first_layer_filters(model).flatten().tolist()
    [0.25, 0.5, 1.0]
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module")
    weight = next((p.detach() for p in model.parameters() if p.ndim == 4), None)
    if weight is None:
        raise ValueError("model has no weight of shape (F, C, kh, kw); expected one with a convolution")
    return 0.5 + 0.5 * weight / weight.abs().max().clamp(min=torch.finfo(weight.dtype).tiny)


def top_patches(
    model: nn.Module,
    x: torch.Tensor,
    layer: str,
    *,
    channels: Sequence[int] | None = None,
    count: int = 9,
    batch_size: int = 250,
) -> Patches:
    """Return for each channel of a layer the `count` images (N, C, H, W) that excite it most, and what it sees there.

    Zeiler and Fergus (2014), section 4, https://arxiv.org/abs/1311.2901. Of each image only the unit that answers most
    counts, and among equals the earlier image. A crop has the size of a unit's receptive field, or of the image where
    that is smaller, and is moved into the image where the field reaches beyond its border.

    `channels` are all unless given. Raises ValueError for fewer than `count` images, an unknown layer, one that does
    not put out (N, channels, h, w) or (N, channels), a channel that it does not have, and no channels;
    TypeError for a model of which `cnnlib.models.trace` does not know the receptive fields.

    Drawn by `cnnlib.plotting.inside.top_patches`.

    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> found = top_patches(model, torch.rand(20, 1, 8, 8), "1", count=5)
    >>> found.images.shape, found.crops.shape
    (torch.Size([4, 5]), torch.Size([4, 5, 1, 3, 3]))
    """
    check(model, x)
    check_layer(dict(model.named_modules()), layer)
    if len(x) < as_int("count", count, 1):
        raise ValueError(f"count is {count}; expected at most the {len(x)} images of x")
    with reading(model, layer) as read, torch.no_grad():
        parts = [_strongest(read(part)[0], layer) for part in x.split(as_int("batch_size", batch_size, 1))]
    found, where, widths = zip(*parts, strict=True)
    values, places, width = torch.cat(found).T, torch.cat(where).T, widths[0]  # (channels, N) twice
    chosen = _as_channels(channels, len(values), x.device)
    values, images = values[chosen].sort(dim=1, descending=True, stable=True)
    values, images = values[:, :count], images[:, :count]
    places = places[chosen].gather(1, images)
    units = torch.stack([places // width, places % width], 2)
    boxes = _boxes(units, _fields(model, x, layer), x.shape[2:])
    return Patches(chosen, values, images, units, boxes, _cropped(x.detach()[images], boxes))


def deconvnet_projections(
    model: nn.Module, x: torch.Tensor, layer: str, patches: Patches, *, batch_size: int = 250
) -> torch.Tensor:
    """Return what in its crop makes each unit of `patches` answer: (K, P, C, h, w), by the deconvnet.

    The images x are those that `patches` was found in. All other units of the layer are set to zero, and the one is
    projected back to the image, through switches and ReLUs: Zeiler and Fergus (2014), section 2.1. In a network without
    max pooling there are no switches, and the projection tells of the weights alone. Raises ValueError as `deconvnet`,
    for other images, and for a layer too small to have those units.

    Drawn by `cnnlib.plotting.inside.top_patches`.
    """
    check(model, x)
    count = patches.images.numel()
    if count and int(patches.images.max()) >= len(x):
        raise ValueError(f"x has {len(x)} images; expected those of patches, up to number {int(patches.images.max())}")
    where = torch.cat([patches.channels[:, None, None].expand(*patches.images.shape, 1), patches.units], 2).view(-1, 3)
    projected = []
    with reading(model, layer) as read:
        for rows in torch.arange(count, device=x.device).split(as_int("batch_size", batch_size, 1)):

            def one(z: torch.Tensor, rows: torch.Tensor = rows) -> torch.Tensor:
                planes, units = _planes(read(z)[0], layer), where[rows]
                if (units.amax(0) >= torch.tensor(planes.shape[1:], device=z.device)).any():
                    raise ValueError(f"layer is {layer!r}, of {tuple(planes.shape[1:])}; expected that of patches")
                return planes[torch.arange(len(z), device=z.device), *units.T]

            projected.append(input_gradient(x[patches.images.flatten()[rows]], one, deconvolved))
    whole = torch.cat(projected).view(*patches.images.shape, *x.shape[1:])
    return _cropped(whole, patches.boxes)


def _planes(answer: torch.Tensor, layer: str) -> torch.Tensor:
    if answer.ndim not in {2, 4}:
        shape = tuple(answer.shape)
        raise ValueError(f"layer is {layer!r}, which puts out {shape}; expected (N, channels, h, w) or (N, channels)")
    return answer if answer.ndim == 4 else answer[..., None, None]


def _strongest(answer: torch.Tensor, layer: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return the largest answer of each image and channel, where it is (N, channels), and the width of a plane."""
    planes = _planes(answer, layer)
    values, places = planes.flatten(2).max(2)
    return values, places, planes.shape[3]


def _as_channels(channels: Sequence[int] | None, available: int, device: torch.device) -> torch.Tensor:
    if channels is None:
        return torch.arange(available, device=device)
    chosen = [as_int("channels", channel, 0) for channel in sequence("channels", channels)]
    if not chosen or max(chosen) >= available:
        raise ValueError(f"channels is {channels}; expected some from 0 to {available - 1}, as the layer has")
    return torch.tensor(chosen, device=device)


def _fields(model: nn.Module, x: torch.Tensor, layer: str) -> tuple[Axis, ...]:
    """Return what a layer's rows and columns see of the image; a module of several layers puts out its last one's."""
    inside = f"{layer}." if layer else ""
    rows = [row for row in trace(model, x.shape[1:]) if row.name == layer or row.name.startswith(inside)]
    if not rows or len(rows[-1].axes) != 2:
        raise ValueError(f"layer is {layer!r}, which has no receptive field of rows and columns; expected one that has")
    return rows[-1].axes


def _boxes(units: torch.Tensor, axes: Sequence[Axis], size: Sequence[int]) -> torch.Tensor:
    """Return left, top, right and bottom of the receptive fields of units (…, 2), moved into the image."""
    corners, ends = [], []
    for axis, unit, pixels in zip(axes, units.unbind(-1), size, strict=True):
        field = min(axis.field, pixels)
        start = (axis.start + unit * axis.jump).clamp(0, pixels - field)
        corners.append(start)
        ends.append(start + field)
    return torch.stack([*corners[::-1], *ends[::-1]], -1)


def _cropped(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Return what boxes (K, P, 4) of one size cut out of images (K, P, C, H, W)."""
    flat = zip(images.flatten(0, 1), boxes.flatten(0, 1).tolist(), strict=True)
    crops = [image[:, top:bottom, left:right] for image, (left, top, right, bottom) in flat]
    return torch.stack(crops).unflatten(0, tuple(boxes.shape[:2]))
