"""How bright a pixel is: light, colour, blur and noise. What leaves the box [0, 1] is clipped, as in a camera."""

from __future__ import annotations

from math import ceil, inf

import torch
from torch.nn import functional as F

from cnnlib.checks import number
from cnnlib.inputs.draws import normal
from cnnlib.inputs.transforms.chain import Range, Transform, at_most, between, checked


def levels(x: torch.Tensor, *, gain: torch.Tensor | float = 1.0, offset: torch.Tensor | float = 0.0) -> torch.Tensor:
    """Return gain · x + offset, clipped to [0, 1]; each is one for all channels of x (N, C, H, W), or (C,).

    >>> levels(torch.full((1, 2, 1, 1), 0.5), gain=torch.tensor([1.5, 3.0]), offset=0.125).flatten()
    tensor([0.8750, 1.0000])
    """
    many, more = (torch.as_tensor(value, dtype=x.dtype, device=x.device).view(-1, 1, 1) for value in (gain, offset))
    return (many * x + more).clamp(0, 1)


def blur(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return images blurred by a Gaussian of `sigma` pixels, cut off at four of them; the border is continued.

    >>> blur(torch.tensor([0.0, 0, 1, 0, 0]).view(1, 1, 1, 5), 0.5).flatten().round(decimals=3)
    tensor([0.0000, 0.1060, 0.7870, 0.1060, 0.0000])
    """
    if number("sigma", sigma) < 0:
        raise ValueError(f"sigma is {sigma!r}; expected a number of at least 0")
    reach = ceil(4 * sigma)
    if not reach:
        return x
    weights = torch.exp(-((torch.arange(-reach, reach + 1).to(x) / sigma) ** 2) / 2)
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, -1)
    for axis in ((reach, reach, 0, 0), (0, 0, reach, reach)):
        x = F.conv2d(F.pad(x, axis, mode="replicate"), weights, groups=x.shape[1])
        weights = weights.transpose(2, 3)
    return x


def random_light(*, contrast: Range = (0.8, 1.2), brightness: float = 0.1) -> Transform:
    """Return a transform that scales the distance from grey, and makes lighter or darker by up to `brightness`.

    Raises ValueError for negative or empty ranges.
    """
    least, most = checked("contrast", contrast, 0, inf)
    brightness = at_most("brightness", brightness, 1)

    def light(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        gain, offset = between(least, most, generator), between(-brightness, brightness, generator)
        return levels(x, gain=gain, offset=0.5 * (1 - gain) + offset)

    return light


def random_colour(*, gain: Range = (0.9, 1.1), offset: float = 0.05) -> Transform:
    """Return a transform with a gain and an offset of up to ±`offset` for each channel.

    Raises ValueError for negative or empty ranges.
    """
    least, most = checked("gain", gain, 0, inf)
    offset = at_most("offset", offset, 1)

    def colour(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        channels = x.shape[1]
        many = between(least, most, generator, channels)
        return levels(x, gain=many, offset=between(-offset, offset, generator, channels))

    return colour


def random_blur(sigma: Range = (0.0, 1.0)) -> Transform:
    """Return a transform that blurs by a Gaussian of so many pixels; ValueError for a negative or empty range."""
    least, most = checked("sigma", sigma, 0, inf)
    return lambda x, generator: blur(x, between(least, most, generator).item())


def random_noise(std: float = 0.05) -> Transform:
    """Return a transform that adds normal noise, the same to every image; ValueError unless std is from 0 to 1."""
    std = at_most("std", std, 1)
    return lambda x, generator: levels(x + std * normal(x, generator))
