"""Pictures of the gallery in which images are attacked; each takes the networks that it shows."""

from __future__ import annotations

from math import inf

import torch
from matplotlib.figure import Figure
from torch import nn

from cnnlib import attacks
from cnnlib.data import CIFAR10_CLASSES
from cnnlib.inputs import Threat
from cnnlib.inputs.transforms import compose, random_affine, random_light
from cnnlib.plotting.attacks import attacked, changes, fooling, universal
from cnnlib.plotting.images import table
from cnnlib.visualize import linear_probe
from experiments.images import first_images

VIEWS = compose(random_affine(), random_light())


def seeded() -> torch.Generator:
    """Return a generator with the seed 0."""
    return torch.Generator().manual_seed(0)


def closed_form() -> Figure:
    """Draw the nearest mistakes of a linear classifier of digits."""
    x, y = first_images("digits", "train", 1000)
    probe = linear_probe(x.flatten(1), y)
    weight, bias = probe.weight.float(), probe.bias.float()
    x, y = (values[:3] for values in first_images("digits", "test", 3))
    change, size = attacks.fool_linear(weight, bias, x.flatten(1), y, norm=2, box=(0.0, 1.0))
    found = (x.flatten(1) + 1.001 * change).clamp(0, 1)
    answers = probe.logits(found).argmax(1)
    titles = [
        (f"{label}", f"L2 = {far:.3g}", f"→ {answer}") for label, far, answer in zip(y, size, answers, strict=True)
    ]
    return changes(x, found.view_as(x), titles=titles)


def one_step(network: nn.Module) -> Figure:
    """Draw FGSM on digits of MNIST."""
    return attacked(attacks.fgsm(network, *first_images("mnist", "test", 6), Threat(inf, 0.2)), count=3)


def nearest(network: nn.Module) -> Figure:
    """Draw the nearest mistakes that Carlini and Wagner's attack finds on CIFAR-10."""
    x, y = first_images("cifar10", "test", 4)
    return attacked(
        attacks.carlini_wagner(network, x, y, Threat(2, 3.0), steps=50, rounds=4), names=CIFAR10_CLASSES, count=3
    )


def hardened(network: nn.Module, trained: nn.Module) -> Figure:
    """Draw what PGD makes of digits, for a network and for one that was trained against it."""
    x, y = (values[:6] for values in first_images("mnist", "test", 6))
    of = {
        name: attacks.pgd(victim, x, y, Threat(inf, 0.3)).adversarial
        for name, victim in (("LeNet-5", network), ("trained\nagainst it", trained))
    }
    return table({"image": x, **of})


def one_pixel(network: nn.Module) -> Figure:
    """Draw the single pixels that change the answer about a digit."""
    return attacked(attacks.one_pixel(network, *first_images("digits", "test", 30), Threat(0, 1)), count=3)


def one_for_all(network: nn.Module) -> Figure:
    """Draw one change that fools a network about most digits."""
    x, y = first_images("mnist", "train", 200)
    found = attacks.universal(network, x, y, Threat(inf, 0.25), steps=60)
    return universal(found, found.on(network, *first_images("mnist", "test", 40)))


def evolved(network: nn.Module) -> Figure:
    """Draw images that show nothing, bred until a network is sure of a digit."""
    y = torch.tensor([2, 3, 5, 8])
    return fooling(attacks.fooling_by_evolution(network, torch.zeros(4, 1, 28, 28), y, budget=1500), y)


def climbed(network: nn.Module) -> Figure:
    """Draw images that gradient ascent from noise makes a network sure of."""
    y = torch.arange(10)
    noise = 0.2 * torch.rand(1, 1, 28, 28, generator=seeded())
    return fooling(attacks.fooling_by_ascent(network, noise.expand(10, 1, 28, 28), y), y)


def views(network: nn.Module) -> Figure:
    """Draw images that are to fool from all sides, and as one sees them from three."""
    x, y = first_images("mnist", "test", 5)
    made = {
        "PGD": attacks.pgd(network, x, y, Threat(inf, 0.2), steps=10).adversarial,
        "EOT": attacks.eot(network, x, y, Threat(inf, 0.2), steps=10).adversarial,
    }
    generator = seeded()
    return table(made | {f"EOT,\nview {k}": VIEWS(made["EOT"], generator) for k in (1, 2, 3)})


def printed(network: nn.Module) -> Figure:
    """Draw attacked images printed and photographed."""
    x, y = first_images("mnist", "test", 5)
    found = attacks.pgd(network, x, y, Threat(inf, 0.2)).adversarial
    channel, generator = attacks.printed(), seeded()
    return table({"attacked": found, **{f"photograph {k}": channel(found, generator) for k in (1, 2, 3)}})
