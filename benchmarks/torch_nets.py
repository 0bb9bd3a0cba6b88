"""The networks of `benchmarks.nets` made of torch's own layers: the peers that ours are measured against."""

from __future__ import annotations

import itertools

import torch
from torch import nn


class Shortcut(nn.Module):
    """Every second pixel, with zero channels before and after."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        half = x.shape[1] // 2
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half))


class Block(nn.Module):
    """Two convolutions and a shortcut, added and rectified in place."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(before, after, 3, 1 + (before != after), 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Identity() if before == after else Shortcut()

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return (self.main(x) + self.shortcut(x)).relu_()


def lenet5() -> nn.Sequential:
    """Return LeNet-5 with ReLU and max pooling."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(True), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(True), nn.Linear(120, 84), nn.ReLU(True), nn.Linear(84, 10)),
    )


def resnet20() -> nn.Sequential:
    """Return ResNet-20 for 32 × 32 images, with parameter-free shortcuts."""
    widths = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64)
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True)]
    blocks = [Block(before, after) for before, after in itertools.pairwise(widths)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
