"""Wong and Kolter's network: counts, shapes, how its weights are drawn, and what it refuses."""

import pytest
import torch
from model_tables import assert_drawn_by_seed, assert_gradients_reach_everything, macs, on_meta, outputs, parameters
from torch.nn import functional as F

from cnnlib.models import build, wong_kolter


def test_parameters_and_arithmetic_by_hand():
    by_layer = [16 * 16 + 16, 32 * 16 * 16 + 32, 1568 * 100 + 100, 100 * 10 + 10]
    model = on_meta(wong_kolter)
    assert [parameters(layer) for layer in model if parameters(layer)] == by_layer
    assert parameters(model) == sum(by_layer) == 166_406
    assert macs(model, (1, 1, 28, 28)) == 14**2 * 16 * 16 + 7**2 * 32 * 16 * 16 + 1568 * 100 + 100 * 10


def test_each_convolution_halves_the_image():
    shapes = outputs(on_meta(wong_kolter), (1, 1, 28, 28))
    assert [shapes[name] for name in "0245"] == [(16, 14, 14), (32, 7, 7), (1568,), (100,)]
    assert shapes["7"] == (10,)


def test_weights_are_drawn_by_the_seed_for_relus():
    model = assert_drawn_by_seed(wong_kolter)
    spread = model[5].weight.std() * (1568 / 2) ** 0.5
    assert spread.item() == pytest.approx(1, rel=0.02)
    assert not any(layer.bias.any() for layer in model if parameters(layer))
    x = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert_gradients_reach_everything(model, F.cross_entropy(model(x), torch.arange(8)))


def test_other_images_are_refused():
    with pytest.raises(ValueError, match=r"x has shape \(1, 1, 32, 32\); expected \(N, 1, 28, 28\)"):
        wong_kolter()(torch.zeros(1, 1, 32, 32))
    assert build("wong_kolter", num_classes=3, in_channels=2)(torch.zeros(4, 2, 28, 28)).shape == (4, 3)
