"""Layers by name, filters, and the patches that excite them."""

import pytest
import torch
from attack_table import Mixed, digits, victim
from model_state import Breaks, state
from torch import nn

from cnnlib import visualize, weights
from cnnlib.visualize.layers import reading


def images(n=12, channels=3, size=8):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1))


def test_activations_are_those_of_the_layer_even_where_the_next_works_in_place():
    model, x = Mixed(), images()
    found = visualize.activations(model, x, "norm", batch_size=5)
    with torch.no_grad():
        expected = model.norm(model.conv(x))
        logits = model.eval()(x)
    torch.testing.assert_close(found, expected)
    assert (found < 0).any()  # what the ReLU would have taken away
    assert not found.requires_grad
    assert torch.equal(visualize.activations(model, x, ""), logits)


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.twice, self.never, self.pair = nn.ReLU(), nn.ReLU(), Pair()

    def forward(self, x):
        return self.pair(self.twice(self.twice(x)))[0].flatten(1)


class Aside(nn.Module):
    def __init__(self):
        super().__init__()
        self.aside, self.out = nn.Conv2d(3, 2, 3), nn.Flatten()

    def forward(self, x):
        self.aside(x)
        return self.out(x)


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("twicce", "layer is 'twicce'; expected the name of a module: 'twice', 'never', 'pair', ''"),
        ("xyz", "layer is 'xyz'; expected the name of a module: 'twice', 'never', 'pair', ''"),
        ("twice", "layer is 'twice', called several times for the same images; expected one called once"),
        ("never", "layer is 'never', which the model does not call"),
        ("pair", "layer is 'pair', which puts out tuple; expected a tensor"),
    ],
)
def test_a_layer_that_cannot_be_read_is_named(layer, says):
    model = Odd()
    before = state(model)
    with pytest.raises(ValueError, match=says):
        visualize.activations(model, images(), layer)
    assert state(model) == before


def test_of_no_images_there_are_no_answers():
    assert visualize.activations(Mixed(), images()[:0], "conv").shape == (
        0,
        *visualize.activations(Mixed(), images(), "conv").shape[1:],
    )


def test_other_bad_input_is_named():
    x = images()
    with pytest.raises(TypeError, match="layer is 3; expected the name of a module"):
        visualize.activations(Mixed(), x, 3)
    with pytest.raises(ValueError, match="batch_size is 0"):
        visualize.activations(Mixed(), x, "conv", batch_size=0)
    with pytest.raises(ValueError, match="layer is 'aside', on which no logit depends"):
        visualize.grad_cam(Aside(), x, torch.zeros(12, dtype=torch.int64), "aside")
    with pytest.raises(ValueError, match=r"layer is 'out', which puts out \(12, 4\); expected \(N, C, h, w\)"):
        visualize.grad_cam(Mixed(), x, torch.zeros(12, dtype=torch.int64), "out")


def test_the_model_is_identical_where_something_was_raised_midway():
    model = Breaks()
    model.asked = 1
    before = state(model)
    with pytest.raises(OverflowError, match="midway"):
        visualize.activations(model, images(), "inner.conv")
    assert state(model) == before


def test_a_layer_may_be_read_with_its_gradient_and_the_same_layer_twice():
    model, x = Mixed(), images().requires_grad_()
    with reading(model, "norm", "", "norm") as read:
        planes, logits, again = read(x)
        assert planes is again
        (slope,) = torch.autograd.grad(logits.sum(), planes)
    expected = model.out.weight.sum(0).view(4, 8, 8) * (planes > 0)
    torch.testing.assert_close(slope, expected)


def test_first_layer_filters():
    model = Mixed()
    found = visualize.first_layer_filters(model)
    assert found.shape == (4, 3, 3, 3)
    assert 0 <= found.min() <= found.max() <= 1
    torch.testing.assert_close(2 * found - 1, model.conv.weight / model.conv.weight.abs().max())
    assert not found.requires_grad
    with pytest.raises(ValueError, match="model has no weight of shape"):
        visualize.first_layer_filters(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="model is int"):
        visualize.first_layer_filters(3)


def test_top_patches_are_those_of_all_units_sorted():
    model, (x, _) = victim(), digits(24)
    found = visualize.top_patches(model, x, "network.4", batch_size=7)
    planes = visualize.activations(model, x, "network.4")  # (24, 32, 4, 4)
    assert found.crops.shape == (32, 9, 1, 8, 8)
    for k in range(32):
        best = planes[:, k].amax((1, 2)).sort(descending=True).values[:9]
        torch.testing.assert_close(found.values[k], best)
        assert len(set(found.images[k].tolist())) == 9
        rows, columns = found.units[k].T
        torch.testing.assert_close(planes[found.images[k], k, rows, columns], best)


