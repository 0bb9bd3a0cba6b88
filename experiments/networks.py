"""Layers and small networks that several experiments share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

import torch
from torch import nn

from cnnlib.models.building import he_normal
from cnnlib.models.seeding import seeded
from cnnlib.models.trace import trace
from cnnlib.ops_torch import local_contrast_norm, local_response_norm
from experiments.harness import Row


def drawn(build: Callable[[], nn.Sequential], seed: int) -> nn.Sequential:
    """Return the network that `build` makes, its weights drawn from N(0, 2 / fan-in) as the seed decides."""
    with seeded(seed):
        network = build()
        he_normal(network)
    return network


def conv_norm(in_channels: int, channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    """Return a convolution without bias, and the batch norm that has one."""
    conv = nn.Conv2d(in_channels, channels, kernel, stride=stride, padding=padding, bias=False)
    return [conv, nn.BatchNorm2d(channels)]


def costs(network: nn.Module, shape: Sequence[int]) -> Row:
    """Return the parameters of a network and its multiply–adds on one image (C, H, W).

    >>> costs(nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 5, 5))
    {'parameters': 20, 'macs': 162}
    """
    table = trace(network, shape)
    return {"parameters": table.parameters, "macs": table.macs}


class Local2d(nn.Module):
    """`cnnlib.ops_torch.locally_connected2d` of square images and windows, as one product of matrices a window.

    weight (oh, ow, C·kernel·kernel, channels), drawn from N(0, 2 / fan-in); bias (oh, ow, channels), zero.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, side: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding
        size, taps = (side + 2 * padding - kernel) // stride + 1, in_channels * kernel**2
        self.weight = nn.Parameter(torch.randn(size, size, taps, channels) * sqrt(2 / taps))
        self.bias = nn.Parameter(torch.zeros(size, size, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        x = nn.functional.pad(x, (self.padding,) * 4)
        windows = x.unfold(2, self.kernel, self.stride).unfold(3, self.kernel, self.stride)  # (N, C, oh, ow, k, k)
        rows = windows.permute(2, 3, 0, 1, 4, 5).flatten(3)  # (oh, ow, N, C·k·k)
        y = torch.bmm(rows.flatten(0, 1), self.weight.flatten(0, 1)).unflatten(0, rows.shape[:2])  # (oh, ow, N, F)
        return (y + self.bias[:, :, None]).permute(2, 3, 0, 1)


class LocalResponse(nn.Module):
    """Response normalisation over 5 channels with AlexNet's k = 2, α = 1e-4 a channel, β = 0.75.

    Krizhevsky et al. (2012), section 3.3, https://doi.org/10.1145/3065386. The operator divides α by the 5.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return local_response_norm(x.float(), 5, alpha=5e-4, beta=0.75, k=2.0)


class LocalContrast(nn.Module):
    """Subtractive and divisive normalisation over windows of 5 × 5 in all channels: Jarrett et al. (2009).

    https://doi.org/10.1109/ICCV.2009.5459469; theirs are 9 × 9, on larger planes.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return local_contrast_norm(x.float(), 5)
