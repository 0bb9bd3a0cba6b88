"""Steps as natural images would make them: what is large and grey moves first, fine and coloured detail last."""

from __future__ import annotations

import torch

from cnnlib.inputs import Adam

COLOUR = 0.25  # how much of a difference between channels counts, beside what they have in common


class Natural:
    """Steps of `Adam` on u, with which x = P u, where P weighs frequencies f by 1 / f and colours less than greys.

    A network answers to patterns of single pixels that no photograph has, and an ascent finds those first. Among all
    images that are worth the same, these steps come to smoother ones: Olah, Mordvintsev and Schubert, "Feature
    visualization" (2017), section "Preconditioning and parameterization", https://doi.org/10.23915/distill.00007. Where
    the objective has its largest value does not change. Of x only the last two axes are frequencies; a step changes
    pixels by about `lr`.

    >>> flat, fine = torch.ones(1, 1, 8, 8), (-1.0) ** torch.arange(8).expand(1, 1, 8, 8)
    >>> step = Natural(0.1)(torch.zeros(1, 1, 8, 8), flat + fine, torch.zeros(1))
    >>> bool((step * flat).mean() > 3 * (step * fine).mean())
    True
    """

    def __init__(self, lr: float) -> None:
        self.adam = Adam(lr)

    def __call__(self, x: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return x + spread(self.adam(torch.zeros_like(x), spread(gradient), values))


def spread(u: torch.Tensor) -> torch.Tensor:
    """Return P u for u (N, C, H, W): a symmetric matrix, under which noise of one size keeps its mean square.

    >>> u = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> spread(u).square().mean().sqrt().round(decimals=1)
    tensor(1.)
    """
    h, w = u.shape[2:]
    down, across = torch.fft.fftfreq(h, dtype=u.dtype), torch.fft.fftfreq(w, dtype=u.dtype)
    frequency = (down[:, None] ** 2 + across**2).sqrt().clamp(min=1 / max(h, w)).to(u.device)
    gain = 1 / frequency
    gain = gain / gain.square().mean().sqrt()
    grey = u.mean(1, keepdim=True)
    mixed = grey + COLOUR * (u - grey)
    return torch.fft.ifft2(gain * torch.fft.fft2(mixed)).real
