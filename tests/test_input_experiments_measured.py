"""The experiments on inputs measure what they say, where the answer is known."""

import doctest
from math import inf, log

import numpy as np
import pytest
import torch
from torch import nn

from cnnlib import weights
from cnnlib.data import sets
from cnnlib.inputs import Threat
from experiments import (
    attribution_labels,
    attribution_located,
    attribution_randomised,
    certified,
    few_pixels,
    images,
    landscapes,
    patch,
    physical,
    universal,
)


def linear(weight, bias):
    """Return a network of two classes for grey images of 2 × 2: the second where weight · x + bias is above 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.zeros(4), torch.tensor(weight)]))
        model[1].bias.copy_(torch.tensor([0.0, bias]))
    return model


@pytest.fixture
def small(monkeypatch):
    """Let CIFAR-10 be a few images of noise, and its network a small one that has half of them right."""
    generator = np.random.default_rng(0)
    pixels, labels = generator.integers(0, 256, (80, 3, 32, 32), dtype=np.uint8), np.arange(80) % 10
    data = sets.DataSet((pixels[:40], labels[:40]), (pixels[40:], labels[40:]), (0.5,) * 3, (0.25,) * 3)
    monkeypatch.setattr(sets, "load", lambda name: data)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)).eval()
    x, y = images.first_images("cifar10", "test", 40)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    for module in (universal, patch, physical, attribution_randomised):
        monkeypatch.setattr(module.weights, "load", lambda name: model)
    return model


@pytest.mark.parametrize("module", [images, landscapes])
def test_examples_hold(module):
    assert doctest.testmod(module).failed == 0


def test_everything_counts_the_ways_of_one_pixel():
    model, threat = linear([1.0, 2.0, 0.0, 0.0], -1.1), Threat(0, 1, levels=5)
    x = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.5, 0.25, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]).view(3, 1, 2, 2)
    y = torch.tensor([0, 0, 0])
    # of the first, the second pixel at 0.75 or 1; of the second, 0.5 or more there or 0.75 or more in the first
    assert few_pixels.everything(model, x, y, threat).tolist() == [2, 5, 0]


def test_luck_and_evolution_ask_as_often(monkeypatch):
    monkeypatch.setitem(few_pixels.IMAGES, "digits", 5)
    rows = {s["search"]: few_pixels.measure(s, None)[0] for s in few_pixels.SETTINGS[:3]}
    assert {row["images"] for row in rows.values()} == {5}
    assert rows["evolution"]["queries"] == rows["luck"]["queries"] == 800
    found = {search: set(row["which"].split()) for search, row in rows.items()}
    assert found["evolution"] <= found["everything"] >= found["luck"]
    assert all(0 < int(ways) < 1088 for ways in rows["everything"]["ways"].split())


def test_smoothed_answers_with_mean_probabilities():
    model = linear([8.0, 0.0, 0.0, 0.0], -4.0)
    smoothed = certified.Smoothed(model, 1e-6, torch.Generator().manual_seed(0))
    x = torch.rand(3, 1, 2, 2)
    assert torch.allclose(smoothed(x), model(x).log_softmax(1), atol=1e-4)
    many = certified.Smoothed(model, 0.25, torch.Generator().manual_seed(0), views=20_000)
    half = torch.tensor([0.5, 0.0, 0.0, 0.0]).view(1, 1, 2, 2)
    assert many(half).exp().flatten().tolist() == pytest.approx([0.5, 0.5], abs=0.02)


def test_every_image_is_attacked_also_what_the_first_votes_have_wrong():
    model = linear([8.0, 0.0, 0.0, 0.0], -4.0)
    x, y = torch.rand(6, 1, 2, 2) / 2, torch.tensor([0, 1, 0, 1, 0, 1])  # all of class 0
    moved = certified.climbed(certified.Smoothed(model, 0.25, torch.Generator().manual_seed(0)), x, y)
    change = (moved - x)[:, 0, 0, 0]
    assert ((change > 0) == (y == 0)).all()
    assert (change != 0).all()
    assert (moved - x).flatten(1).norm(dim=1).max() <= 0.25 + 1e-6


def test_no_radius_is_above_the_ceiling(monkeypatch):
    monkeypatch.setattr(certified, "IMAGES", 6)
    monkeypatch.setattr(certified, "network", lambda data, noise, seed: weights.load("digits_cnn_digits"))
    (row,) = certified.measure({"data": "digits", "training": "plain", "sigma": 0.25, "seed": 0}, None)
    radii = [float(radius) for radius in row["radii"].split()]
    assert len(radii) == 6
    assert 0.2 < max(radii) <= 0.25 * certified.CEILING + 1e-3
    assert float(row["certified"]) <= float(row["withstand_direction"]) <= 1
    assert abs(certified.CEILING - 2.46326) < 1e-5  # Φ⁻¹(0.001^(1/1000))


def test_one_change_for_all_is_within_its_size_and_judged_on_others(small, monkeypatch):
    monkeypatch.setattr(universal, "FITTED_ON", 40)
    monkeypatch.setattr(universal, "JUDGED_ON", 40)
    (row,) = universal.measure({"perturbation": "universal", "eps": 20, "seed": 0}, None)
    x, y = images.first_images("cifar10", "test", 40)
    assert row["test_images"] == int((small(x).argmax(1) == y).sum())
    taken = sum(map(int, row["test_taken_for"].split()))
    assert float(row["test_fooled"]) == pytest.approx(taken / row["test_images"], abs=1e-4)


def test_stickers_are_put_on_images_of_other_classes(small, monkeypatch):
    monkeypatch.setattr(patch, "FITTED_ON", 20)
    monkeypatch.setattr(patch, "JUDGED_ON", 20)
    x, y = patch.others("test", 20, 6)
    assert len(x) == 20
    assert 6 not in y
    rows = [patch.measure(setting, None)[0] for setting in patch.SETTINGS[1:3]]  # the picture, and random colours
    assert all(len(bytes.fromhex(row["pixels"])) == 3 * 10 * 10 for row in rows)
    assert rows[0]["pixels"] != rows[1]["pixels"]


def test_stretched_changes_are_as_large_as_allowed():
    x = torch.full((2, 1, 2, 2), 0.5)
    change = torch.tensor([[0.01, -0.005, 0, 0], [0, 0, 0, 0]]).view(2, 1, 2, 2)
    found = physical.stretched(x, x + change) - Threat(inf, 0).rounded(x)
    assert found.abs().amax((1, 2, 3)).tolist() == pytest.approx([8 / 255, 0], abs=1.01 / 255)
    assert found[0, 0, 0, 0] > 0 > found[0, 0, 0, 1]


def test_what_is_unchanged_is_destroyed_nowhere(small, monkeypatch):
    monkeypatch.setattr(physical, "COUNT", 3)
    for kept in (physical.subject, physical.unchanged, physical.nearest):
        kept.cache_clear()
    nothing, signs = (physical.measure({"attack": name, "seed": 0}, None)[0] for name in ("nothing", "random signs"))
    assert (nothing["fooled"], nothing["l2"], nothing["print_destroyed"]) == ("0.0000", "0.0000", "")
    assert signs["linf"] == f"{8 / 255:.4f}"
    before = physical.unchanged("print", 0).double().mean().item()
    assert float(nothing["print_fooled"]) == pytest.approx(1 - before, abs=1e-4)
    for kept in (physical.subject, physical.unchanged, physical.nearest):
        kept.cache_clear()


def test_randomised_rows_have_a_correlation_for_every_layer(small, monkeypatch):
    monkeypatch.setattr(attribution_randomised, "IMAGES", 4)
    (row,) = attribution_randomised.measure({"method": "saliency", "seed": 0}, None)
    by_layer = row["by_layer"].split()
    assert len(by_layer) == 2  # convolution and linear layer
    assert (row["halfway"], row["at_the_end"]) == tuple(by_layer)


def test_shuffled_labels_are_those_of_the_same_images(monkeypatch):
    told = {}
    monkeypatch.setattr(attribution_labels, "TRAIN_SHAPES", 64)
    monkeypatch.setattr(attribution_labels, "EPOCHS", 1)

    def fit(network, data, *, seed, **_):
        told[len(told)] = data.train
        return network, None

    monkeypatch.setattr(attribution_labels, "fit", fit)
    for labels in ("theirs", "shuffled"):
        attribution_labels.learned.__wrapped__(labels, 0)
    assert np.array_equal(told[0][0], told[1][0])
    assert not np.array_equal(told[0][1], told[1][1])
    assert np.array_equal(np.bincount(told[0][1]), np.bincount(told[1][1]))


@pytest.mark.parametrize(("labels", "alike"), [("theirs", 1.0), ("shuffled", -1.0)])
def test_maps_are_compared_with_those_of_the_next_seed(labels, alike, monkeypatch):
    asked = []

    def learned(which, seed):
        asked.append((which, seed))
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
        model.upright = which == "theirs"
        return model, 0.75

    monkeypatch.setattr(attribution_labels, "learned", learned)
    monkeypatch.setattr(attribution_labels, "method_of", lambda *_: lambda model, x, y: x if model.upright else 1 - x)
    (row,) = attribution_labels.measure({"labels": labels, "method": "saliency", "seed": 2}, None)
    assert asked == [("theirs", 2), (labels, 0)]
    assert float(row["alike"]) == pytest.approx(alike)
    assert row["known"] == "0.7500"


@pytest.mark.parametrize(("method", "expected"), [("of the object", 1.0), ("nothing", None), ("everywhere", None)])
def test_the_share_on_objects_is_that_of_known_maps(method, expected, monkeypatch):
    made = attribution_located.shapes(attribution_located.SHAPES, seed=2)
    masks = torch.from_numpy(made.masks)[:, None].float()
    maps = {"of the object": -masks, "nothing": 0 * masks, "everywhere": torch.ones_like(masks)}[method]
    answers = nn.functional.one_hot(torch.from_numpy(made.labels)).float()
    monkeypatch.setattr(attribution_located, "located", lambda which, seed: lambda x: answers)
    monkeypatch.setattr(attribution_located, "method_of", lambda name, last: lambda model, x, y: maps)
    (row,) = attribution_located.measure({"network": "trained", "method": method, "seed": 0}, None)
    assert row["images"] == attribution_located.SHAPES
    assert float(row["share"]) == pytest.approx(float(row["area"]) if expected is None else expected, abs=1e-4)


def test_widths_and_bends_of_known_lines():
    d = np.array(landscapes.places(landscapes.LINE))
    level = log(10) / 2
    assert landscapes.half_width((abs(d) * level / 0.6).tolist()) == pytest.approx(0.6)
    assert landscapes.half_width([0.0] * landscapes.LINE) == landscapes.REACH
    assert landscapes.bends((d**2).tolist()) == 0
    assert landscapes.bends((-(d**2)).tolist()) == 1
