"""Time attacks beside torchattacks and foolbox: ``python -m benchmarks.attacks [--json FILE] [--runs 5]``.

The same network, images that it has right, ε and steps, on one thread, in turn; a ratio is another library's time over
ours, above 1 we are faster. Each is timed until it has its images: `success` is then not yet asked for, nor is foolbox
made to tell who is fooled. `passes` are the times that an image goes forward through the network. Ours also checks its
arguments, leaves the model as it was and keeps a history, and needs to know which images are classified rightly: FGSM
and PGD from a start at the image, as here, learn it from their first step, the others ask once more.

Carlini–Wagner has 50 steps for each of 4 constants, foolbox as many: it is told not to stop early. That of torchattacks
is left out, since it searches for no constant and stops at the first loss that has grown. Its DeepFool goes image by
image, and clips every step, so that many do not arrive: it is timed on one image alone. Foolbox has no Square.

Foolbox also computes the gradients of all weights, and leaves them in the model. `foolbox_frozen` is its time where the
model is frozen as ours is, so that it does not.

CONTRIBUTING.md says how to install both libraries. Results: ``benchmarks/results/attacks.csv``.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from math import inf
from typing import Any

import torch
from torch import nn

from benchmarks.harness import Row, cpu_seconds, main
from cnnlib import attacks, weights
from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Threat, frozen

NETWORKS = {"digits": "digits_cnn_digits", "mnist": "lenet5_mnist", "cifar10": "resnet20_cifar10"}  # by data set
SIZES = {"digits": (1, 100), "mnist": (1, 100), "cifar10": (1, 20)}
FAR = 1e6  # no limit
LIBRARIES = ("torchattacks", "foolbox")
Call = Callable[[], object]


def right_images(model: nn.Module, name: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first test images that a network has right, and their labels."""
    images, labels = tensors(*sets.load(name).test)
    x, y = unit_floats(images[: 2 * count + 20]), labels[: 2 * count + 20]
    with torch.no_grad():
        right = (model(x).argmax(1) == y).nonzero().flatten()[:count]
    return x[right], y[right]


def contests(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, dict[str, Call]]:
    """Return for each attack who can run it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import foolbox
        import torchattacks

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    wrong = foolbox.criteria.Misclassification(y)
    fb: Any = foolbox.attacks

    def ours(name: str, threat: Threat, **options: Any) -> Call:
        return lambda: getattr(attacks, name)(model, x, y, threat, **options)

    def torchattack(name: str, **options: Any) -> Call:
        attack = getattr(torchattacks, name)(model, **options)
        return lambda: attack(x, y)

    def fool(attack: Any, **options: Any) -> Call:
        return lambda: attack.run(wrapped, x, wrong, **options)

    steps = {"binary_search_steps": 4, "steps": 50, "stepsize": 0.1, "initial_const": 1, "abort_early": False}
    found = {
        "FGSM": {
            "ours": ours("fgsm", Threat(inf, 0.1)),
            "torchattacks": torchattack("FGSM", eps=0.1),
            "foolbox": fool(fb.FGSM(), epsilon=0.1),
        },
        "PGD-40": {
            "ours": ours("pgd", Threat(inf, 0.1), steps=40, step_size=0.01),
            "torchattacks": torchattack("PGD", eps=0.1, alpha=0.01, steps=40, random_start=False),
            "foolbox": fool(fb.LinfPGD(abs_stepsize=0.01, steps=40, random_start=False), epsilon=0.1),
        },
        "DeepFool": {"ours": ours("deepfool", Threat(2, FAR)), "foolbox": fool(fb.L2DeepFoolAttack(steps=50))},
        "Carlini–Wagner": {
            "ours": ours("carlini_wagner", Threat(2, FAR), steps=50, rounds=4),
            "foolbox": fool(fb.L2CarliniWagnerAttack(**steps)),
        },
    }
    if len(x) == 1:
        found["DeepFool"]["torchattacks"] = torchattack("DeepFool", steps=50)
    for norm, name, eps in ((inf, "Linf", 0.1), (2, "L2", 0.5)):
        found[f"Square, {name}"] = {
            "ours": ours("square", Threat(norm, eps), queries=300),
            "torchattacks": torchattack("Square", norm=name, eps=eps, n_queries=300),
        }
    return found


def within_frozen(model: nn.Module, call: Call) -> Call:
    """Return what calls another while the model is frozen."""

    def frozen_call() -> object:
        with frozen(model):
            return call()

    return frozen_call


def passes(model: nn.Module, call: Call, images: int) -> float:
    """Return how often an image goes through the network."""
    asked: list[int] = []
    handle = model.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    call()
    handle.remove()
    return sum(asked) / images


def compare(model: nn.Module, calls: dict[str, Call], images: int, runs: int) -> Row:
    """Return the ratios of medians and passes of everyone, with ours in milliseconds."""
    asked = {who: passes(model, call, images) for who, call in calls.items()}
    if "foolbox" in calls:
        calls = calls | {"foolbox_frozen": within_frozen(model, calls["foolbox"])}
    for call in calls.values():
        call()
    rounds = [{who: cpu_seconds(call) for who, call in calls.items()} for _ in range(runs)]
    row: Row = {"milliseconds": round(1000 * statistics.median(times["ours"] for times in rounds), 3)}
    for who in (*LIBRARIES, "foolbox_frozen"):
        ratios = [times[who] / times["ours"] for times in rounds if who in times]
        row[who] = round(statistics.median(ratios), 3) if ratios else ""
    for who in ("ours", *LIBRARIES):
        row[f"passes_{who}"] = f"{asked[who]:.4g}" if who in asked else ""
    return row


def measure(runs: int) -> Iterator[Row]:
    """Yield one row for each network, size of a batch and attack."""
    versions = {f"version_{name}": version(name) for name in LIBRARIES}
    for data, network in NETWORKS.items():
        model = weights.load(network).eval()
        for size in SIZES[data]:
            x, y = right_images(model, data, size)
            torch.manual_seed(0)
            for attack, calls in contests(model, x, y).items():
                yield {"data": data, "batch": size, "attack": attack, **compare(model, calls, size, runs), **versions}


if __name__ == "__main__":
    main(__doc__, "attacks", measure)
