"""Do attributions show what a network has learned, and point at the object? Two tests that can be failed.

    python -m experiments.attribution_sanity

(a) Randomise the network and look again (Adebayo et al., 2018, https://arxiv.org/abs/1810.03292): the layers of the
shipped ResNet-20 are drawn anew from the logits down, and the maps of the first 12 test images of CIFAR-10, of their
labels, are compared with those from before by Spearman's rank correlation of magnitudes (`visualize.randomisation`).
Integrated gradients take 10 steps from black, occlusion has grey tiles of 8 by 8, Grad-CAM takes the last maps.
Seeds 0, 1 and 2 draw the weights. A method fails where, with the upper half of the layers random, the mean correlation
is above 0.5: the network then knows nothing, and the map has hardly changed.

(b) Take images in which the place of the evidence is known: `data.shapes()`, whose colours and grounds say nothing of
the class. A network of three convolutions (3 × 3, to 16, 32 and 64 channels, each with batch norm, ReLU and pooling)
is trained on 4,000 of them for 12 epochs (batches of 64, Nesterov's momentum 0.9, a cosine from 0.05, weight decay
5e-4; seeds 0, 1 and 2 draw weights and order). For 100 others, those that it has right, which share of a map's
magnitude lies on the object or within two pixels of it, where its outline is decided? Beside it stand the network
before training and the share of the image's pixels that lie there, what a map of nothing would get. Nothing is tuned;
settings are those of the field or round numbers. 4 minutes of one thread.

Predictions. (1) Guided backprop and deconvnet fail (a), saliency, Grad-CAM and occlusion do not; of integrated
gradients, which multiply by the image, nothing is predicted but (2): when all layers are random its correlation is
larger than saliency's. (3) In (b) every method of the trained network has a larger share on the object than of the
untrained one. (4) That gain is smaller for guided backprop than for saliency: edges are drawn with or without training.
Means in the other order refute; (2) to (4) are undecided where the seeds' ranges overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from statistics import mean

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib import weights
from cnnlib.command import on_images
from cnnlib.data import sets, shapes, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.visualize import (
    deconvnet,
    grad_cam,
    guided_backprop,
    integrated_gradients,
    occlusion,
    randomisation,
    saliency,
)
from experiments.features import network
from experiments.harness import Row, fit, run_missing
from experiments.images import first_images
from experiments.verdicts import Verdict, all_of, holds_if, over_seeds, percent, ranges_in_order

IMAGES, SHAPES, TRAIN_SHAPES, AROUND = 12, 100, 4000, 2
LAST = {"resnet20": "network.20", "shapes": "network.10"}  # the last maps of each network
METHODS: dict[str, Callable[..., torch.Tensor]] = {
    "saliency": saliency,
    "guided backprop": guided_backprop,
    "deconvnet": deconvnet,
    "integrated gradients": partial(integrated_gradients, steps=10),
    "Grad-CAM": grad_cam,
    "occlusion": partial(occlusion, window=8, stride=8, baseline=0.5),
}
FAIL, PASS = ("guided backprop", "deconvnet"), ("saliency", "Grad-CAM", "occlusion")
RANDOMISED: list[Row] = [{"method": method, "seed": seed} for seed in (0, 1, 2) for method in METHODS]
LOCATED: list[Row] = [
    {"network": which, "method": method, "seed": seed}
    for seed in (0, 1, 2)
    for which in ("untrained", "trained")
    for method in METHODS
]


def method_of(name: str, of: str) -> Callable[..., torch.Tensor]:
    """Return an attribution, a function of a model, images and classes, for one of the networks."""
    return partial(grad_cam, layer=LAST[of]) if name == "Grad-CAM" else METHODS[name]


def measure_randomised(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one method and one draw of the weights: the mean correlation after each layer."""
    x, y = first_images("cifar10", "test", IMAGES)
    found = randomisation(
        weights.load("resnet20_cifar10"),
        x,
        y,
        method_of(setting["method"], "resnet20"),
        generator=torch.Generator().manual_seed(setting["seed"]),
    )
    means = [f"{alike.mean().item():.4f}" for alike in found.values()]
    halfway = means[len(means) // 2 - 1]
    return [{"images": IMAGES, "halfway": halfway, "at_the_end": means[-1], "by_layer": " ".join(means)}]


@lru_cache(maxsize=2)
def located(which: str, seed: int) -> nn.Module:
    """Return the network for shapes, trained or not; both of a seed are kept for the next method."""
    images, labels, _, _ = shapes(TRAIN_SHAPES, seed=1)
    pixels = unit_floats(torch.from_numpy(images))
    mean, std = (tuple(of.tolist()) for of in (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))))
    data = sets.DataSet((images, labels), (images[:0], labels[:0]), mean, std)
    layers = network(images.shape[1:], seed)
    if which == "untrained":
        return on_images(layers, data, "").eval()
    model, _ = fit(layers, data, seed=seed, epochs=12, lr=0.05, batch_size=64)
    return model.eval()


