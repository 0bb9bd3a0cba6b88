"""FGSM and PGD against torchattacks and foolbox, to the bit; APGD against pyautoattack, by what it achieves."""

import warnings
from math import inf

import pytest
import torch
from oracles import oracle

from cnnlib import weights
from cnnlib.attacks import apgd, cross_entropy, difference_ratio, fgsm, pgd
from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Threat


@pytest.fixture(scope="module")
def model():
    return weights.load("digits_cnn_digits").eval()


@pytest.fixture(scope="module")
def data():
    images, labels = tensors(*sets.load("digits").test)
    return unit_floats(images)[:100], labels[:100]


def by_foolbox(attack, model, data, eps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attack(oracle("foolbox").PyTorchModel(model, bounds=(0, 1), device="cpu"), *data, epsilons=eps)[1]


def same_where_attacked(found, theirs):
    """Those that the model has wrong from the start the others move too."""
    return torch.equal(found.adversarial[found.attacked], theirs[found.attacked]) and found.attacked.sum() > 90


def test_foolbox_leaves_gradients_in_the_weights_where_ours_leaves_none(model, data):
    """As the page of experiments says."""
    model.zero_grad()
    fgsm(model, *data, Threat(inf, 0.1))
    assert all(parameter.grad is None for parameter in model.parameters())
    by_foolbox(oracle("foolbox").attacks.FGSM(), model, data, 0.1)
    assert all(parameter.grad.any() for parameter in model.parameters())
    model.zero_grad()


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.2])
def test_fgsm_is_that_of_torchattacks_to_the_bit(model, data, eps):
    theirs = oracle("torchattacks").FGSM(model, eps=eps)(*data)
    assert same_where_attacked(fgsm(model, *data, Threat(inf, eps)), theirs)


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.2])
def test_fgsm_is_that_of_foolbox_to_the_bit(model, data, eps):
    theirs = by_foolbox(oracle("foolbox").attacks.FGSM(), model, data, eps)
    assert same_where_attacked(fgsm(model, *data, Threat(inf, eps)), theirs)


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.2])
def test_pgd_is_that_of_torchattacks_to_the_bit(model, data, eps):
    theirs = oracle("torchattacks").PGD(model, eps=eps, alpha=eps / 10, steps=20, random_start=False)(*data)
    assert same_where_attacked(pgd(model, *data, Threat(inf, eps), steps=20, step_size=eps / 10), theirs)


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.2])
def test_pgd_is_that_of_foolbox_to_the_bit(model, data, eps):
    attack = oracle("foolbox").attacks.LinfPGD(abs_stepsize=eps / 10, steps=20, random_start=False)
    theirs = by_foolbox(attack, model, data, eps)
    assert same_where_attacked(pgd(model, *data, Threat(inf, eps), steps=20, step_size=eps / 10), theirs)


@pytest.mark.parametrize(("loss", "name"), [(cross_entropy, "ce"), (difference_ratio, "dlr")])
@pytest.mark.parametrize(("norm", "kind", "eps"), [(inf, "Linf", 0.07), (inf, "Linf", 0.1), (2, "L2", 0.5)])
def test_apgd_fools_as_many_as_that_of_pyautoattack(model, data, norm, kind, eps, loss, name):
    """Both begin at a random place, each at its own, and have 100 steps; two points are two of the images."""
    attack = oracle("pyautoattack.autopgd_base").APGDAttack
    found = apgd(model, *data, Threat(norm, eps), loss=loss, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng([]):
        theirs = attack(model, n_iter=100, norm=kind, n_restarts=1, eps=eps, seed=0, loss=name, device="cpu")
        images = theirs.perturb(*data)
    with torch.no_grad():
        fooled = found.attacked & (model(images).argmax(1) != data[1])
    assert 30 < found.success.sum() < found.attacked.sum()  # or the comparison could not fail
    assert found.success.sum() >= fooled.sum() - 2


def test_without_the_others_they_fool_as_many_as_the_others_were_seen_to(model, data):
    """Of the 94 that the network has right: torchattacks' FGSM and PGD fool 49 and 67, pyautoattack's APGD 76."""
    threat = Threat(inf, 0.1)
    assert fgsm(model, *data, threat).success.sum() == 49
    assert pgd(model, *data, threat, steps=20, step_size=0.01).success.sum() == 67
    assert apgd(model, *data, threat, generator=torch.Generator().manual_seed(0)).success.sum() >= 76 - 2