@pytest.mark.parametrize(("layer", "size"), [("network.1", 3), ("network.2", 4), ("network.0", 3), ("network.3", 8)])
def test_a_unit_sees_its_crop_and_nothing_else(layer, size):
    model, (x, _) = victim(), digits(12)
    found = visualize.top_patches(model, x, layer, count=3, channels=[5, 0, 2])
    assert found.channels.tolist() == [5, 0, 2]
    assert found.crops.shape == (3, 3, 1, size, size)
    noise = torch.rand(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    for k, channel in enumerate((5, 0, 2)):
        for p in range(3):
            image, (row, column) = found.images[k, p], found.units[k, p]
            left, top, right, bottom = found.boxes[k, p].tolist()
            assert torch.equal(found.crops[k, p], x[image, :, top:bottom, left:right])
            other = noise[image : image + 1].clone()
            other[0, :, top:bottom, left:right] = found.crops[k, p]
            answer = visualize.activations(model, other, layer)[0, channel, row, column]
            torch.testing.assert_close(answer, found.values[k, p])


def test_patches_of_residual_blocks_and_of_linear_layers():
    model, x = weights.load("resnet20_cifar10"), images(4, 3, 32)
    block = visualize.top_patches(model, x, "network.3", count=2, channels=[1])
    assert block.crops.shape == (1, 2, 3, 7, 7)  # three convolutions of 3 × 3
    last = visualize.top_patches(model, x, "network.22", count=4)
    assert last.crops.shape == (10, 4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(last.values, model(x).T.sort(dim=1, descending=True).values)


def test_projections_of_the_first_layer_are_its_filters():
    model, (x, _) = victim(), digits(12)
    found = visualize.top_patches(model, x, "network.0", count=1)
    projected = visualize.deconvnet_projections(model, x, "network.0", found, batch_size=5)
    inside = (found.units[:, 0] > 0).all(1) & (found.units[:, 0] < 7).all(1)  # fields within the image
    assert inside.sum() >= 5
    kernels = model.network[0].weight.detach() / model.normalise.std
    torch.testing.assert_close(projected[inside, 0], kernels[inside])


def test_projections_are_the_deconvnet_of_one_unit():
    model, (x, _) = victim(), digits(12)
    found = visualize.top_patches(model, x, "network.4", count=2, channels=[3, 7])
    projected = visualize.deconvnet_projections(model, x, "network.4", found)
    for k, channel in enumerate((3, 7)):
        one = nn.Conv2d(32, 1, 1, bias=False).double()
        one.weight.data.zero_()[0, channel] = 1
        row, column = found.units[k, 1].tolist()
        cut = nn.Sequential(model.normalise, *model.network[:5], one, nn.Flatten())
        image = found.images[k, 1]
        expected = visualize.deconvnet(cut, x[image : image + 1], torch.tensor([4 * row + column]))
        assert torch.equal(projected[k, 1], expected[0])
    assert projected.abs().sum() > 0


def test_bad_input_to_patches_is_named():
    model, (x, _) = victim(), digits(12)
    for options, says in (
        ({"count": 13}, "count is 13; expected at most the 12 images"),
        ({"channels": [32]}, r"channels is \[32\]; expected some from 0 to 31"),
        ({"channels": []}, r"channels is \[\]; expected some from 0 to 31"),
        ({"channels": [-1]}, "channels is -1"),
    ):
        with pytest.raises(ValueError, match=says):
            visualize.top_patches(model, x, "network.4", **options)
    with pytest.raises(ValueError, match=r"layer is 'network\.40'; expected .* 'network\.4'"):
        visualize.top_patches(model, x, "network.40")
    found = visualize.top_patches(model, x, "network.4", count=2)
    with pytest.raises(ValueError, match="x has 2 images; expected those of patches"):
        visualize.deconvnet_projections(model, x[:2], "network.4", found)
    with pytest.raises(ValueError, match=r"layer is 'network\.0', of \(16, 8, 8\); expected that of patches"):
        visualize.deconvnet_projections(model, x, "network.0", found)


def test_patches_leave_the_model_as_it_was():
    model, x = Mixed(), images()
    before, random = state(model), torch.get_rng_state()
    found = visualize.top_patches(model, x, "relu")
    visualize.deconvnet_projections(model, x, "relu", found)
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), random)
