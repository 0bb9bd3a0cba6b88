"""DeepFool, Carlini–Wagner and L-BFGS against foolbox: what they find, and how far away."""

import warnings
from math import inf

import pytest
import torch
from oracles import oracle

from cnnlib import weights
from cnnlib.attacks import carlini_wagner, deepfool, lbfgs
from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Threat

FAR = 99.0


@pytest.fixture(scope="module")
def foolbox():
    return oracle("foolbox")


@pytest.fixture(scope="module")
def model():
    return weights.load("digits_cnn_digits").eval()


@pytest.fixture(scope="module")
def data():
    images, labels = tensors(*sets.load("digits").test)
    return unit_floats(images)[:60], labels[:60]


def by(foolbox, attack, model, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attack(foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilons=None)[0]


@pytest.mark.parametrize(("norm", "attack"), [(2, "L2DeepFoolAttack"), (inf, "LinfDeepFoolAttack")])
@pytest.mark.parametrize("options", [{}, {"overshoot": 0.1}, {"steps": 5}])
def test_deepfool_is_that_of_foolbox(foolbox, model, data, norm, attack, options):
    theirs = by(foolbox, getattr(foolbox.attacks, attack)(**options), model, *data)
    found = deepfool(model, *data, Threat(norm, FAR), **options)
    assert found.success.sum() > 5
    torch.testing.assert_close(found.adversarial[found.success], theirs[found.success], rtol=0, atol=1e-6)
    missed = found.attacked & ~found.success  # where foolbox, out of steps, returns what does not fool either
    assert (model(theirs[missed]).argmax(1) == data[1][missed]).all()


@pytest.mark.parametrize("stepsize", [0.01, 0.1])
def test_carlini_wagner_and_lbfgs_come_as_near_as_foolbox(foolbox, model, data, stepsize):
    x, y = data
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=6, steps=60, stepsize=stepsize)
    theirs = by(foolbox, attack, model, x, y)
    for ours in (carlini_wagner(model, x, y, Threat(2, FAR), steps=60, rounds=6), lbfgs(model, x, y, Threat(2, FAR))):
        fooled = ours.attacked & (model(theirs).argmax(1) != y)
        assert ours.success.sum() >= fooled.sum() > 20
        both = fooled & ours.success
        away = (theirs - x).flatten(1).norm(dim=1)
        assert ours.l2[both].mean() <= 1.05 * away[both].mean()
