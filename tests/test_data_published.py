"""MNIST and CIFAR-10 themselves, where CNNLIB_DATA holds them; and as tensors."""

import os

import numpy as np
import pytest
from published_sets import ROOT, here

from cnnlib import data


def moments(images):
    """Mean and standard deviation of each channel from 0 to 1, from counts of the 256 values: exact and quick."""
    values = np.arange(256) / 255
    blocks = np.array_split(images, 50)  # bincount makes eight bytes of each
    counts = np.stack(
        [sum(np.bincount(b[:, c].ravel(), minlength=256) for b in blocks) for c in range(images.shape[1])]
    )
    mean = counts @ values / counts.sum(1)
    return mean, np.sqrt(counts @ values**2 / counts.sum(1) - mean**2)


@here
@pytest.mark.parametrize(
    ("load", "shape", "mean", "std"),
    [
        (data.mnist, (60_000, 1, 28, 28), data.MNIST_MEAN, data.MNIST_STD),
        (data.cifar10, (50_000, 3, 32, 32), data.CIFAR10_MEAN, data.CIFAR10_STD),
    ],
)
def test_the_training_images_have_the_moments_that_the_constants_say(load, shape, mean, std):
    images, labels = load("train")
    assert images.shape == shape
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert labels.shape == shape[:1]
    assert labels.dtype == np.int64
    for found, constant in zip(moments(images), (mean, std), strict=True):
        assert tuple(np.round(found, 4)) == constant


@here
def test_the_counts_of_the_labels():
    train, test = (data.mnist(part)[1] for part in ("train", "test"))
    assert np.bincount(train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(data.cifar10("train")[1]).tolist() == [5000] * 10
    assert np.bincount(data.cifar10("test")[1]).tolist() == [1000] * 10


@here
def test_the_first_images_are_what_they_are_known_to_be():
    images, labels = data.mnist("test")
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert images[0, 0, 7, 6:16].tolist() == [84, 185, 159, 151, 60, 36, 0, 0, 0, 0]  # the bar of the seven
    images, labels = data.cifar10("test")
    assert [data.CIFAR10_CLASSES[label] for label in labels[:4]] == ["cat", "ship", "ship", "airplane"]
    assert images[0, :, 0, 0].tolist() == [158, 112, 49]
    with open(os.path.join(ROOT, "cifar-10-batches-bin", "batches.meta.txt")) as file:
        assert tuple(file.read().split()) == data.CIFAR10_CLASSES


def test_tensors_keep_types_and_share_memory():
    torch = pytest.importorskip("torch")
    images, labels = np.zeros((3, 1, 2, 2), np.uint8), np.arange(3)
    x, y = data.tensors(images, labels)
    assert (x.dtype, y.dtype, x.shape) == (torch.uint8, torch.int64, (3, 1, 2, 2))
    images[1] = 9
    assert x[1].eq(9).all()
    x, _ = data.tensors(images[::-1], labels)  # torch has no negative strides: these are copied
    assert x[1].eq(9).all()
    with pytest.raises(ValueError, match="labels has 2 entries; expected one for each of the 3 images"):
        data.tensors(images, labels[:2])
