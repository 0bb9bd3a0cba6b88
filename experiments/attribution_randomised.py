"""Do attributions show what a network has learned? Not those that stay the same when it has forgotten it.

    python -m experiments.attribution_randomised

The layers of the shipped ResNet-20 are drawn anew from the logits down, and the maps of the first 12 test images of
CIFAR-10, of their labels, are compared with those from before by Spearman's rank correlation of magnitudes
(`visualize.randomisation`; Adebayo et al., 2018, https://arxiv.org/abs/1810.03292). Integrated gradients take 10 steps
from black, occlusion has grey tiles of 8 by 8, Grad-CAM takes the last maps; nothing is tuned. Seeds 0, 1 and 2 draw
the weights. A method fails where, with the upper half of the layers random, the mean correlation is above 0.5: the
network then knows nothing, and the map has hardly changed. 2 minutes of one thread.

Predictions. (1) Guided backprop and deconvnet fail, saliency, Grad-CAM and occlusion do not; refuted by any one of
them. (2) Integrated gradients multiply by the image, whatever the network: when all layers are random, theirs is a
larger correlation than saliency's; refuted by means in the other order, undecided where the seeds' ranges overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

import torch

from cnnlib import weights
from cnnlib.visualize import (
    deconvnet,
    grad_cam,
    guided_backprop,
    integrated_gradients,
    occlusion,
    randomisation,
    saliency,
)
from experiments.harness import Row, run_missing
from experiments.images import first_images
from experiments.verdicts import Verdict, holds_if, over_seeds, ranges_in_order

IMAGES = 12
METHODS: dict[str, Callable[..., torch.Tensor]] = {
    "saliency": saliency,
    "guided backprop": guided_backprop,
    "deconvnet": deconvnet,
    "integrated gradients": partial(integrated_gradients, steps=10),
    "Grad-CAM": grad_cam,
    "occlusion": partial(occlusion, window=8, stride=8, baseline=0.5),
}
FAIL, PASS = ("guided backprop", "deconvnet"), ("saliency", "Grad-CAM", "occlusion")
SETTINGS: list[Row] = [{"method": method, "seed": seed} for seed in (0, 1, 2) for method in METHODS]


def method_of(name: str, last: str) -> Callable[..., torch.Tensor]:
    """Return an attribution, a function of a model, images and classes; `last` is the layer of the last maps."""
    return partial(grad_cam, layer=last) if name == "Grad-CAM" else METHODS[name]


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one method and one draw of the weights: the mean correlation after each layer."""
    x, y = first_images("cifar10", "test", IMAGES)
    found = randomisation(
        weights.load("resnet20_cifar10"),
        x,
        y,
        method_of(setting["method"], "network.20"),
        generator=torch.Generator().manual_seed(setting["seed"]),
    )
    means = [f"{alike.mean().item():.4f}" for alike in found.values()]
    halfway = means[len(means) // 2 - 1]
    return [{"images": IMAGES, "halfway": halfway, "at_the_end": means[-1], "by_layer": " ".join(means)}]


def verdicts() -> list[Verdict]:
    """Judge the predictions."""

    def alike(method: str, column: str) -> list[float]:
        return over_seeds("attribution_randomised", {"method": method}, column)

    halfway = {method: mean(alike(method, "halfway")) for method in METHODS}
    ends = {method: alike(method, "at_the_end") for method in ("integrated gradients", "saliency")}
    as_said = [halfway[method] > 0.5 for method in FAIL] + [halfway[method] <= 0.5 for method in PASS]
    return [
        Verdict(
            "with the upper half of the layers random, guided backprop and deconvnet stay as they were, saliency, "
            "Grad-CAM and occlusion do not",
            holds_if(all(as_said)),
            ", ".join(f"{method} {halfway[method]:.2f}".replace(" -", " −") for method in (*FAIL, *PASS)),
        ),
        Verdict(
            "with all layers random, integrated gradients stay more alike than saliency",
            ranges_in_order(ends["saliency"], ends["integrated gradients"]),
            " against ".join(f"{mean(of):.2f}" for of in ends.values()),
        ),
    ]


if __name__ == "__main__":
    run_missing("attribution_randomised", SETTINGS, measure)
