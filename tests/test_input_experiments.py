"""The parts of experiments on inputs that are not in the library, against closed forms."""

import os
from math import inf

import numpy as np
import pytest
import torch
from torch import nn

from cnnlib import weights
from cnnlib.attacks import fgsm, fool_linear
from cnnlib.command import on_images
from cnnlib.data import sets, tensors
from cnnlib.data.sets import DataSet
from cnnlib.defend import Adversary
from cnnlib.evaluate import unit_floats
from cnnlib.inputs import Threat
from experiments import dimension, error_by_epsilon, minimal_norms, price
from tools.experiments import results


@pytest.fixture
def linear():
    """A linear network of two classes, images (N, 1, 6, 6) far from the ends of the box, and what it says of them."""
    draws = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(2, 36, generator=draws))
        model[1].bias.copy_(-model[1].weight.sum(1) / 2)
        x = 0.45 + 0.1 * torch.rand(20, 1, 6, 6, generator=draws)
        return model, x, model(x).argmax(1)


@pytest.mark.parametrize("norm", [2, inf])
@pytest.mark.parametrize("steps", [1, 20])
def test_the_least_epsilon_of_an_attack_is_that_of_the_closed_form(linear, norm, steps):
    model, x, y = linear
    weight, bias = (parameter.detach() for parameter in model.parameters())
    _, least = fool_linear(weight, bias, x.flatten(1), y, norm=norm)
    found = minimal_norms.by_size(model, x, y, Threat(norm, 10), steps=steps)
    assert found.success.all()
    sizes = found.l2 if norm == 2 else found.linf
    assert (sizes >= least * (1 - 1e-4)).all()
    near = least < 0.001  # there more of the nine rounds go into powers of ten; six halvings leave 10^(1/64)
    assert near.sum() < 3
    assert (sizes <= least * 1.037)[~near].all()


def test_a_random_direction_is_one_for_all_images_and_goes_farther(linear):
    model, x, y = linear
    found = minimal_norms.by_size(model, x, y, Threat(2, 10), steps=0, generator=torch.Generator().manual_seed(1))
    signed = minimal_norms.by_size(model, x, y, Threat(2, 10), steps=1)
    assert (found.l2 > 2 * signed.l2)[found.success].all()
    changes = (found.adversarial - x).flatten(1)[found.success & (found.l2 < 0.4)]  # that no end of the box has cut
    assert len(changes) > 1
    assert (torch.cosine_similarity(changes, changes[:1]) > 0.999).all()


def test_the_scaled_gradient_moves_one_pixel_by_epsilon_and_the_others_in_proportion(linear):
    model, x, y = linear
    found = error_by_epsilon.scaled_gradient(model, x, y, Threat(inf, 0.01))
    assert found.linf.numpy() == pytest.approx(0.01, abs=1e-6)
    slope = model[1].weight[1] - model[1].weight[0]
    along = torch.cosine_similarity((found.adversarial - x).flatten(1), slope[None])
    assert along.abs().detach().numpy() == pytest.approx(1, abs=1e-4)
    assert ((along > 0) == (y == 0)).all()


def test_half_of_the_pixels_hardly_move_along_a_gradient():
    x, y = tensors(*sets.load("digits").test)
    model = weights.load("digits_cnn_digits")
    found = error_by_epsilon.scaled_gradient(model, x, y, Threat(inf, 0.1, box=(-9.0, 9.0)))
    moved = (found.adversarial - x)[found.attacked].flatten(1).abs() / 0.1
    assert moved.median(1).values.median() < 1 / 6  # as book/input_experiments.md says


@pytest.mark.parametrize("side", [7, 14, 28, 56])
def test_a_grid_keeps_what_is_even_and_the_mean(side):
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    seen = dimension.Grid(side)(x)
    assert seen.shape == (2, 1, side, side)
    assert torch.allclose(dimension.Grid(side)(torch.full_like(x, 0.3)), torch.tensor(0.3))
    if side <= 28:
        assert torch.allclose(seen.mean((1, 2, 3)), x.mean((1, 2, 3)), atol=1e-6)


def test_the_nearest_mistakes_are_those_of_the_network_behind_its_normalisation():
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (101, 1, 28, 28), dtype=np.uint8)
    net = nn.Sequential(dimension.Grid(28), nn.Flatten(), nn.Linear(784, 2))
    data = DataSet((images, np.zeros(101, np.int64)), (images, np.zeros(101, np.int64)), (0.4,), (0.3,))
    row = dimension.nearest(net, data, 0, right=False)
    assert row["judged"] == 101
    model, x = on_images(net, data, ""), torch.from_numpy(images) / 255
    y = model(x).argmax(1)
    for factor, more in ((0.99, False), (1.01, True)):  # one step is exact here: two classes, no end of the box
        threat = Threat(inf, factor * float(row["linf"]), box=(-9.0, 9.0))
        assert (fgsm(model, x, y, threat).success.sum() > 50) == more


def test_noise_is_as_large_as_an_attack_of_the_same_training():
    x, y = torch.full((50, 1, 8, 8), 0.5), torch.zeros(50, dtype=torch.int64)
    model, draws = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), torch.Generator().manual_seed(0)
    noise, attack = price.adversary("noise", 0.2, 100), price.adversary("PGD", 0.2, 100)
    assert isinstance(attack, Adversary)
    assert price.adversary("plain", 0.0, 100) is None
    for step, eps in ((0, 0.004), (24, 0.1), (60, 0.2)):
        for change in (noise, attack):
            assert (change(model, x, y, draws, step) - x).abs().max().item() == pytest.approx(eps, rel=0.01)


@pytest.mark.parametrize("name", [*error_by_epsilon.PLAIN.values(), *error_by_epsilon.TRAINED.values()])
def test_the_rows_are_about_the_networks_that_are_shipped(name):
    data = weights.provenance(name)["data"]
    if data != "digits" and not os.environ.get("CNNLIB_DATA"):
        pytest.skip("CNNLIB_DATA is not set")
    images, labels = tensors(*sets.load(data).test)
    x, y, model = unit_floats(images), labels, weights.load(name)
    x, y = (tensor[: error_by_epsilon.IMAGES[data]] for tensor in (x, y))
    rows = [row for row in results("error_by_epsilon") if (row["network"], row["attack"]) == (name, "FGSM")]
    assert len(rows) == len(error_by_epsilon.EPS[data])
    for row in rows:
        found = fgsm(model, x, y, Threat(inf, float(row["eps"])))
        assert abs((found.success | ~found.attacked).double().mean() - float(row["error"])) <= 2 / len(x)
