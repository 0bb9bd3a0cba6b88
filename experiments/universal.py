"""One perturbation for all images: fitted on some, judged on others.

    python -m experiments.universal

fits perturbations of ε = 5, 10 and 20 of 255, in L∞, on the first 300 training images of CIFAR-10 that the shipped
ResNet-20 is asked about (`attacks.universal`: 150 steps on 32 images each; seeds 0, 1 and 2 draw the images of a step),
and puts them on the first 500 test images. Beside each stand random signs of the same ε. Counted are the images that
were classified rightly and are not any more; the settings were not tuned. 3 minutes of one thread.

Predictions. (1) With 10 of 255 the perturbation fools at least half of the test images. (2) It fools no fewer of the
test images than of those it was fitted on, less 10 points, at every ε: there are directions that suit images nobody has
seen. (3) Random signs twice as large, 20, fool less than half as many as it does with 10. Means decide.

Moosavi-Dezfooli et al. (2017), https://arxiv.org/abs/1610.08401, who fitted on 10,000 images of ImageNet; Shafahi et
al. (2020), https://arxiv.org/abs/1811.11304.
"""

from __future__ import annotations

from math import inf
from pathlib import Path
from statistics import mean

import torch

from cnnlib import weights
from cnnlib.attacks import random_signs, universal
from cnnlib.inputs import Threat
from experiments.harness import Row, run_missing
from experiments.images import first_images
from experiments.verdicts import Verdict, holds_if, over_seeds, percent, points

FITTED_ON, JUDGED_ON, EPS = 300, 500, (5, 10, 20)  # the last in units of 1 / 255
SETTINGS: list[Row] = [
    {"perturbation": kind, "eps": eps, "seed": seed}
    for seed in (0, 1, 2)
    for eps in EPS
    for kind in ("universal", "random signs")
]


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one perturbation."""
    model, threat = weights.load("resnet20_cifar10"), Threat(inf, setting["eps"] / 255)
    train, test = first_images("cifar10", "train", FITTED_ON), first_images("cifar10", "test", JUDGED_ON)
    generator = torch.Generator().manual_seed(setting["seed"])
    if setting["perturbation"] == "universal":
        found = universal(model, *train, threat, generator=generator, steps=150, batch_size=32)
    else:
        found = random_signs(train[0], threat, generator=generator)
    row: Row = {}
    for name, images in (("train", train), ("test", test)):
        result = found.on(model, *images)
        attacked = result.attacked
        row[f"{name}_images"] = int(attacked.sum())
        row[f"{name}_fooled"] = f"{(result.rounded_success.sum() / attacked.sum()).item():.4f}"
        classes = torch.bincount(result.rounded_predictions[result.rounded_success], minlength=10)
        row[f"{name}_taken_for"] = " ".join(map(str, classes.tolist()))
    return [row]


def verdicts() -> list[Verdict]:
    """Judge the predictions by the mean shares of images fooled."""

    def fooled(kind: str, eps: int, part: str = "test") -> list[float]:
        return over_seeds("universal", {"perturbation": kind, "eps": eps}, f"{part}_fooled")

    ten, chance = fooled("universal", 10), fooled("random signs", 20)
    lost = [mean(fooled("universal", eps, "train")) - mean(fooled("universal", eps)) for eps in EPS]
    return [
        Verdict("10 of 255 fool at least half of the test images", holds_if(mean(ten) >= 0.5), f"{percent(ten)} %"),
        Verdict(
            "on images that nobody has seen it is at most 10 points weaker",
            holds_if(max(lost) <= 0.1),
            f"weaker by {points(lost)} points with ε = 5, 10 and 20",
        ),
        Verdict(
            "random signs of 20 fool less than half as many",
            holds_if(mean(chance) < mean(ten) / 2),
            f"{percent(chance)} against {percent(ten)} %",
        ),
    ]


if __name__ == "__main__":
    run_missing("universal", SETTINGS, measure)
