"""The weights that come with the package do what their provenance says, in torch and in NumPy."""

import os

import numpy as np
import pytest
import torch

from cnnlib import nn_numpy, weights
from cnnlib.attacks import pgd
from cnnlib.data import sets, tensors
from cnnlib.evaluate import evaluate, unit_floats
from experiments.harness import RESULTS, read
from experiments.robust_networks import NAMES, threat
from tools.weights import RECIPES, ROBUST, arguments

TWINS = {"digits_cnn": nn_numpy.digits_cnn, "lenet5": nn_numpy.lenet5, "resnet20": nn_numpy.resnet20}


def test_together_they_are_small():
    files = list(weights.SHIPPED.iterdir())
    assert {path.stem for path in files} == set(weights.names())
    assert sum(path.stat().st_size for path in files) < 4e6


@pytest.mark.parametrize("name", weights.names())
def test_provenance_is_complete_and_of_the_recipe(name):
    made = weights.provenance(name)
    assert name.removesuffix(ROBUST) == f"{made['model']}_{made['data']}"
    assert made["command"] == f"python -m cnnlib.train {' '.join(arguments(name, made['seed']))}"
    assert RECIPES[name] in made["command"]
    assert made["seed"] == 0
    stored = weights.arrays(name)
    assert made["numbers_stored"] == sum(value.size for value in stored.values())
    assert {str(value.dtype) for value in stored.values()} == {"float32"}


def images_of(made):
    """The test images and labels; skips where they would have to be downloaded."""
    if made["data"] != "digits" and not os.environ.get("CNNLIB_DATA"):
        pytest.skip(f"{made['data']} is looked for under CNNLIB_DATA, which is not set")
    return tensors(*sets.load(made["data"]).test)


@pytest.mark.parametrize("name", weights.names())
def test_the_score_is_what_the_provenance_says(name):
    made = weights.provenance(name)
    result = evaluate(weights.load(name), *images_of(made))
    assert result.confusion.sum() == made["test_images"]
    assert result.accuracy == pytest.approx(
        made["test_accuracy"], abs=2.01 / made["test_images"]
    )  # rounding may differ


@pytest.mark.parametrize("name", [name for name in weights.names() if weights.provenance(name)["model"] in TWINS])
def test_numpy_takes_them_and_gives_the_same_logits(name):
    made = weights.provenance(name)
    ours = TWINS[made["model"]](np.random.default_rng(0)).astype("float32")
    nn_numpy.load(ours, weights.arrays(name))
    ours.eval()
    size = {"digits": 8, "mnist": 28, "cifar10": 32}[made["data"]]
    x = np.random.default_rng(1).random((4, len(made["mean"]), size, size), dtype=np.float32)
    with torch.no_grad():
        theirs = weights.load(name)(torch.from_numpy(x)).numpy()
    mean, std = (np.array(made[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    np.testing.assert_allclose(ours.forward((x - mean) / std), theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("network", "taken", "epochs", "trials"),
    [
        ("resnet20 cifar10", "--lr 0.2", 4, 4),
        ("coatnet_cifar cifar10", "--lr 0.004", 4, 4),
        ("lenet5 mnist", "--lr 0.05 --augment shift", 10, 8),
        ("lenet5 mnist", "--lr 0.05 --augment shift --epochs 40", 40, 3),
    ],
)
def test_no_options_did_better_on_held_out_images_than_by_chance(network, taken, epochs, trials):
    assert set(taken.split()) <= set(RECIPES[network.replace(" ", "_")].split())
    rows = [row for row in read(RESULTS / "recipes.csv") if (row["network"], row["epochs"]) == (network, str(epochs))]
    right = {row["trial"]: float(row["validation_accuracy"]) for row in rows}
    best = max(right.values())
    assert len(right) == trials
    assert right[taken] > best - 2 * (best * (1 - best) / 5000) ** 0.5


@pytest.mark.parametrize("name", weights.names())
def test_two_more_seeds_are_reported(name):
    assert weights.provenance(name)["test_accuracy_of_other_seeds"].keys() == {"1", "2"}


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [("lenet5_mnist", 0.992), ("lenet5_1998_mnist", 0.989), ("resnet20_cifar10", 0.92)],
)
def test_the_score_is_what_was_asked_for(name, accuracy):
    assert weights.provenance(name)["test_accuracy"] >= accuracy


def test_a_shipped_network_takes_pixels_from_0_to_1_and_is_ready_for_use():
    for name in weights.names():
        model = weights.load(name)
        assert not any(module.training for module in model.modules())
        assert [child for child, _ in model.named_children()] == ["normalise", "network"]


def test_those_trained_against_an_attack_are_known_and_small():
    assert {name for name in weights.names() if name.endswith(ROBUST)} == set(NAMES)
    assert sum((weights.SHIPPED / f"{name}.npz").stat().st_size for name in NAMES) < 2e6


@pytest.mark.parametrize("name", NAMES)
def test_under_a_short_attack_they_keep_at_least_what_they_are_said_to_keep_under_long_ones(name):
    """And the network of the same data that was trained without one keeps next to nothing."""
    made = weights.provenance(name)
    x, y = (tensor[:: 1 if made["data"] == "digits" else 50] for tensor in images_of(made))
    plain = {"digits": "digits_cnn_digits", "mnist": "lenet5_mnist"}[made["data"]]
    found, other = (pgd(weights.load(n), unit_floats(x), y, threat(name), steps=10) for n in (name, plain))
    kept, kept_by_other = ((f.attacked & ~f.success).double().mean().item() for f in (found, other))
    assert found.rounded_success.sum() >= 0.8 * found.success.sum()
    assert kept >= min(said["accuracy"] for said in made["robust"])
    assert kept_by_other < 0.1
