"""A sticker that makes everything a frog: a patch beside a picture of a frog, and beside confetti.

    python -m experiments.patch

fits discs of a quarter and of three eighths of the image's width (5 and 11 % of its area in the middle of their range
of sizes, turned by up to 45°, anywhere) on the first 300 training images of CIFAR-10 of other classes, for the shipped
ResNet-20 (`attacks.patch`, 150 steps on 32 images each), and puts them, at places drawn anew, on the first 500 test
images of other classes. The targets are airplane, frog and truck; with each goes a seed, 0, 1 and 2. Counted are the
images, of those classified rightly, that are taken for the target. Two controls have the same size and places: random
colours, and a picture of the target, which is what a sticker could do honestly: of the first 10 training images of that
class the whole and the middle, shrunk into the disc, and of these 20 the one that fools most on the first 64 images to
fit. The settings were not tuned. 3 minutes of one thread.

Predictions. (1) The smaller patch has at least half of the test images taken for the target. (2) The picture of the
target does less than half of that, at either size, and (3) random colours at most 5 %, at either size. Means over the
targets decide. Brown et al. (2017), https://arxiv.org/abs/1712.09665, whose picture of a toaster did far less than
their patch, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib import weights
from cnnlib.attacks import Patch, Sticker, patch, random_patch
from cnnlib.data import CIFAR10_CLASSES
from experiments.harness import Row, run_missing
from experiments.images import first_images
from experiments.verdicts import Verdict, holds_if, over_seeds, percent

TARGETS = ("airplane", "frog", "truck")  # of the seeds 0, 1 and 2
FITTED_ON, JUDGED_ON, TRIED_ON, PICTURES, WIDTHS = 300, 500, 64, 10, (0.25, 0.375)
SETTINGS: list[Row] = [
    {"sticker": kind, "width": width, "seed": seed, "target": target}
    for seed, target in enumerate(TARGETS)
    for width in WIDTHS
    for kind in ("patch", "picture", "random colours")
]
Images = tuple[torch.Tensor, torch.Tensor]


def others(part: str, n: int, target: int) -> Images:
    """Return the first n images of a part of CIFAR-10 of other classes than the target, and their labels."""
    x, y = first_images("cifar10", part, 2 * n)
    return x[y != target][:n], y[y != target][:n]


def taken(made: Patch, model: nn.Module, images: Images, target: int, seed: int) -> float:
    """Return which share of the images classified rightly is taken for the target with the sticker on."""
    wanted = torch.full_like(images[1], target)
    result = made.on(model, *images, target=wanted, generator=torch.Generator().manual_seed(1000 + seed))
    return (result.rounded_success.sum() / result.attacked.sum()).item()


def picture(model: nn.Module, images: Images, sticker: Sticker, target: int, seed: int) -> Patch:
    """Return the best of the pictures of the target, whole or cut out of the middle, for a sticker."""
    x, y = first_images("cifar10", "train", 2000)
    shown = x[y == target][:PICTURES]
    like = random_patch(images[0], sticker)
    cut = [*shown, *shown[..., 8:24, 8:24]]
    side = like.image.shape[2:]
    made = [F.interpolate(image[None], side, mode="bilinear", antialias=True).clamp(0, 1) for image in cut]
    stickers = [Patch(image, sticker, like.history, 0) for image in made]
    return max(stickers, key=lambda one: taken(one, model, images, target, seed))


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one sticker."""
    model, seed, sticker = weights.load("resnet20_cifar10"), setting["seed"], Sticker(setting["width"])
    target = CIFAR10_CLASSES.index(setting["target"])
    x, y = others("train", FITTED_ON, target)
    generator = torch.Generator().manual_seed(seed)
    if setting["sticker"] == "patch":
        wanted = torch.full_like(y, target)
        made = patch(model, x, y, sticker, target=wanted, generator=generator, steps=150, batch_size=32)
    elif setting["sticker"] == "picture":
        made = picture(model, (x[:TRIED_ON], y[:TRIED_ON]), sticker, target, seed)
    else:
        made = random_patch(x, sticker, generator=generator)
    train, test = (x, y), others("test", JUDGED_ON, target)
    return [
        {
            "images": len(test[0]),
            "train_taken": f"{taken(made, model, train, target, seed):.4f}",
            "test_taken": f"{taken(made, model, test, target, seed):.4f}",
            "pixels": bytes((255 * made.image).round().byte().flatten().tolist()).hex(),
        }
    ]


def verdicts() -> list[Verdict]:
    """Judge the predictions by the shares of test images taken for the target."""

    def of(kind: str, width: float) -> list[float]:
        return over_seeds("patch", {"sticker": kind, "width": width}, "test_taken")

    less = [mean(of("picture", width)) < mean(of("patch", width)) / 2 for width in WIDTHS]
    chance = [mean(of("random colours", width)) <= 0.05 for width in WIDTHS]
    return [
        Verdict(
            "a patch a quarter as wide as the image has at least half of the test images taken for its target",
            holds_if(mean(of("patch", 0.25)) >= 0.5),
            told("patch", of),
        ),
        Verdict("a picture of the target does less than half of that", holds_if(all(less)), told("picture", of)),
        Verdict("random colours at most 5 %", holds_if(all(chance)), told("random colours", of)),
    ]


def told(kind: str, of: Callable[[str, float], list[float]]) -> str:
    """Return what a kind of sticker does at either width, as text."""
    return "; ".join(f"width {width:g}: {percent(of(kind, width))} %" for width in WIDTHS)


if __name__ == "__main__":
    run_missing("patch", SETTINGS, measure)
