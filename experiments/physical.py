"""Through the printer and the camera: which attacks arrive, and which are left behind.

    python -m experiments.physical

attacks the first 40 test images of CIFAR-10 on the shipped ResNet-20, untargeted, and looks at 20 fresh views of every
image through each of two channels: "views" (turned by up to 30°, scaled, shifted, lit: those of `attacks.eot`) and
"print" (`attacks.printed`: colour, perspective, fewer pixels, blur, noise, JPEG). Images of 32 × 32 pixels are no
photographs, and the channels are models with the ranges of their defaults, in units of the image's side and of its own
pixels: a network for large photographs would be the better subject, and there is none here. So the control comes first,
the share of views in which the unchanged image is mistaken.

At ε = 8/255 in L∞: random signs, FGSM, PGD (40 steps), and EOT (30 steps, 5 views each) through either channel.
Carlini and Wagner's nearest images (5 rounds of 50 steps) come as they are and stretched until their largest change is
ε. Views, random signs and EOT are drawn by the seeds 0, 1 and 2. "Destroyed" is Kurakin et al.'s rate (2017,
https://arxiv.org/abs/1607.02533): of the views in which the unchanged image is right, of images that fool as a file,
the share in which the attacked one is right again. 4 minutes of one thread.

Predictions. (1) There is something to measure: unchanged images are right in at least half of the views, through either
channel. (2) Through either channel EOT fools in more views than PGD at the same ε, if it was made for that channel. (3)
The nearest images do not arrive: printed, they fool in at most 15 points more of the views than unchanged ones. (4) At
the same ε the printer destroys fewer of FGSM's images than of PGD's: Kurakin et al. found the finer attack more
delicate. (5) Random signs fool in at most 5 points more of the printed views than nothing. Means over the seeds decide.
Athalye et al. (2018), https://arxiv.org/abs/1707.07397.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import inf
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from cnnlib import weights
from cnnlib.attacks import carlini_wagner, eot, fgsm, pgd, printed, random_signs
from cnnlib.attacks.printed import views_that_fool
from cnnlib.inputs import Threat
from cnnlib.inputs.transforms import Transform, compose, random_affine, random_light, views
from experiments.harness import Row, run_missing
from experiments.images import first_images
from experiments.verdicts import Verdict, holds_if, over_seeds, percent, points

IMAGES, COUNT, EPS = 40, 20, 8 / 255
CHANNELS: dict[str, Transform] = {"views": compose(random_affine(), random_light()), "print": printed()}
Attack = Callable[[nn.Module, torch.Tensor, torch.Tensor, int], torch.Tensor]  # with a seed


def through(channel: str) -> Attack:
    """Return the attack that is made for a channel."""

    def attack(model: nn.Module, x: torch.Tensor, y: torch.Tensor, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        found = eot(
            model, x, y, Threat(inf, EPS), generator=generator, transforms=views(CHANNELS[channel], 5), steps=30
        )
        return found.rounded

    return attack


def signs(model: nn.Module, x: torch.Tensor, y: torch.Tensor, seed: int) -> torch.Tensor:
    """Return images with random signs, the same on all."""
    threat = Threat(inf, EPS)
    return random_signs(x, threat, generator=torch.Generator().manual_seed(seed)).on(model, x, y).rounded


@lru_cache(maxsize=1)
def nearest(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the nearest images that fool; kept, as nothing in it is drawn."""
    return carlini_wagner(model, x, y, Threat(2, 10), steps=50, rounds=5).adversarial


