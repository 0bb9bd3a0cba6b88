"""Do attributions point at the object? Tried where its place, and that of all evidence, is known.

    python -m experiments.attribution_located

In `data.shapes()` the class is that of the one shape in an image; its colours and the ground say nothing. A network of
three convolutions (that of `experiments.features`) is trained on 4,000 such images for 12 epochs (batches of 64,
Nesterov's momentum 0.9, a cosine from 0.05 after a warm-up of a twentieth, weight decay 5e-4, bfloat16; seeds 0, 1 and
2 draw weights and order). For 100 others, those that it has right, which share of a map's magnitude lies on the object
or within two pixels of it, where its outline is decided? Beside it stand the same network before training, and the
share of the image's pixels that lie there: what a map that says nothing would get. The methods are as in
`experiments.attribution_randomised`; nothing is tuned. 2 minutes of one thread.

Predictions. (1) Every method has a larger share on the object with the trained network than with the untrained one. (2)
That gain is smaller for guided backprop than for saliency: edges are drawn with or without training. (3) Of the trained
network every method puts more on the object than there are pixels of it. Means in the other order refute; (1) and (2)
are undecided where the seeds' ranges overlap.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from statistics import mean

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib.command import on_images
from cnnlib.data import sets, shapes, tensors
from cnnlib.evaluate import unit_floats
from experiments.attribution_randomised import METHODS, method_of
from experiments.features import network
from experiments.harness import Row, fit, run_missing
from experiments.verdicts import Verdict, all_of, holds_if, over_seeds, percent, points, ranges_in_order

SHAPES, TRAIN_SHAPES, AROUND = 100, 4000, 2
NETWORKS = ("trained", "untrained")
SETTINGS: list[Row] = [
    {"network": which, "method": method, "seed": seed} for seed in (0, 1, 2) for which in NETWORKS for method in METHODS
]


def to_learn(count: int) -> sets.DataSet:
    """Return shapes to train on, and none to test on."""
    images, labels, _, _ = shapes(count, seed=1)
    pixels = unit_floats(torch.from_numpy(images))
    mean, std = (tuple(of.tolist()) for of in (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))))
    return sets.DataSet((images, labels), (images[:0], labels[:0]), mean, std)


@lru_cache(maxsize=2)
def located(which: str, seed: int) -> nn.Module:
    """Return the network for shapes, trained or not; both of a seed are kept for the next method."""
    data = to_learn(TRAIN_SHAPES)
    layers = network(data.train[0].shape[1:], seed)
    if which == "untrained":
        return on_images(layers, data, "").eval()
    model, _ = fit(layers, data, seed=seed, epochs=12, lr=0.05, batch_size=64)
    return model.eval()


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one method: the mean share of its maps' magnitude that lies on the objects."""
    made = shapes(SHAPES, seed=2)
    x, y = tensors(made.images, made.labels)
    x, model = unit_floats(x), located(setting["network"], setting["seed"])
    right = located("trained", setting["seed"])(x).argmax(1) == y
    x, y = x[right], y[right]
    inside = F.max_pool2d(torch.from_numpy(made.masks)[right][:, None].float(), 2 * AROUND + 1, 1, AROUND)
    maps = method_of(setting["method"], "network.10")(model, x, y).abs().sum(1, keepdim=True)
    maps = torch.where(maps.sum((2, 3), keepdim=True) > 0, maps, 1)  # a map of nothing speaks of all pixels alike
    on_objects = (maps * inside).sum((1, 2, 3)) / maps.sum((1, 2, 3))
    return [{"images": len(x), "share": f"{on_objects.mean():.4f}", "area": f"{inside.mean():.4f}"}]


def verdicts() -> list[Verdict]:
    """Judge the predictions."""

    def on_objects(method: str, which: str, column: str = "share") -> list[float]:
        return over_seeds("attribution_located", {"network": which, "method": method}, column)

    trained, untrained = ({method: on_objects(method, which) for method in METHODS} for which in NETWORKS)
    area = mean(on_objects("saliency", "trained", "area"))
    gains = {
        method: [after - before for after, before in zip(trained[method], untrained[method], strict=True)]
        for method in METHODS
    }
    return [
        Verdict(
            "training moves every method's maps towards the object",
            all_of(ranges_in_order(untrained[method], trained[method]) for method in METHODS),
            "; ".join(f"{method} {percent(trained[method])} from {percent(untrained[method])} %" for method in METHODS),
        ),
        Verdict(
            "it moves guided backprop less than saliency",
            ranges_in_order(gains["guided backprop"], gains["saliency"]),
            " against ".join(f"{points([mean(gains[method])])} points" for method in ("guided backprop", "saliency")),
        ),
        Verdict(
            "every method puts more on the object than there are pixels of it",
            holds_if(all(mean(of) > area for of in trained.values())),
            f"at least {100 * min(mean(of) for of in trained.values()):.1f} % on {100 * area:.1f} % of the pixels",
        ),
    ]


if __name__ == "__main__":
    run_missing("attribution_located", SETTINGS, measure)
