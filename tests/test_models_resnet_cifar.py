"""Residual networks for small images: counts, plain twins, stages, and a block against its formula."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnlib import nn_torch
from cnnlib import ops_numpy as ops
from cnnlib.models import resnet_cifar
from cnnlib.models.resnet_cifar import plain_network, residual_network
from cnnlib.testing import assert_close

DEPTHS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}


def by_hand(n):
    """Return the parameters of 6n + 2 layers: weights of convolutions, two numbers a channel, a linear layer."""
    convolutions = 3 * 16 + (2 * n * 16 * 16) + (16 * 32 + (2 * n - 1) * 32 * 32) + (32 * 64 + (2 * n - 1) * 64 * 64)
    return 9 * convolutions + 2 * (16 + 2 * n * (16 + 32 + 64)) + 64 * 10 + 10


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("make", [plain_network, residual_network])
def test_parameters_and_weighted_layers_are_those_of_the_paper(make, depth):
    with torch.device("meta"):
        model, named = make(depth=depth), getattr(resnet_cifar, f"resnet{depth}")()
    assert sum(p.numel() for p in model.parameters()) == DEPTHS[depth] == by_hand((depth - 2) // 6)
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in model.modules()) == depth
    if make is residual_network:
        assert {k: v.shape for k, v in named.state_dict().items()} == {
            k: v.shape for k, v in model.state_dict().items()
        }


def test_the_plain_twin_has_the_same_weights_and_no_shortcuts():
    residual, plain = residual_network(depth=20, seed=4), plain_network(depth=20, seed=4)
    assert len(list(residual.parameters())) == len(list(plain.parameters()))
    for (name, ours), (twin, theirs) in zip(residual.state_dict().items(), plain.state_dict().items(), strict=True):
        assert name.replace(".main.", ".") == twin
        assert torch.equal(ours, theirs)
    assert len(residual) == len(plain)
    kinds = [(type(a), type(b)) for a, b in zip(residual, plain, strict=True) if type(a) is not type(b)]
    assert kinds == [(nn_torch.Residual, nn.Sequential)] * 9
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first = residual[:3](x)
    assert torch.equal(residual[3](first), plain[3](plain[:3](x)) + first)  # only the running means differ by now


def test_a_seed_decides_the_weights_and_nothing_else():
    before = torch.get_rng_state()
    weights = [residual_network(depth=8, seed=seed)[0].weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", [plain_network, residual_network])
def test_stages_halve_the_plane_and_double_the_channels(make):
    model, shapes = make(depth=20, num_classes=7, in_channels=1), []
    x = torch.zeros(2, 1, 32, 32)
    for layer in model:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    stages = [(16, 32, 32)] * 9 + [(32, 16, 16)] * 6 + [(64, 8, 8)] * 6
    assert shapes == [*stages, (64,), (7,)]


def test_gradients_reach_every_parameter():
    for make in (plain_network, residual_network):
        model = make(depth=20)
        x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        nn.functional.cross_entropy(model(x), torch.arange(4)).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("training", [True, False])
def test_a_block_is_its_formula_in_numpy(stride, training):
    generator = np.random.default_rng(stride)
    block = residual_network(depth=20).double()[3 if stride == 1 else 9].train(training)
    nn_torch.load(block, {k: varied(v, generator) for k, v in nn_torch.state(block).items()})
    values, x = nn_torch.state(block), generator.normal(size=(3, 16, 8, 8))
    first, last = (
        {name: values[f"main.{i}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")} for i in (1, 4)
    )
    y = ops.conv2d(x, values["main.0.weight"], stride=stride, padding=1)
    y = ops.relu(ops.batch_norm(y, **first, training=training)[0])
    y = ops.conv2d(y, values["main.3.weight"], padding=1)
    y = ops.batch_norm(y, **last, training=training)[0]
    shortcut = x if stride == 1 else np.pad(x[:, :, ::2, ::2], ((0, 0), (8, 8), (0, 0), (0, 0)))
    assert_close(block(torch.from_numpy(x)), y + shortcut)


def varied(value, generator):
    """Return other values of the same kind; scales and variances stay positive."""
    return value if value.dtype.kind == "i" else value + generator.uniform(0.1, 0.5, value.shape)


@pytest.mark.parametrize("depth", [0, 2, 7, 18, 21, 20.0, "20"])
@pytest.mark.parametrize("make", [plain_network, residual_network])
def test_a_depth_that_is_not_6n_plus_2_is_refused(make, depth):
    with pytest.raises(ValueError, match=r"depth is .*; expected"):
        make(depth=depth)
