"""Every attack, with what it is allowed and what it must reach: the tests of all attacks go through this table."""

import copy
from math import inf
from typing import NamedTuple

import torch
from torch import nn

from cnnlib import attacks, weights
from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Threat
from cnnlib.inputs.transforms import compose, random_affine, random_light, views


class Case(NamedTuple):
    """An attack, its threat, its options in a short run, and the least share of digits that it then fools."""

    attack: str
    threat: Threat
    options: dict
    fools: float
    targeted: bool = True  # whether it takes a target

    @property
    def function(self):
        return getattr(attacks, self.attack)

    def run(self, model, x, y, **options):
        if self.attack == "transfer":
            options.setdefault("surrogate", copy.deepcopy(model))
        return self.function(model, x, y, self.threat, **{**self.options, **options})


FEW = views(compose(random_affine(degrees=10, shift=0.05), random_light()), 3)

CASES = {
    "fgsm": Case("fgsm", Threat(inf, 0.2), {}, 0.7),
    "fgsm, 2": Case("fgsm", Threat(2, 1.0), {}, 0.7),
    "pgd": Case("pgd", Threat(inf, 0.2), {"steps": 8}, 0.9),
    "pgd, 2": Case("pgd", Threat(2, 1.0), {"steps": 8}, 0.9),
    "pgd, 0": Case("pgd", Threat(0, 5), {"steps": 8}, 0.8),
    "apgd": Case("apgd", Threat(inf, 0.2), {"steps": 20}, 0.9),
    "apgd, 2": Case("apgd", Threat(2, 1.0), {"steps": 20}, 0.9),
    "apgd, ratio": Case("apgd", Threat(inf, 0.2), {"steps": 20, "loss": attacks.difference_ratio}, 0.9),
    "eot": Case("eot", Threat(inf, 0.2), {"steps": 6, "transforms": FEW}, 0.5),
    "eot, 2": Case("eot", Threat(2, 1.5), {"steps": 6, "transforms": FEW}, 0.5),
    "ensemble": Case("ensemble", Threat(inf, 0.2), {"steps": 5, "targets": 2, "queries": 20}, 0.9, targeted=False),
    "one pixel": Case("one_pixel", Threat(0, 1), {"queries": 200, "population": 20}, 0.3),
    "one pixel, 3": Case("one_pixel", Threat(0, 3), {"queries": 100, "population": 20}, 0.6),
    "square": Case("square", Threat(inf, 0.2), {"queries": 100}, 0.8),
    "square, 2": Case("square", Threat(2, 1.0), {"queries": 100}, 0.6),
    "nes": Case("nes", Threat(inf, 0.2), {"queries": 200, "samples": 16}, 0.8),
    "nes, 2": Case("nes", Threat(2, 1.0), {"queries": 200, "samples": 16}, 0.8),
    "deepfool": Case("deepfool", Threat(2, 1.0), {}, 0.9),
    "deepfool, inf": Case("deepfool", Threat(inf, 0.2), {}, 0.9),
    "carlini wagner": Case("carlini_wagner", Threat(2, 1.0), {"steps": 20, "rounds": 3}, 0.9),
    "lbfgs": Case("lbfgs", Threat(2, 1.0), {"steps": 10, "rounds": 4}, 0.9),
    "boundary": Case("boundary", Threat(2, 1.5), {"queries": 150}, 0.7),
    "hop skip jump": Case("hop_skip_jump", Threat(2, 1.5), {"queries": 200}, 0.7),
    "transfer": Case("transfer", Threat(inf, 0.2), {"attack": attacks.fgsm}, 0.7),
    "hop skip jump, inf": Case("hop_skip_jump", Threat(inf, 0.3), {"queries": 200}, 0.6),
}


def victim():
    """The shipped network for digits, in float64: what a batch does to rounding is then below what a step sees."""
    return weights.load("digits_cnn_digits").double()


def right_digits():
    """The same network in float32, and a hundred test digits that it has right, with their labels."""
    model = weights.load("digits_cnn_digits")
    images, y = tensors(*sets.load("digits").test)
    x = unit_floats(images)
    with torch.no_grad():
        right = model(x).argmax(1) == y
    return model, x[right][:100], y[right][:100]


def digits(count=24):
    """Test digits, of which the network has two wrong."""
    images, labels = tensors(*sets.load("digits").test)
    x = unit_floats(images).double()
    with torch.no_grad():
        right = victim()(x).argmax(1) == labels
    rows = torch.cat([(~right).nonzero()[:2, 0], right.nonzero()[: count - 2, 0]])
    return x[rows], labels[rows]


class Mixed(nn.Module):
    """A network with everything that an attack could leave changed: statistics, modes, hooks, gradients."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.relu, self.out = nn.ReLU(inplace=True), nn.Linear(4 * 8 * 8, 4)
        self.seen = []
        self.conv.weight.requires_grad_(False)
        self.out.weight.grad = torch.ones_like(self.out.weight)
        self.norm.eval()
        self.relu.register_forward_hook(lambda *_: self.seen.append(1))

    def forward(self, x):
        return self.out(self.drop(self.relu(self.norm(self.conv(x)))).flatten(1))
