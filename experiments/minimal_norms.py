"""How far is the nearest mistake? It depends on who looks for it, and on whether it must fit into a file.

    python -m experiments.minimal_norms

Three networks: softmax regression on MNIST, trained here (first 10,000 images, 5 epochs, seed 0), whose nearest
mistakes inside the box of pixels are known in closed form (`attacks.fool_linear`); the shipped LeNet-5; and ResNet-20
on CIFAR-10. The first 100 test images, of ResNet-20's the first 50, are attacked where they are classified rightly. In
the norm 2 by DeepFool; by Carlini and Wagner's attack (100 steps, 9 rounds; ResNet-20: 60 and 5); by L-BFGS (20 steps,
12 rounds); by PGD of 20 steps and FGSM, a single one, at the least ε that will do, found for each image in 9 rounds by
`minimise_norm`; and by what sees only classes, the boundary attack and HopSkipJump, with 1,000 queries, on LeNet-5 also
5,000. In the norm ∞ by those that can: DeepFool, PGD, FGSM, HopSkipJump. The control is a random direction (for ∞
random signs), the same for all images, followed until it fools. Afterwards each image is rounded to 8 bits, as a file
would have it, and shown once more. In the medians, an image that an attack has not fooled counts as infinitely far.

Predictions:

1. On softmax regression, Carlini and Wagner's and L-BFGS come within 5 % of the closed form, in the median; DeepFool,
   which does not know of the box, does not.
2. In the norm 2, on both deep networks, the medians are in the order: Carlini–Wagner, DeepFool, FGSM.
3. L-BFGS of 2014 ends within 10 % of Carlini and Wagner's of 2017, on both.
4. What sees only classes is farther off at 1,000 queries: HopSkipJump at least 1.3 times as far as Carlini–Wagner's,
   the boundary attack farther than HopSkipJump, on both.
5. Control: a random direction is at least 5 times as far as Carlini–Wagner's, on all three networks.
6. Of what Carlini and Wagner's attack finds on ResNet-20, rounding spoils more than half: the changes are smaller than
   half a level in most of the pixels. On LeNet-5 it spoils less than half.
7. In the norm ∞ the nearest mistakes of ResNet-20 are nearer than two grey levels, 2/255, in the median, of PGD.

Each is refuted by a number outside. 100 images and one network of each kind: a share of one half is known to ± 10 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from math import inf
from pathlib import Path
from statistics import median

import torch
from torch import nn

from cnnlib import weights
from cnnlib.attacks import boundary, carlini_wagner, deepfool, fool_linear, hop_skip_jump, lbfgs
from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Nearest, Result, Threat, ascend, attack_on, cross_entropy, minimise_norm, steepest
from cnnlib.models.mlp import mlp
from experiments import harness
from experiments.harness import Row, first, fit, run_missing
from experiments.verdicts import Verdict, holds_if

NETWORKS = {"linear": "softmax regression", "lenet5_mnist": "LeNet-5", "resnet20_cifar10": "ResNet-20"}
IMAGES = {"linear": 100, "lenet5_mnist": 100, "resnet20_cifar10": 50}
DEEP = ("lenet5_mnist", "resnet20_cifar10")
ROUNDS, FAR = 9, 1e6
Attack = Callable[..., Result]


def by_size(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    steps: int,
    generator: torch.Generator | None = None,
) -> Result:
    """Return for each image the nearest that FGSM, or PGD of several steps, or noise with none, finds at any ε."""
    with attack_on(model, x, y, threat, target=None, generator=generator) as victim:
        victim.skip_mistaken()
        x, rows = victim.x, torch.arange(len(victim.x))
        unit, nowhere = Threat(threat.norm, 1, box=(-FAR, FAR)), torch.zeros_like(x)
        direction = torch.randn(1, *x.shape[1:], generator=victim.generator)
        noise = steepest(threat.norm, 1)(nowhere, direction.expand_as(x), x)  # as long as ε = 1, in that norm

        def climb(eps: torch.Tensor, nearest: Nearest) -> torch.Tensor:
            sizes = eps[:, None, None, None]
            start = x if steps else threat.clip(x + sizes * noise)
            found = ascend(
                start,
                lambda images: cross_entropy(nearest.ask(images, rows), victim.y, None),
                step_rule=steepest(threat.norm, sizes * (2.5 / steps if steps > 1 else 1)),
                project=lambda images: threat.clip(x + sizes * unit.around(nowhere)((images - x) / sizes)),
                steps=steps,
            )
            nearest.ask(found.x, rows)
            return nearest.fools

        nearest = minimise_norm(victim, climb, constant=0.1, rounds=ROUNDS)
        return victim.result(nearest.images, nearest.history)


def attacks(network: str) -> dict[tuple[float, str], Attack]:
    """Return the attacks on a network, by norm and name."""
    small = network == "resnet20_cifar10"
    wagner = partial(carlini_wagner, steps=60, rounds=5) if small else carlini_wagner
    either: dict[str, Attack] = {
        "DeepFool": deepfool,
        "PGD": partial(by_size, steps=20),
        "FGSM": partial(by_size, steps=1),
        "random": partial(by_size, steps=0),
        "HopSkipJump": partial(hop_skip_jump, queries=1000),
    }
    long = {
        "HopSkipJump, 5,000": partial(hop_skip_jump, queries=5000),
        "boundary, 5,000": partial(boundary, queries=5000),
    }
    two = {"Carlini–Wagner": wagner, "L-BFGS": lbfgs, "boundary": partial(boundary, queries=1000)}
    two |= long if network == "lenet5_mnist" else {}
    return {(inf, name): attack for name, attack in either.items()} | {
        (2, name): attack for name, attack in (either | two).items()
    }


@lru_cache
def subject(network: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return a network, images and labels."""
    data = sets.load("cifar10" if network == "resnet20_cifar10" else "mnist")
    if network == "linear":
        softmax = mlp(image_size=28, hidden=())
        model, _ = fit(softmax, first(data, 10_000), seed=0, epochs=5, lr=0.02, batch_size=64, precision="float32")
    else:
        model = weights.load(network)
    images, labels = (tensor[: IMAGES[network]] for tensor in tensors(*data.test))
    return model, unit_floats(images), labels


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one attack on one network: how far the mistakes are, and how many are left when rounded."""
    model, x, y = subject(setting["network"])
    norm = float(setting["norm"])
    if setting["attack"] == "closed form":
        far, queries, survived = exact(model, x, y, norm), "", ""
    else:
        attack = attacks(setting["network"])[norm, setting["attack"]]
        found = attack(model, x, y, Threat(norm, FAR), generator=torch.Generator().manual_seed(0))
        far = torch.where(found.success, found.l2 if norm == 2 else found.linf, inf)[found.attacked]
        queries = f"{found.queries[found.attacked].double().mean():.0f}"
        survived = f"{found.rounded_success[found.success].double().mean():.4f}"
    sizes = [f"{size:.5f}" for size in far.tolist()]
    return [{"images": len(sizes), "sizes": " ".join(sizes), "survived_rounding": survived, "mean_queries": queries}]


@torch.no_grad()
def exact(model: nn.Module, x: torch.Tensor, y: torch.Tensor, norm: float) -> torch.Tensor:
    """Return how far the nearest mistakes of a linear network are, in the box, of the images that it has right."""
    weight = next(model.parameters()) / model.get_submodule("normalise").get_buffer("std").item()
    right = model(x).argmax(1) == y
    return fool_linear(weight, model(torch.zeros_like(x[:1]))[0], x[right].flatten(1), y[right], norm=norm, box=(0, 1))[
        1
    ]


def row(network: str, attack: str, norm: str = "2") -> dict[str, str]:
    """Return the row of one attack; ValueError where there is none."""
    wanted = {"network": network, "norm": norm, "attack": attack}
    for found in harness.read(harness.RESULTS / "minimal_norms.csv"):
        if wanted.items() <= found.items():
            return found
    raise ValueError(f"minimal_norms.csv has no row where {wanted}")


def sizes(network: str, attack: str, norm: str = "2") -> list[float]:
    """Return how far an attack's images are, in the order of the images."""
    return [float(size) for size in row(network, attack, norm)["sizes"].split()]


