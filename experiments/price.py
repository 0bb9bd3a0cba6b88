"""What does training against attacks cost, and what does the cheap kind save? A small network and small digits.

    python -m experiments.price

The digits network (6,090 parameters) learns the 1,438 digits of 8 × 8 for 20 epochs in batches of 32, by SGD with
Nesterov's momentum at 0.05 and weight decay 5e-4, by a cosine after a warm-up of a twentieth, seeds 0, 1 and 2: half as
long as its shipped weights, and without their augmentation. It learns from the images as they are; from the worst that
PGD of 7 steps finds within ε (Madry et al., 2018, https://arxiv.org/abs/1706.06083); from one step from a random start
(Wong et al., 2020, https://arxiv.org/abs/2001.03994); and, as the control, from images with uniform noise within ε and
no attack. ε is 0.05, 0.1, 0.2 or 0.3 in the norm ∞, and grows during the first half of the training. All 359 test
images judge, as they are and after `attacks.ensemble` (APGD of 30 steps, towards 3 targets, Square with 300 queries) at
ε 0.1 and at the ε of the training. One step can be fooled by a network that bends its surface just there ("catastrophic
overfitting", Wong et al., section 5): so FGSM attacks as well, at the ε of the training. Time is that of the processor.

Predictions, for means over the seeds:

1. Robustness costs: PGD at ε 0.2 has fewer of the clean images right than plain training, the ranges of the seeds apart
   (Tsipras et al., 2019, https://arxiv.org/abs/1805.12152).
2. It buys: attacked at ε 0.1, PGD at ε 0.1 has at least 30 points more right than plain training.
3. Noise buys less than a quarter of that.
4. More is not better: attacked at ε 0.1, PGD at ε 0.1 has more right than PGD at ε 0.3.
5. One step takes less than 0.4 of the time of seven: two gradients a step in place of eight.
6. And is as good: attacked at the ε of its training, at most 3 points behind PGD at every ε.
7. In no training does it overfit catastrophically: FGSM leaves at most 20 points more right than the ensemble.

Each is refuted by a number outside; the first is undecided where ranges overlap. A tiny network on easy images: what
the numbers are elsewhere is another matter.
"""

from __future__ import annotations

import time
from math import inf
from pathlib import Path
from statistics import mean

import torch

from cnnlib.attacks import ensemble, fgsm
from cnnlib.data import sets, tensors
from cnnlib.defend import Adversary
from cnnlib.inputs import Result, Threat
from cnnlib.models.pattern import digits_cnn
from cnnlib.train import Adversary as Change
from experiments.harness import Row, fit, run_missing
from experiments.verdicts import Verdict, holds_if, over_seeds, percent, points, ranges_in_order

STEPS = {"PGD": 7, "one step": 1}
EPS, SEEDS, AT = (0.05, 0.1, 0.2, 0.3), (0, 1, 2), 0.1
EPOCHS, BATCH = 20, 32
KINDS = ("PGD", "one step", "noise")
SETTINGS: list[Row] = [
    {"trained": kind, "eps": eps, "seed": seed}
    for seed in SEEDS
    for kind, eps in [("plain", 0.0), *((kind, eps) for eps in EPS for kind in KINDS)]
]


class Noise:
    """Uniform noise within ε in place of an attack, as large as an `Adversary` would be."""

    def __init__(self, eps: float, ramp: int) -> None:
        self.eps, self.ramp = eps, ramp

    def __call__(
        self, model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator, step: int
    ) -> torch.Tensor:
        """Return the images (N, C, H, W), each with noise of its own."""
        grown = min(1.0, (step + 1) / max(1, self.ramp))
        return Threat(inf, grown * self.eps).somewhere(x, generator, count=len(x))


