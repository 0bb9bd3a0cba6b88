"""The images that come with the package, and what they are licensed by."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from cnnlib import data
from cnnlib.data import sets
from cnnlib.data.included import ASSETS


def test_the_digits_are_those_of_uci():
    images, labels = data.digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float64
    assert labels.dtype == np.int64
    assert np.array_equal(np.unique(images * 16), np.arange(17))
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    sums = (images * 16).reshape(1797, 64) @ np.arange(1, 65)
    assert hashlib.sha256(sums.astype("<i8").tobytes()).hexdigest()[:16] == "e8cd70febe486c53"


def test_a_split_is_a_partition_by_class_and_depends_on_its_generator_alone():
    _, labels = data.digits()
    train, test = data.split(labels, 0.2, np.random.default_rng(0))
    assert sorted([*train, *test]) == list(range(1797))
    assert abs(len(test) - 1797 / 5) < 5
    for label in range(10):
        assert round(0.2 * (labels == label).sum()) == (labels[test] == label).sum()
    np.random.seed(1)  # noqa: NPY002 — the global state must not matter
    again = data.split(labels, 0.2, np.random.default_rng(0))
    assert np.array_equal(train, again[0])
    assert not np.array_equal(train, data.split(labels, 0.2, np.random.default_rng(1))[0])


@pytest.mark.parametrize("labels", [np.eye(3), np.eye(3, dtype=int), np.array([0.0, 1.0]), np.array([], int), [0, 1]])
def test_bad_labels_are_named(labels):
    with pytest.raises(ValueError, match=r"labels is .*; expected integers of shape"):
        data.split(labels, 0.5, np.random.default_rng(0))


@pytest.mark.parametrize("held_out", [0, 1, -0.5, 20])
def test_a_bad_fraction_is_named(held_out):
    with pytest.raises(ValueError, match=f"held_out is {held_out}; expected a fraction"):
        data.split(np.zeros(4, int), held_out, np.random.default_rng(0))


def test_the_photograph_of_the_chapters_has_not_changed():
    image = data.photo("chelsea")
    assert image.shape == (200, 300, 3)
    digest = hashlib.sha256(image.astype("<f8").tobytes()).hexdigest()
    assert digest == "452a877418d3430909bb78d8b80250789dd24a22558caa1f3b25820d07d9932a"


def test_every_photograph_is_small_whole_and_documented():
    images = data.photos()
    shapes = {"astronaut": (256, 256), "chelsea": (200, 300), "china": (214, 320), "coffee": (213, 320)}
    assert {name: image.shape for name, image in images.items()} == {
        name: (*shape, 3) for name, shape in {**shapes, "flower": (214, 320), "rocket": (214, 320)}.items()
    }
    licences = (ASSETS / "LICENCES.md").read_text()
    for name, image in images.items():
        assert image.dtype == np.float64
        assert 0 <= image.min() < 0.1
        assert 0.7 < image.max() <= 1
        assert f"`{name}.npz`" in licences
        assert np.array_equal(image, data.photo(name))
    stored = [path.stat().st_size for path in ASSETS.glob("*.npz")]
    assert max(stored) < 400_000
    assert sum(stored) < 1_500_000


def test_the_photographs_have_the_colours_that_they_show():
    red, green, blue = data.photo("flower")[100:110, 150:160].mean((0, 1))
    assert red > green > blue  # a dahlia of orange
    red, green, blue = data.photo("rocket")[:40, 60:100].mean((0, 1))
    assert blue > green > red  # an evening sky


def test_an_unknown_photograph_is_named():
    with pytest.raises(ValueError, match="name is 'dog'; expected one of 'astronaut', 'chelsea'"):
        data.photo("dog")


def test_importing_the_data_loads_nothing_heavy():
    heavy = "torch", "pooch", "requests", "matplotlib", "PIL"
    code = f"import sys, cnnlib.data; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_mean_and_deviation_of_the_digits_are_those_of_the_training_images():
    digits = sets.load("digits")
    assert [round(float(digits.train[0].mean()), 4)] == list(digits.mean)
    assert [round(float(digits.train[0].std()), 4)] == list(digits.std)
