"""Weights that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cnnlib.geometry import as_int


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch's CPU draws inside follow from `seed`; afterwards its global generator is where it was.

    >>> with seeded(0):
    ...     a = torch.rand(3)
    >>> with seeded(0):
    ...     torch.equal(a, torch.rand(3))
    True
    """
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(as_int("seed", seed, 0))
    try:
        yield
    finally:
        torch.default_generator.set_state(before)
