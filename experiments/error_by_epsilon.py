"""How wrong does a network get as ε grows? One step, many, several attacks together, and noise of the same size.

    python -m experiments.error_by_epsilon

The shipped networks, on the first 359 test images of digits (all there are), 200 of MNIST and 100 of CIFAR-10: plain
ones of all three, and those of digits and MNIST that were trained against PGD. In the norm ∞, from the image: FGSM; a
single step along the gradient itself, scaled so that its largest change is ε, which is what the slides' x ← x + α ∂E/∂x
does with the best α that ε allows; PGD of 20 steps; and `attacks.ensemble` (APGD of 20 steps, towards 3 targets, Square
with 200 queries). As what is allowed within a smaller ε is allowed within a larger one, the ensemble is asked only
about the images that none of the attacks has fooled so far. The control is one pattern of random signs, the same for
all images. The error is the share of all images that are wrong, with those that are wrong without an attack.

Predictions:

1. Noise is harmless where FGSM is not: at every ε where FGSM raises a plain network's error by 10 points or more,
   random signs of that ε raise it by a tenth of that at most.
2. One step is not the worst: at the largest ε PGD has every plain network wrong about at least 99 % of the images, and
   FGSM leaves more right than PGD, on all three.
3. sign() matters: at every ε of the first prediction FGSM raises the error by more than the scaled gradient does.
4. On a network that was trained against attacks, at the ε of its training, the ensemble's error is at least 50 points
   below the plain network's.
5. There the gradients tell the truth: PGD is within 10 points of the ensemble; with masked ones it would be far behind.
6. What was learned ends where the training did: from its ε to one and a half of it, the ensemble's error grows by more
   than 30 points, on both.

Each is refuted by a number outside. One network of each kind; the trained ones are not of the architecture of the plain
one on MNIST. On CIFAR-10 a hundred images: a share of one half is known to ± 5 %.
"""

from __future__ import annotations

from math import inf
from pathlib import Path

import torch
from torch import nn

from cnnlib import weights
from cnnlib.attacks import Universal, ensemble, fgsm, pgd, random_signs
from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Result, Threat, ascend, attack_on, cross_entropy
from experiments import harness
from experiments.harness import Row, run_missing
from experiments.verdicts import Verdict, holds_if, points, share

PLAIN = {"digits": "digits_cnn_digits", "mnist": "lenet5_mnist", "cifar10": "resnet20_cifar10"}
TRAINED = {"digits": "digits_cnn_digits_robust", "mnist": "wong_kolter_mnist_robust"}
TRAINED_EPS = {"digits": 0.2, "mnist": 0.3}
EPS = {
    "digits": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
    "mnist": (0.05, 0.1, 0.15, 0.2, 0.3, 0.375, 0.45),
    "cifar10": tuple(levels / 255 for levels in (0.5, 1, 2, 4, 8)),
}
IMAGES = {"digits": 359, "mnist": 200, "cifar10": 100}
SETTINGS: list[Row] = [{"network": name} for names in (PLAIN, TRAINED) for name in names.values()]