def median_size(network: str, attack: str, norm: str = "2") -> float:
    """Return the median distance."""
    return median(sizes(network, attack, norm))


def times(attack: str, networks: Iterable[str] = DEEP) -> list[float]:
    """Return how many times as far as Carlini and Wagner's an attack ends on each network."""
    return [median_size(network, attack) / median_size(network, "Carlini–Wagner") for network in networks]


def told(texts: Iterable[str], networks: Iterable[str] = DEEP) -> str:
    """Return what there is to say of each network."""
    return "; ".join(f"{NETWORKS[network]} {text}" for network, text in zip(networks, texts, strict=True))


def verdicts() -> list[Verdict]:
    """Judge the predictions by the medians."""
    true = sizes("linear", "closed form")
    excess = {
        name: median(found / least for found, least in zip(sizes("linear", name), true, strict=True)) - 1
        for name in ("Carlini–Wagner", "L-BFGS", "DeepFool")
    }
    orders = [[median_size(network, attack) for attack in ("Carlini–Wagner", "DeepFool", "FGSM")] for network in DEEP]
    first_attack, jumps, walks = map(times, ("L-BFGS", "HopSkipJump", "boundary"))
    noise = times("random", NETWORKS)
    kept = [float(row(network, "Carlini–Wagner")["survived_rounding"]) for network in DEEP]
    levels = 255 * median_size("resnet20_cifar10", "PGD", "inf")
    return [
        Verdict(
            "where the answer is known, Carlini–Wagner and L-BFGS are within 5 % of it, DeepFool is not",
            holds_if(max(excess["Carlini–Wagner"], excess["L-BFGS"]) <= 0.05 < excess["DeepFool"]),
            ", ".join(f"{name} {100 * value:.1f} %" for name, value in excess.items()) + " above",
        ),
        Verdict(
            "in the norm 2: Carlini–Wagner, then DeepFool, then FGSM",
            holds_if(all(least < middle < most for least, middle, most in orders)),
            told(", ".join(f"{size:.2f}" for size in order) for order in orders),
        ),
        Verdict(
            "L-BFGS is within 10 % of Carlini–Wagner",
            holds_if(all(abs(ratio - 1) <= 0.1 for ratio in first_attack)),
            told(f"{ratio:.2f} times as far" for ratio in first_attack),
        ),
        Verdict(
            "seeing only classes: HopSkipJump at least 1.3 times as far, the boundary attack farther",
            holds_if(all(1.3 <= jump < walk for jump, walk in zip(jumps, walks, strict=True))),
            told(f"{jump:.1f} and {walk:.1f} times" for jump, walk in zip(jumps, walks, strict=True)),
        ),
        Verdict(
            "control: a random direction is at least 5 times as far",
            holds_if(min(noise) >= 5),
            told((f"{ratio:.0f} times" for ratio in noise), NETWORKS),
        ),
        Verdict(
            "rounding spoils more than half on ResNet-20, less than half on LeNet-5",
            holds_if(kept[1] < 0.5 < kept[0]),
            told(f"{100 * (1 - share):.0f} %" for share in kept),
        ),
        Verdict(
            "ResNet-20's nearest mistakes are within two grey levels", holds_if(levels < 2), f"{levels:.2f} levels"
        ),
    ]


SETTINGS: list[Row] = [{"network": "linear", "norm": norm, "attack": "closed form"} for norm in (2, inf)]
SETTINGS += [
    {"network": network, "norm": norm, "attack": name} for network in NETWORKS for norm, name in attacks(network)
]

if __name__ == "__main__":
    run_missing("minimal_norms", SETTINGS, measure)
