"""Black-box attacks beside those of other libraries, at equal queries on the same network."""

from math import inf

import pytest
import torch
from attack_table import right_digits
from oracles import oracle

from cnnlib import attacks
from cnnlib.inputs import Threat, distance

SEEDS = range(3)


@pytest.fixture(scope="module")
def small():
    return right_digits()


@pytest.fixture(autouse=True)
def global_state():
    """The others draw from it, and write to it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def fooled(model, x, y):
    with torch.no_grad():
        return (model(x).argmax(1) != y).double().mean().item()


def mean(values):
    return sum(values) / len(values)


@pytest.mark.parametrize(("norm", "name", "eps"), [(inf, "Linf", 0.1), (2, "L2", 0.4)])
def test_square_fools_as_many_as_the_authors_program(norm, name, eps, small):
    square = oracle("pyautoattack.square")
    model, x, y = small
    ours, theirs = [], []
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        ours.append(
            attacks.square(model, x, y, Threat(norm, eps), generator=generator, queries=300).success.double().mean()
        )
        other = square.SquareAttack(model, norm=name, n_queries=298, eps=eps, seed=seed)  # and one before, one after
        theirs.append(fooled(model, other.perturb(x, y), y))
    assert mean(ours) >= mean(theirs) - 0.02


@pytest.mark.parametrize(("norm", "constraint"), [(2, "l2"), (inf, "linf")])
@pytest.mark.parametrize("steps", [2, 8])
def test_hop_skip_jump_comes_as_near_as_foolbox(norm, constraint, steps, small):
    foolbox = oracle("foolbox")
    other = foolbox.attacks.HopSkipJumpAttack(steps=steps, constraint=constraint)
    theirs, queries = by_foolbox(foolbox, other, norm, small)
    model, x, y = small
    found = attacks.hop_skip_jump(model, x[:40], y[:40], Threat(norm, 100), queries=queries)
    assert found.success.all()
    assert distance(x[:40], found.adversarial, norm).mean() <= theirs


def test_boundary_comes_as_near_as_foolbox(small):
    foolbox = oracle("foolbox")
    theirs, queries = by_foolbox(foolbox, foolbox.attacks.BoundaryAttack(steps=600), 2, small)
    model, x, y = small
    found = attacks.boundary(model, x[:40], y[:40], Threat(2, 100), queries=queries)
    assert found.success.all()
    assert found.l2.mean() <= theirs


def by_foolbox(foolbox, attack, norm, small):
    """Return the mean distance that an attack of foolbox reaches, and the queries for an image that it takes."""
    model, x, y = small
    x, y, asked = x[:40], y[:40], []
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    handle = model.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    found = attack.run(wrapped, x, foolbox.criteria.Misclassification(y))
    handle.remove()
    return distance(x, found, norm).mean(), sum(asked) // len(x)
