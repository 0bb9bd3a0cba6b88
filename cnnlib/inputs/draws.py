"""Random numbers of an attack.

All images of a batch meet the same ones: what becomes of an image does not depend on which others it is attacked with.
"""

from __future__ import annotations

import torch


def draws(generator: torch.Generator | None) -> torch.Generator:
    """Return the generator, or without one a new one with the seed 0.

    Raises TypeError for anything else, such as a seed.

    >>> torch.equal(torch.rand(2, generator=draws(None)), torch.rand(2, generator=draws(None)))
    True
    """
    if generator is None:
        return torch.Generator().manual_seed(0)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is {generator!r}; expected a torch.Generator, or None for one with the seed 0")
    return generator


def normal(like: torch.Tensor, generator: torch.Generator, *, count: int = 1) -> torch.Tensor:
    """Return standard normal numbers (count, …) for images like (N, …)."""
    return torch.randn(count, *like.shape[1:], generator=generator, dtype=like.dtype).to(like.device)


def uniform(like: torch.Tensor, generator: torch.Generator, *, count: int = 1) -> torch.Tensor:
    """Return numbers from −1 to 1, (count, …), for images like (N, …)."""
    return 2 * torch.rand(count, *like.shape[1:], generator=generator, dtype=like.dtype).to(like.device) - 1