def measure_located(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one method: the mean share of its maps' magnitude that lies on the objects."""
    made = shapes(SHAPES, seed=2)
    x, y = tensors(made.images, made.labels)
    x, model = unit_floats(x), located(setting["network"], setting["seed"])
    right = located("trained", setting["seed"])(x).argmax(1) == y
    x, y = x[right], y[right]
    inside = F.max_pool2d(torch.from_numpy(made.masks)[right][:, None].float(), 2 * AROUND + 1, 1, AROUND)
    maps = method_of(setting["method"], "shapes")(model, x, y).abs().sum(1, keepdim=True)
    maps = torch.where(maps.sum((2, 3), keepdim=True) > 0, maps, 1)  # a map of nothing speaks of all pixels alike
    on_objects = (maps * inside).sum((1, 2, 3)) / maps.sum((1, 2, 3))
    return [{"images": len(x), "share": f"{on_objects.mean():.4f}", "area": f"{inside.mean():.4f}"}]


def verdicts() -> list[Verdict]:
    """Judge the predictions."""

    def alike(method: str, column: str) -> list[float]:
        return over_seeds("attribution_randomised", {"method": method}, column)

    def on_objects(method: str, which: str) -> list[float]:
        return over_seeds("attribution_located", {"network": which, "method": method}, "share")

    halfway = {method: mean(alike(method, "halfway")) for method in METHODS}
    ends = {method: alike(method, "at_the_end") for method in ("integrated gradients", "saliency")}
    trained, untrained = (
        {method: on_objects(method, which) for method in METHODS} for which in ("trained", "untrained")
    )
    gains = {
        method: [after - before for after, before in zip(trained[method], untrained[method], strict=True)]
        for method in METHODS
    }
    as_said = [halfway[method] > 0.5 for method in FAIL] + [halfway[method] <= 0.5 for method in PASS]
    return [
        Verdict(
            "with the upper half of the layers random, guided backprop and deconvnet stay as they were, "
            "saliency, Grad-CAM and occlusion do not",
            holds_if(all(as_said)),
            ", ".join(f"{method} {halfway[method]:.2f}" for method in (*FAIL, *PASS)),
        ),
        Verdict(
            "with all layers random, integrated gradients stay more alike than saliency",
            ranges_in_order(ends["saliency"], ends["integrated gradients"]),
            " against ".join(f"{mean(of):.2f}" for of in ends.values()),
        ),
        Verdict(
            "training moves every method's maps towards the object",
            all_of(ranges_in_order(untrained[method], trained[method]) for method in METHODS),
            "; ".join(f"{method} {percent(trained[method])} from {percent(untrained[method])} %" for method in METHODS),
        ),
        Verdict(
            "it moves guided backprop less than saliency",
            ranges_in_order(gains["guided backprop"], gains["saliency"]),
            " against ".join(f"{percent(gains[method])} points" for method in ("guided backprop", "saliency")),
        ),
    ]


if __name__ == "__main__":
    run_missing("attribution_located", LOCATED, measure_located)
    run_missing("attribution_randomised", RANDOMISED, measure_randomised)