def adversary(kind: str, eps: float, steps: int) -> Change | None:
    """Return what changes the images of a training of so many steps."""
    if kind == "plain":
        return None
    ramp = steps // 2
    return Noise(eps, ramp) if kind == "noise" else Adversary(Threat(inf, eps), steps=STEPS[kind], ramp=ramp)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Train one network; return its row."""
    data, seed, eps = sets.load("digits"), setting["seed"], setting["eps"]
    start = time.process_time()
    model, history = fit(
        digits_cnn(seed=seed),
        data,
        seed=seed,
        epochs=EPOCHS,
        lr=0.05,
        batch_size=BATCH,
        precision="float32",
        adversary=adversary(setting["trained"], eps, EPOCHS * (len(data.train[0]) // BATCH)),
    )
    seconds = time.process_time() - start
    x, y = tensors(*data.test)

    weak = fgsm(model, x, y, Threat(inf, eps))
    robust = {}
    for within in {AT, eps}:
        draws = torch.Generator().manual_seed(seed)
        robust[within] = ensemble(model, x, y, Threat(inf, within), generator=draws, steps=30, targets=3, queries=300)
    right = {
        "clean": weak.attacked,
        "robust": withstood(robust[AT]),
        "robust_own": withstood(robust[eps]),
        "robust_own_fgsm": withstood(weak),
    }
    return [
        {
            "train_loss": f"{history[-1]['train_loss']:.4f}",
            **{name: f"{images.double().mean():.4f}" for name, images in right.items()},
            "cpu_seconds": f"{seconds:.1f}",
        }
    ]


def withstood(found: Result) -> torch.Tensor:
    """Return which images are right even after the attack, (N,)."""
    return found.attacked & ~found.success


def verdicts() -> list[Verdict]:
    """Judge the predictions."""

    def of(kind: str, eps: float, column: str = "robust") -> list[float]:
        return over_seeds("price", {"trained": kind, "eps": eps}, column)

    clean = of("PGD", 0.2, "clean"), of("plain", 0.0, "clean")
    bought, by_noise = (mean(of(kind, AT)) - mean(of("plain", 0.0)) for kind in ("PGD", "noise"))
    times = [mean(mean(of(kind, eps, "cpu_seconds")) for eps in EPS) for kind in ("one step", "PGD")]
    behind = [mean(of("PGD", eps, "robust_own")) - mean(of("one step", eps, "robust_own")) for eps in EPS]
    overfit = [
        weak - strong
        for eps in EPS
        for weak, strong in zip(of("one step", eps, "robust_own_fgsm"), of("one step", eps, "robust_own"), strict=True)
    ]
    return [
        Verdict(
            "robustness costs: PGD at ε 0.2 has fewer clean images right",
            ranges_in_order(*clean),
            f"{percent(clean[0])} against {percent(clean[1])} %",
        ),
        Verdict("it buys at least 30 points at ε 0.1", holds_if(bought >= 0.3), f"{points([bought])} points"),
        Verdict(
            "control: noise buys less than a quarter of that",
            holds_if(by_noise < bought / 4),
            f"{points([by_noise])} points",
        ),
        Verdict(
            "attacked at ε 0.1, training at 0.1 has more right than at 0.3",
            holds_if(mean(of("PGD", AT)) > mean(of("PGD", 0.3))),
            f"{percent(of('PGD', AT))} against {percent(of('PGD', 0.3))} %",
        ),
        Verdict(
            "one step takes less than 0.4 of the time of seven",
            holds_if(times[0] < 0.4 * times[1]),
            f"{times[0]:.1f} against {times[1]:.1f} s, {times[0] / times[1]:.2f}",
        ),
        Verdict(
            "and is at most 3 points behind at every ε",
            holds_if(max(behind) <= 0.03),
            f"behind by {points(behind)} points",
        ),
        Verdict(
            "it never overfits catastrophically",
            holds_if(max(overfit) <= 0.2),
            f"FGSM leaves at most {points([max(overfit)])} points more",
        ),
    ]


if __name__ == "__main__":
    run_missing("price", SETTINGS, measure)
