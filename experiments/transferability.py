"""Which networks share their mistakes? Images that fool one are shown to others.

    python -m experiments.transferability

Four classifiers of MNIST, each with seeds 0, 1 and 2: LeNet-5 as it is taught today and as it was published in 1998, a
perceptron with one hidden layer of 128 units, and softmax regression. All are trained on the first 10,000 images, for 5
epochs in batches of 64, by a cosine after a warm-up of a twentieth, without augmentation: the form of 1998 by AdamW at
0.005, as the shipped one was, the others by SGD with Nesterov's momentum at 0.02. PGD of 20 steps from the image
attacks the first 200 test images at ε 0.1, 0.2 and 0.3 in the norm ∞ (`attacks.transfer`). Images that are made with
the network of one seed are shown to those of the next, so also to one of their own kind: same layers, other draws of
weights and order. What counts is the share that is fooled of the images that both networks have right. Beside it stand
what the attack does to its own network, and, as the control, one pattern of random signs of the same ε.

That the images transfer, also between kinds, is in Szegedy et al. (2014), section 4.2, https://arxiv.org/abs/1312.6199,
and Papernot et al. (2016), https://arxiv.org/abs/1605.07277; Goodfellow et al. (2015), section 8,
https://arxiv.org/abs/1412.6572, explain it by what all of them have in common, being nearly linear. Predictions, at ε
0.2, for means over the seeds:

1. Whatever the two kinds, what transfers fools at least twice as many as noise does: 16 comparisons.
2. Each kind is fooled most by images made with its own: 12 comparisons, its own with each of the other three.
3. Softmax regression, whose training has one solution, is fooled by its own kind nearly as if it had been attacked
   itself: at least 0.9 of it.
4. The two LeNets fool each other more than the perceptron and the regression fool them: 4 comparisons.
5. All of it is black box, and behind what sees the gradient: every kind is fooled less by its own kind than by an
   attack on itself.

The first is refuted by a single comparison to the contrary, and so are the others. Four small networks on one data set,
trained alike, all in a few minutes; nothing is said of larger ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from math import inf
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from cnnlib.attacks import pgd, random_signs, transfer
from cnnlib.data import sets, tensors
from cnnlib.data.sets import MNIST_MEAN, MNIST_STD
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Threat
from cnnlib.models.lenet import lenet5, lenet5_1998
from cnnlib.models.mlp import mlp
from experiments.harness import Row, first, fit, run_missing
from experiments.verdicts import Verdict, holds_if, over_seeds, share

KINDS = {"lenet5": "LeNet-5", "lenet5_1998": "LeNet-5 of 1998", "mlp": "perceptron", "linear": "softmax regression"}
SEEDS, EPS, AT = (0, 1, 2), (0.1, 0.2, 0.3), 0.2
TRAINED_ON, EPOCHS, BATCH = 10_000, 5, 64
IMAGES, STEPS = 200, 20
BLACK = -MNIST_MEAN[0] / MNIST_STD[0]  # of normalised pixels
BUILT: dict[str, Callable[..., nn.Module]] = {
    "lenet5": lenet5,
    "lenet5_1998": lambda seed: nn.Sequential(nn.ConstantPad2d(2, BLACK), lenet5_1998(seed=seed)),
    "mlp": partial(mlp, image_size=28),
    "linear": partial(mlp, image_size=28, hidden=()),
}


@lru_cache
def digits() -> sets.DataSet:
    """Return MNIST with the images to train on."""
    return first(sets.load("mnist"), TRAINED_ON)


@lru_cache
def network(kind: str, seed: int) -> nn.Module:
    """Return one network, trained."""
    optimiser, lr = ("adamw", 0.005) if kind == "lenet5_1998" else ("sgd", 0.02)
    model, _ = fit(
        BUILT[kind](seed=seed),
        digits(),
        seed=seed,
        epochs=EPOCHS,
        lr=lr,
        batch_size=BATCH,
        weight_decay=0.0,
        optimiser_name=optimiser,
        precision="float32",
    )
    return model


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the rows of one network's images on itself and on the next seed of every kind, and those of noise."""
    seed, threat = setting["seed"], Threat(inf, setting["eps"])
    source = network(setting["source"], seed)
    images, labels = tensors(*digits().test)
    x, y = unit_floats(images[:IMAGES]), labels[:IMAGES]
    made = pgd(source, x, y, threat, steps=STEPS)
    noise = random_signs(x, threat, generator=torch.Generator().manual_seed(seed))
    rows = []
    for name in ("itself", *KINDS):
        target = source if name == "itself" else network(name, (seed + 1) % len(SEEDS))
        shown = transfer(target, x, y, threat, surrogate=source, attack=lambda *_, **__: made)
        both = made.attacked & shown.attacked
        rows.append(
            {
                "target": name,
                "both_right": int(both.sum()),
                "fooled": f"{shown.success[both].double().mean():.4f}",
                "fooled_by_noise": f"{noise.on(target, x, y).success[both].double().mean():.4f}",
            }
        )
    return rows


def verdicts() -> list[Verdict]:
    """Judge the predictions by the means over the seeds."""

    def of(source: str, target: str, column: str = "fooled") -> float:
        return mean(over_seeds("transferability", {"source": source, "target": target, "eps": AT}, column))

    pairs = [(source, target) for source in KINDS for target in KINDS]
    beyond = [of(*pair) >= 2 * of(*pair, "fooled_by_noise") for pair in pairs]
    own = [of(kind, kind) > of(other, kind) for kind in KINDS for other in KINDS if other != kind]
    alike = of("linear", "linear") / of("linear", "itself")
    nets = ("lenet5", "lenet5_1998")
    among = [of(nets[i], nets[1 - i]) > of(other, nets[1 - i]) for i in (0, 1) for other in ("mlp", "linear")]
    behind = [of(kind, kind) < of(kind, "itself") for kind in KINDS]
    return [
        Verdict("what transfers fools at least twice as many as noise", holds_if(all(beyond)), share(beyond)),
        Verdict("each kind is fooled most by its own", holds_if(all(own)), share(own)),
        Verdict(
            "two regressions fool each other nearly as well as themselves: at least 0.9 of it",
            holds_if(alike >= 0.9),
            f"{alike:.2f}",
        ),
        Verdict("the LeNets fool each other more than the others fool them", holds_if(all(among)), share(among)),
        Verdict("an attack on the network itself fools more", holds_if(all(behind)), share(behind)),
    ]


SETTINGS: list[Row] = [{"source": kind, "seed": seed, "eps": eps} for eps in EPS for seed in SEEDS for kind in KINDS]

if __name__ == "__main__":
    run_missing("transferability", SETTINGS, measure)
