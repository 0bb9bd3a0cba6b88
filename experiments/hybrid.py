"""Convolution, attention, or both? ResNet-20, a vision transformer and a hybrid at equal budgets, few images and many.

    python -m experiments.hybrid

trains on the first 2,500 images of CIFAR-10 (after 5,000 are held out) for 20 epochs, and on the first 12,500 for 4:
the same 50,000 images seen, in as many steps, only their variety differs. The three networks have 0.26 to 0.27 million
parameters and 41 to 43 million multiply-adds (counted: see the columns); the hybrid is `coatnet` with the widths below,
wider than `coatnet_cifar`, which has half the multiply-adds. Batches of 64, crop and flip, a cosine after a warm-up of
a twentieth, bfloat16, seeds 0, 1 and 2. Each is optimised as its kind usually is: ResNet-20 by SGD with Nesterov's
momentum 0.9 and weight decay 5e-4, the others by AdamW with 0.05; the rate, for both numbers of images, is that of
three, for ResNet-20 of five, with the least loss on the held-out images after 10 epochs of 2,500, seed 0. Time is
another budget, and not equal: one thread takes 2.2, 4.4 and 4.2 ms an image and step for ResNet, transformer and
hybrid, as convolutions are what processors are best at. 75 minutes go into all of it.

Predictions. With 2,500 images the transformer, which has to learn that neighbours belong together, errs at least 5
points more than ResNet-20; with 12,500 that gap is smaller. The hybrid, convolution first and attention later, has the
least mean error at both numbers, as Dai et al. (2021), https://arxiv.org/abs/2106.04803, say of larger ones. Each is
refuted by means in the other order. Differences no larger than those between seeds decide nothing. Short trainings on
few images favour what learns fast: nothing here speaks of large data, for which transformers were made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

from torch import nn

from cnnlib.data import augment, sets
from cnnlib.models.coatnet import coatnet
from cnnlib.models.resnet_cifar import resnet20
from cnnlib.models.vit import vit_cifar
from experiments.harness import Row, first, fit, run_missing
from experiments.networks import costs
from experiments.rates import HELD_OUT, at_best_rates, held_out, outcome
from experiments.verdicts import Verdict, all_of, holds_if, over_seeds, percent, points, ranges_in_order

HYBRID = partial(coatnet, image_size=32, widths=(32, 40, 48, 64, 64), depths=(3, 2, 2, 2, 1), strides=(1, 2, 2, 1, 1))
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet20": resnet20,
    "vit": vit_cifar,
    "hybrid": partial(HYBRID, num_classes=10),
}
KINDS = {"resnet20": "ResNet-20", "vit": "transformer", "hybrid": "hybrid"}
RATES = {"sgd": (0.0125, 0.025, 0.05, 0.1, 0.2), "adamw": (0.001, 0.002, 0.004)}
WEIGHT_DECAY = {"sgd": 5e-4, "adamw": 0.05}
EPOCHS = {2500: 20, 12_500: 4}  # by number of images
CHOSEN_ON, TRIAL_EPOCHS, BATCH = 2500, 10, 64


def trained(setting: Row, data: sets.DataSet, epochs: int, seed: int, part: str, folder: Path) -> list[Row]:
    """Train one network, and evaluate it on `data.test`; return its row."""
    network, start = NETWORKS[setting["network"]](seed=seed), time.process_time()
    scores = outcome(
        lambda: fit(
            network,
            data,
            seed=seed,
            epochs=epochs,
            lr=setting["lr"],
            batch_size=BATCH,
            weight_decay=WEIGHT_DECAY[setting["optimiser"]],
            optimiser_name=setting["optimiser"],
            augment=augment.crop_and_flip,
            folder=folder,
        ),
        data,
        part,
    )
    seconds = round(time.process_time() - start)  # of this process: since it began, or went on
    return [{**costs(network, data.train[0].shape[1:]), "epochs": epochs, **scores, "cpu_seconds": seconds}]


def measure_rate(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one rate on the held-out images."""
    data = first(held_out(sets.load("cifar10"), HELD_OUT)[0], CHOSEN_ON)
    return trained(setting, data, TRIAL_EPOCHS, 0, "held_out", folder)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one network, number of images and seed on the test set."""
    data = first(held_out(sets.load("cifar10"), HELD_OUT)[1], setting["images"])
    return trained(setting, data, EPOCHS[setting["images"]], setting["seed"], "test", folder)


def verdicts() -> list[Verdict]:
    """Judge the predictions by the test errors."""
    found = {
        n: {name: over_seeds("hybrid", {"network": name, "images": n}, "test_error") for name in NETWORKS}
        for n in EPOCHS
    }
    gaps = {n: mean(of["vit"]) - mean(of["resnet20"]) for n, of in found.items()}
    told = "; ".join(f"{n:,} images: {points([gap])} points" for n, gap in gaps.items())
    least = all_of(ranges_in_order(of["hybrid"], of[other]) for of in found.values() for other in ("resnet20", "vit"))
    return [
        Verdict("with 2,500 images a transformer errs at least 5 points more", holds_if(gaps[2500] >= 0.05), told),
        Verdict("with 12,500 that gap is smaller", holds_if(gaps[12_500] < gaps[2500]), told),
        Verdict(
            "the hybrid errs least at both numbers",
            least,
            "; ".join(
                f"{n:,}: " + ", ".join(f"{KINDS[name]} {percent(values)}" for name, values in of.items())
                for n, of in found.items()
            ),
        ),
    ]


if __name__ == "__main__":
    chosen = [
        setting
        for optimiser, names in (("sgd", ("resnet20",)), ("adamw", ("vit", "hybrid")))
        for setting in at_best_rates(
            "hybrid", [{"network": name, "optimiser": optimiser} for name in names], RATES[optimiser], measure_rate
        )
    ]
    run_missing(
        "hybrid",
        [{**setting, "images": n, "seed": seed} for seed in (0, 1, 2) for n in EPOCHS for setting in chosen],
        measure,
    )
