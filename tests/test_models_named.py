"""What every network that has a name promises: options and images checked, copies that are the network itself."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch

from cnnlib import models

IMAGES = {"digits_cnn": (1, 8), "lenet5": (1, 28), "lenet5_1998": (1, 32), "alexnet": (3, 227), "wong_kolter": (1, 28)}
IMAGES["alexnet_one_tower"] = IMAGES["alexnet"]
SMALL = ["digits_cnn", "lenet5", "lenet5_1998", "wong_kolter", "resnet20", "vit_cifar", "coatnet_cifar", "all_cnn_c"]
BAD = {"num_classes": [0, True, "3"], "in_channels": [0, None], "seed": [-1, 2**64]}


def on_meta(name, **options):
    with torch.device("meta"):
        return models.NAMED[name](**options)


def image(name):
    """Return the channels and the side of a network's images: 224 pixels of ImageNet's or 32 of CIFAR's, mostly."""
    classes = inspect.signature(models.NAMED[name]).parameters["num_classes"].default
    return IMAGES.get(name, (3, 224 if classes == 1000 else 32))


@pytest.mark.parametrize("name", models.NAMED)
def test_options_are_checked_by_name(name):
    for option, values in BAD.items():
        for value in values:
            with pytest.raises(ValueError, match=f"{option} is "):
                on_meta(name, **{option: value})
    channels, side = image(name)
    model = on_meta(name, num_classes=np.int64(1), in_channels=np.uint8(channels + 1), seed=np.int32(7))
    assert model(torch.zeros(2, channels + 1, side, side, device="meta")).shape == (2, 1)


@pytest.mark.parametrize("name", models.NAMED)
def test_images_are_checked(name):
    model, (channels, side) = on_meta(name), image(name)
    for shape in ((2, channels + 1, side, side), (channels, side, side), (2, channels * side * side)):
        x = torch.zeros(shape, device="meta")
        with pytest.raises(ValueError, match=r"x has shape .*; expected \(N, "):
            model(x)
        with pytest.raises(ValueError, match=r"x has shape .*; expected \(N, "):
            model(**{next(iter(inspect.signature(model.forward).parameters)): x})


@pytest.mark.parametrize("name", SMALL)
def test_copies_are_the_network(name):
    channels, side = image(name)
    model, other = models.NAMED[name](seed=3).eval(), models.NAMED[name](seed=4).eval()
    x = torch.randn(3, channels, side, side, generator=torch.Generator().manual_seed(0))
    y = model(x)
    assert not torch.equal(other(x), y)
    other.load_state_dict(model.state_dict())
    for copied in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(copied(x), y)
        with pytest.raises(ValueError, match="x has shape"):
            copied(x[0])
    assert model(x[:0]).shape == (0, 10)
    double = copy.deepcopy(model).double()(x.double())
    torch.testing.assert_close(double, y.double(), rtol=1e-4, atol=1e-4)
