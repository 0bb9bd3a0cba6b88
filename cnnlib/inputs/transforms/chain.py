"""Transforms one behind the other, and many views of one image."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnnlib.checks import number
from cnnlib.geometry import as_int

Transform = Callable[[torch.Tensor, torch.Generator], torch.Tensor]  # images (N, …), a generator → one view of each
Range = tuple[float, float]


def compose(*transforms: Transform) -> Transform:
    """Return the transform that does one after the other; of none, that which does nothing.

    >>> twice, more = (lambda x, generator: 2 * x), (lambda x, generator: x + 1)
    >>> compose(twice, more)(torch.ones(1), torch.Generator()), compose(more, twice)(torch.ones(1), torch.Generator())
    (tensor([3.]), tensor([4.]))
    """

    def chain(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        for transform in transforms:
            x = transform(x, generator)
        return x

    return chain


def views(transform: Transform, count: int) -> Transform:
    """Return what makes `count` views of every image (count · N, …), each with draws of its own: first one of all.

    That is how `ascend` wants them. Raises ValueError for fewer than one.

    >>> noise = lambda x, generator: x + torch.rand(1, generator=generator)
    >>> views(noise, 3)(torch.zeros(2), torch.Generator().manual_seed(0))
    tensor([0.4963, 0.4963, 0.7682, 0.7682, 0.0885, 0.0885])
    """
    count = as_int("count", count, 1)
    return lambda x, generator: torch.cat([transform(x, generator) for _ in range(count)])


def checked(name: str, value: Range, low: float, high: float) -> Range:
    """Return a range, or raise ValueError unless it is two numbers in order from `low` to `high`."""
    try:
        least, most = (number(name, end) for end in value)
    except (TypeError, ValueError):
        least, most = high, low
    if not low <= least <= most <= high:
        raise ValueError(f"{name} is {value!r}; expected two numbers, {low:g} ≤ least ≤ most ≤ {high:g}")
    return least, most


def at_most(name: str, value: float, most: float) -> float:
    """Return a number, or raise ValueError unless it lies from 0 to `most`."""
    if not 0 <= number(name, value) <= most:
        raise ValueError(f"{name} is {value!r}; expected a number from 0 to {most:g}")
    return float(value)


def between(low: float, high: float, generator: torch.Generator, count: int = 1) -> torch.Tensor:
    """Return uniform numbers from low to high, (count,) of float64."""
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
