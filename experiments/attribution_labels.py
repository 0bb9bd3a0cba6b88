"""Do attributions depend on the labels? Those of a network that has learned wrong ones by heart should look different.

    python -m experiments.attribution_labels

The second test of Adebayo et al. (2018, section 4, https://arxiv.org/abs/1810.03292). The network of
`experiments.features` is trained on 1,000 images of `data.shapes()` for 100 epochs (batches of 64, Nesterov's momentum
0.9, a cosine from 0.05 after a warm-up of a twentieth, no weight decay, bfloat16), with their labels and with the same
labels shuffled, which it can only learn by heart; seeds 0, 1 and 2 draw weights, order and shuffle. The maps of 100
other images, of their labels, are compared by Spearman's rank correlation of magnitudes: those of the network of one
seed that learned the labels with those of the next seed's that learned the labels too, and of the next seed's that
learned shuffled ones. The first is the control: two networks that know the same are not alike in every weight either.
The methods are as in `experiments.attribution_randomised`; nothing is tuned. 4 minutes of one thread.

Predictions. (1) With every method two networks that know the same have maps more alike than one that does and one that
does not; refuted by means in the other order, undecided where the seeds' ranges overlap. (2) Of the likeness of the
control guided backprop keeps more than half when the labels are shuffled, saliency less than half. (3) Guided backprop
keeps the largest part of the six. Refuted by means outside. The shuffled labels count as learned where at least 95 % of
the training images have theirs.

A comparison with the next seed's network as it was drawn, which has learned nothing, was added when the others were
known, to see what they owe to training; no prediction is about it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import nn

from cnnlib.command import on_images
from cnnlib.data import shapes, tensors
from cnnlib.evaluate import evaluate, unit_floats
from cnnlib.visualize import rank_correlation
from experiments.attribution_located import SHAPES, to_learn
from experiments.attribution_randomised import METHODS, method_of
from experiments.features import network
from experiments.harness import Row, fit, run_missing
from experiments.verdicts import Verdict, all_of, holds_if, over_seeds, ranges_in_order

TRAIN_SHAPES, EPOCHS = 1000, 100
LABELS = ("theirs", "shuffled", "none")
SETTINGS: list[Row] = [
    {"labels": labels, "method": method, "seed": seed} for seed in (0, 1, 2) for labels in LABELS for method in METHODS
]


@lru_cache(maxsize=9)
def learned(labels: str, seed: int) -> tuple[nn.Module, float]:
    """Return a network and which share of the images to train on it gives the label it was told; all are kept."""
    data = to_learn(TRAIN_SHAPES)
    images, told = data.train
    if labels == "shuffled":
        told = np.random.default_rng(seed).permutation(told)
    data, layers = data._replace(train=(images, told)), network(images.shape[1:], seed)
    if labels == "none":
        model = on_images(layers, data, "")
    else:
        model, _ = fit(layers, data, seed=seed, epochs=EPOCHS, lr=0.05, batch_size=64, weight_decay=0.0)
    return model.eval(), evaluate(model, *tensors(images, told)).accuracy


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one method: how alike its maps of two networks are, and what the second has learned."""
    made = shapes(SHAPES, seed=2)
    x, y = tensors(made.images, made.labels)
    x, seed = unit_floats(x), setting["seed"]
    one, (other, known) = learned("theirs", seed)[0], learned(setting["labels"], (seed + 1) % 3)
    attribution = method_of(setting["method"], "network.10")
    maps, others = (attribution(model, x, y).abs() for model in (one, other))
    with torch.no_grad():
        right = (other(x).argmax(1) == y).double().mean()
    alike = rank_correlation(maps, others).mean()
    return [{"images": len(x), "alike": f"{alike:.4f}", "known": f"{known:.4f}", "right": f"{right:.4f}"}]


def verdicts() -> list[Verdict]:
    """Judge the predictions."""

    def of(method: str, labels: str, column: str = "alike") -> list[float]:
        return over_seeds("attribution_labels", {"method": method, "labels": labels}, column)

    if min(of("saliency", "shuffled", "known")) < 0.95:
        raise ValueError("attribution_labels.csv has networks that have not learned the shuffled labels")
    alike = {method: (mean(of(method, "theirs")), mean(of(method, "shuffled"))) for method in METHODS}
    kept = {method: shuffled / theirs for method, (theirs, shuffled) in alike.items()}
    told = {method: f"{method} {100 * part:.0f} %".replace(" -", " −") for method, part in kept.items()}
    both = "; ".join(f"{method} {theirs:.2f} against {shuffled:.2f}" for method, (theirs, shuffled) in alike.items())
    return [
        Verdict(
            "with every method two networks that learned the labels have maps more alike than with one that did not",
            all_of(ranges_in_order(of(method, "shuffled"), of(method, "theirs")) for method in METHODS),
            both.replace(" -", " −"),
        ),
        Verdict(
            "of that likeness guided backprop keeps more than half, saliency less",
            holds_if(kept["guided backprop"] > 0.5 > kept["saliency"]),
            f"{told['guided backprop']}, {told['saliency']}",
        ),
        Verdict(
            "guided backprop keeps the largest part of the six",
            holds_if(max(kept, key=lambda method: kept[method]) == "guided backprop"),
            ", ".join(told.values()),
        ),
    ]


if __name__ == "__main__":
    run_missing("attribution_labels", SETTINGS, measure)
