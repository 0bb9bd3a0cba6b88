"""Attacks and pictures wherever they are called, and of models that work in place or answer by no number."""

from math import inf

import pytest
import torch
from attack_table import CASES, digits, victim
from torch import nn

from cnnlib import attacks, visualize
from cnnlib.inputs import Threat

every_case = pytest.mark.parametrize("name", CASES)


class Dimmed(nn.Module):
    """The network for digits behind pixels that are a tenth darker, made so in place or not."""

    def __init__(self, *, in_place):
        super().__init__()
        self.network, self.in_place = victim(), in_place

    def forward(self, x):
        return self.network(x.mul_(0.9) if self.in_place else 0.9 * x)


@pytest.fixture(scope="module")
def data():
    return digits(8)


@every_case
def test_where_gradients_are_off_it_is_the_same(name, data):
    model, (x, y) = victim(), data
    found = CASES[name].run(model, x, y)
    with torch.no_grad():
        assert torch.equal(CASES[name].run(model, x, y).adversarial, found.adversarial)


@every_case
def test_a_model_that_works_in_place_does_so_on_copies(name, data):
    x, y = data
    before = x.clone()
    found = CASES[name].run(Dimmed(in_place=True), x, y)
    assert torch.equal(x, before)
    expected = CASES[name].run(Dimmed(in_place=False), x, y)
    assert torch.equal(found.success, expected.success)
    assert torch.equal(found.adversarial, expected.adversarial)  # also once the model was asked about them


def test_pictures_of_a_model_that_works_in_place(data):
    x, y = data
    before = x.clone()
    one, other = (Dimmed(in_place=each) for each in (True, False))
    direction = visualize.filter_direction(one)
    for look in (
        lambda model: visualize.saliency(model, x, y),
        lambda model: visualize.grad_cam(model, x, y, "network.network.0"),
        lambda model: visualize.occlusion(model, x, y, window=2),
        lambda model: visualize.activations(model, x, ""),
        lambda model: visualize.loss_line(model, x, y, direction, [0, 0, 1]),
        lambda model: attacks.survival(model, x, y, lambda images, generator: images, count=2),
        lambda model: visualize.randomisation(model, x, y, visualize.saliency)["network.network.0"],
    ):
        assert torch.equal(look(one), look(other))
        assert torch.equal(x, before)


@pytest.mark.parametrize("attack", [attacks.fgsm, attacks.deepfool, attacks.apgd])
def test_inference_mode_is_named_where_a_gradient_is_asked_for(attack, data):
    model, (x, y) = victim(), data
    says = r"x is asked for a gradient in torch.inference_mode\(\), or comes from it"
    with torch.inference_mode():
        made = x.clone()  # also afterwards no gradient is to be had of it
        with pytest.raises(ValueError, match=says):
            attack(model, x, y, Threat(2, 1))
        with pytest.raises(ValueError, match=says):
            visualize.saliency(model, x, y)
        with pytest.raises(ValueError, match=says):
            visualize.grad_cam(model, x, y, "network.0")
        asked = attacks.square(model, x, y, Threat(inf, 0.2), queries=5)  # which needs none
        assert asked.queries.max() > 1
    with pytest.raises(ValueError, match=says):
        attacks.fgsm(model, made, y, Threat(2, 1))


class Broken(nn.Module):
    """Has class 1, whatever it sees, but answers by NaN, which argmax takes for class 0, if a pixel is above a half."""

    def forward(self, x):
        logits = x.flatten(1) + torch.tensor([0.0, 1.0, 0.0, 0.0])
        return torch.where(x.flatten(1).amax(1, keepdim=True) > 0.5, torch.nan, logits)


@pytest.mark.parametrize("name", ["one pixel", "square", "nes", "pgd"])
def test_an_answer_that_is_no_number_is_no_success(name):
    x, y = torch.tensor([[0.1, 0.3, 0.0, 0.0]]).view(1, 1, 2, 2).repeat(3, 1, 1, 1), torch.ones(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"model returns NaN; expected numbers|objective returns .*nan"):
        _ = CASES[name]._replace(threat=Threat(CASES[name].threat.norm, 1)).run(Broken(), x, y).success
    with pytest.raises(ValueError, match="model returns NaN; expected numbers"):
        CASES[name].run(Broken(), x + 0.5, y)


class Rooted(nn.Module):
    """Has finite answers to black, and a gradient there that is not: the root's is infinite, and 0 times that NaN."""

    def forward(self, x):
        return torch.stack([(0 * x.flatten(1)).sum(1), (0 * x.flatten(1).sqrt()).sum(1) - 1], 1)


@pytest.mark.parametrize("norm", [2, inf])
@pytest.mark.parametrize("attack", [attacks.fgsm, attacks.pgd, attacks.apgd])
def test_a_gradient_that_is_no_number_is_named(attack, norm):
    x, y = torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"objective has a gradient of inf or nan|objective returns .*nan"):
        attack(Rooted(), x, y, Threat(norm, 0.1))
    with pytest.raises(ValueError, match="model has a gradient of inf or nan; expected finite numbers"):
        visualize.saliency(Rooted(), x, 1 - y)