def stretched(x: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return images whose changes of x are multiplied until the largest is ε, in 8 bits; what is unchanged stays."""
    change = images - x
    largest = change.abs().amax((1, 2, 3), keepdim=True)
    return Threat(inf, EPS).rounded((x + change * (EPS / largest.clamp(min=1e-12))).clamp(0, 1))


ATTACKS: dict[str, Attack] = {
    "nothing": lambda model, x, y, seed: x,
    "random signs": signs,
    "FGSM": lambda model, x, y, seed: fgsm(model, x, y, Threat(inf, EPS)).rounded,
    "PGD": lambda model, x, y, seed: pgd(model, x, y, Threat(inf, EPS)).rounded,
    "EOT through views": through("views"),
    "EOT through print": through("print"),
    "nearest": lambda model, x, y, seed: Threat(2, 10).rounded(nearest(model, x, y)),
    "nearest, stretched": lambda model, x, y, seed: stretched(x, nearest(model, x, y)),
}
SETTINGS: list[Row] = [{"attack": attack, "seed": seed} for seed in (0, 1, 2) for attack in ATTACKS]


def right_in_views(model: nn.Module, images: torch.Tensor, y: torch.Tensor, channel: str, seed: int) -> torch.Tensor:
    """Return in which views the images are classified rightly, (COUNT, N) of bool: the same views for the same seed."""
    numbers = torch.Generator().manual_seed(100 + seed)
    return ~views_that_fool(model, images, y, CHANNELS[channel], generator=numbers, count=COUNT)


@lru_cache(maxsize=1)
def subject() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return the network, and those of the images that it has right, with their labels."""
    model, (x, y) = weights.load("resnet20_cifar10"), first_images("cifar10", "test", IMAGES)
    with torch.no_grad():
        right = model(x).argmax(1) == y
    return model, x[right], y[right]


@lru_cache(maxsize=len(CHANNELS))
def unchanged(channel: str, seed: int) -> torch.Tensor:
    """Return in which views the images themselves are right; kept, as every attack is compared with that."""
    model, x, y = subject()
    return right_in_views(model, x, y, channel, seed)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one attack: what it does as a file, and through each channel."""
    model, x, y = subject()
    images = ATTACKS[setting["attack"]](model, x, y, setting["seed"])
    with torch.no_grad():
        fools = model(images).argmax(1) != y
    change = (images - x).flatten(1)
    row: Row = {
        "images": len(x),
        "l2": f"{change.norm(dim=1).mean():.4f}",
        "linf": f"{change.abs().amax(1).mean():.4f}",
    }
    row["fooled"] = f"{fools.double().mean():.4f}"
    for channel in CHANNELS:
        after, before = right_in_views(model, images, y, channel, setting["seed"]), unchanged(channel, setting["seed"])
        row[f"{channel}_fooled"] = f"{(~after).double().mean():.4f}"
        row[f"{channel}_destroyed"] = f"{after[:, fools][before[:, fools]].double().mean():.4f}" if fools.any() else ""
    return [row]


def verdicts() -> list[Verdict]:
    """Judge the predictions by the means over the seeds."""

    def of(attack: str, column: str) -> list[float]:
        return over_seeds("physical", {"attack": attack}, column)

    nothing = {channel: of("nothing", f"{channel}_fooled") for channel in CHANNELS}
    made, plain = (
        {channel: of(attack.format(channel), f"{channel}_fooled") for channel in CHANNELS}
        for attack in ("EOT through {}", "PGD")
    )
    more = {attack: mean(of(attack, "print_fooled")) - mean(nothing["print"]) for attack in ("nearest", "random signs")}
    destroyed = {attack: of(attack, "print_destroyed") for attack in ("FGSM", "PGD")}
    return [
        Verdict(
            "unchanged images are right in at least half of the views",
            holds_if(all(mean(wrong) <= 0.5 for wrong in nothing.values())),
            "; ".join(f"{channel}: {percent([1 - wrong for wrong in of])} %" for channel, of in nothing.items()),
        ),
        Verdict(
            "EOT made for a channel fools in more of its views than PGD",
            holds_if(all(mean(made[channel]) > mean(plain[channel]) for channel in CHANNELS)),
            "; ".join(
                f"{channel}: {percent(made[channel])} against {percent(plain[channel])} %" for channel in CHANNELS
            ),
        ),
        Verdict(
            "the nearest images, printed, fool in at most 15 points more of the views than unchanged ones",
            holds_if(more["nearest"] <= 0.15),
            f"{points([more['nearest']])} points",
        ),
        Verdict(
            "the printer destroys fewer of FGSM's images than of PGD's",
            holds_if(mean(destroyed["FGSM"]) < mean(destroyed["PGD"])),
            f"{percent(destroyed['FGSM'])} against {percent(destroyed['PGD'])} %",
        ),
        Verdict(
            "random signs, printed, fool in at most 5 points more of the views than nothing",
            holds_if(more["random signs"] <= 0.05),
            f"{points([more['random signs']])} points",
        ),
    ]


if __name__ == "__main__":
    run_missing("physical", SETTINGS, measure)