def scaled_gradient(model: nn.Module, x: torch.Tensor, y: torch.Tensor, threat: Threat) -> Result:
    """Move each image along its gradient until the pixel that changes most has moved by ε."""

    def step(x: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return x + threat.eps * gradient / gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)

    with attack_on(model, x, y, threat, target=None, generator=None) as victim:
        wrong = victim.objective(cross_entropy)
        found = ascend(x, wrong, step_rule=step, project=threat.around(x), steps=1)
        return victim.result(found.x, found.history)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the rows of one network: the error for every ε and attack."""
    model = weights.load(setting["network"])
    name = weights.provenance(setting["network"])["data"]
    images, labels = (tensor[: IMAGES[name]] for tensor in tensors(*sets.load(name).test))
    x, y, draws = unit_floats(images), labels, torch.Generator().manual_seed(0)
    noise = random_signs(x, Threat(inf, 1), generator=draws).perturbation
    wrong = torch.zeros_like(y, dtype=torch.bool)  # without an attack, or because of one so far
    rows = []
    for eps in EPS[name]:
        threat = Threat(inf, eps)
        found = {
            "random signs": Universal(eps * noise, threat, x.new_zeros(0), 0).on(model, x, y),
            "scaled gradient": scaled_gradient(model, x, y, threat),
            "FGSM": fgsm(model, x, y, threat),
            "PGD": pgd(model, x, y, threat, steps=20),
        }
        errors = {attack: result.success | ~result.attacked for attack, result in found.items()}
        wrong = torch.stack([wrong, *errors.values()]).any(0)
        together = ensemble(model, x[~wrong], y[~wrong], threat, generator=draws, steps=20, targets=3, queries=200)
        wrong = wrong.masked_scatter(~wrong, together.success)
        clean = 1 - found["FGSM"].attacked.double().mean()
        rows += [
            {
                "data": name,
                "images": len(x),
                "clean_error": f"{clean:.4f}",
                "eps": f"{eps:.5f}",
                "attack": attack,
                "error": f"{error.double().mean():.4f}",
            }
            for attack, error in (errors | {"ensemble": wrong}).items()
        ]
    return rows


def verdicts() -> list[Verdict]:
    """Judge the predictions."""
    table = {
        (row["network"], row["attack"], row["eps"]): row
        for row in harness.read(harness.RESULTS / "error_by_epsilon.csv")
    }

    def error(network: str, attack: str, eps: float) -> float:
        return float(table[network, attack, f"{eps:.5f}"]["error"])

    def rise(network: str, attack: str, eps: float) -> float:
        return error(network, attack, eps) - float(table[network, attack, f"{eps:.5f}"]["clean_error"])

    plain = [(PLAIN[name], eps) for name in PLAIN for eps in EPS[name]]
    hurt = [place for place in plain if rise(place[0], "FGSM", place[1]) >= 0.1]
    harmless = [rise(net, "random signs", eps) <= 0.1 * rise(net, "FGSM", eps) for net, eps in hurt]
    signed = [rise(net, "FGSM", eps) > rise(net, "scaled gradient", eps) for net, eps in hurt]
    largest = [(PLAIN[name], max(EPS[name])) for name in PLAIN]
    ends = [(error(net, "FGSM", eps), error(net, "PGD", eps)) for net, eps in largest]
    own = [(PLAIN[name], TRAINED[name], TRAINED_EPS[name]) for name in TRAINED]
    gained = [error(net, "ensemble", eps) - error(trained, "ensemble", eps) for net, trained, eps in own]
    masked = [error(trained, "ensemble", eps) - error(trained, "PGD", eps) for _, trained, eps in own]
    beyond = [error(trained, "ensemble", 1.5 * eps) - error(trained, "ensemble", eps) for _, trained, eps in own]
    return [
        Verdict(
            "control: where FGSM hurts, noise does a tenth of it at most", holds_if(all(harmless)), share(harmless)
        ),
        Verdict(
            "at the largest ε PGD leaves nothing right, and FGSM something",
            holds_if(all(many >= 0.99 and one < many for one, many in ends)),
            "; ".join(f"FGSM {100 * one:.1f}, PGD {100 * many:.1f} % wrong" for one, many in ends),
        ),
        Verdict("FGSM hurts more than the scaled gradient", holds_if(all(signed)), share(signed)),
        Verdict(
            "training against attacks lowers the ensemble's error by at least 50 points",
            holds_if(min(gained) >= 0.5),
            f"digits and MNIST: {points(gained)} points",
        ),
        Verdict(
            "there PGD is within 10 points of the ensemble", holds_if(max(masked) <= 0.1), f"{points(masked)} points"
        ),
        Verdict(
            "at one and a half of its ε the error is more than 30 points larger",
            holds_if(min(beyond) > 0.3),
            f"{points(beyond)} points",
        ),
    ]


if __name__ == "__main__":
    run_missing("error_by_epsilon", SETTINGS, measure)
