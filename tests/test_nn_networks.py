"""Branches, modes and whole networks: both packages agree, values, gradients and running statistics."""

import numpy as np
import pytest
import torch

from cnnlib import nn_numpy, nn_torch
from cnnlib.testing import assert_close, check_gradients


def pair(rng):
    """A network with every kind of layer, and its twin."""

    def build(nn, options):
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False, **options),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Residual(
                nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False, **options), nn.BatchNorm2d(6)),
                nn.PadChannels(4, 6, stride=2),
            ),
            nn.Parallel(nn.Conv2d(6, 2, 1, **options), nn.MaxPool2d(3, stride=1, padding=1), nn.ReLU()),
            nn.Residual(nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), nn.ReLU())),
            nn.GlobalAvgPool2d(),
            nn.Linear(14, 3, **options),
        )

    ours, theirs = build(nn_numpy, {"generator": rng}), build(nn_torch, {})
    nn_torch.load(theirs, nn_numpy.state(ours))
    return ours, theirs


def test_every_layer_and_branch_agrees_with_its_twin():
    rng = np.random.default_rng(0)
    ours, theirs = pair(rng)
    assert list(ours.parameters) == [name for name, _ in theirs.named_parameters()]
    assert {"1.running_mean", "3.main.1.running_var"} < set(ours.buffers)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        x, grad_output = rng.normal(size=(4, 2, 7, 7)), rng.normal(size=(4, 3))
        leaf = torch.tensor(x, requires_grad=True)
        y = theirs(leaf)
        theirs.zero_grad()
        y.backward(torch.from_numpy(grad_output))
        assert_close(ours.forward(x), y)
        assert_close(ours.backward(grad_output), leaf.grad)
        for name, parameter in theirs.named_parameters():
            assert_close(ours.gradients[name], parameter.grad)
        for name, value in nn_torch.state(theirs).items():
            assert_close(nn_numpy.state(ours)[name], value)


def test_branches_pass_finite_differences():
    rng = np.random.default_rng(1)
    model, _ = pair(rng)
    x, grad_output = rng.normal(size=(2, 2, 5, 5)), rng.normal(size=(2, 3))
    model.forward(x)
    check_gradients(model.forward, [model.backward(grad_output)], [x], grad_output, rtol=1e-6)


def test_weights_move_both_ways_by_name():
    ours, theirs = pair(np.random.default_rng(2))
    ours.forward(np.random.default_rng(3).normal(size=(4, 2, 7, 7)))  # moves the running means
    nn_torch.load(theirs, nn_numpy.state(ours))
    again, _ = pair(np.random.default_rng(4))
    nn_numpy.load(again, nn_torch.state(theirs))
    for name, value in nn_numpy.state(ours).items():
        assert_close(nn_numpy.state(again)[name], value, rtol=0)
    single = pair(np.random.default_rng(4))[0].astype("float32")
    nn_numpy.load(single, nn_numpy.state(ours))
    assert {str(v.dtype) for v in nn_numpy.state(single).values()} == {"float32"}


@pytest.mark.parametrize("name", ["digits_cnn", "lenet5", "resnet20"])
def test_networks_have_the_same_parameters_and_stay_in_single_precision(name):
    ours, theirs = getattr(nn_numpy, name)(np.random.default_rng(0)).astype("float32"), getattr(nn_torch, name)()
    nn_torch.load(theirs, nn_numpy.state(ours))
    size = {"digits_cnn": (2, 1, 8, 8), "lenet5": (2, 1, 28, 28), "resnet20": (2, 3, 32, 32)}[name]
    x = np.random.default_rng(1).normal(size=size).astype("float32")
    logits = ours.forward(x)
    assert_close(logits, theirs(torch.from_numpy(x)), rtol=1e-4)
    grad_x = ours.backward(logits)
    assert {str(a.dtype) for a in (logits, grad_x, *ours.gradients.values())} == {"float32"}


@pytest.mark.parametrize("make", [nn_numpy.Sequential, nn_numpy.Residual, nn_numpy.Parallel])
def test_a_layer_stands_only_once_in_a_network(make):
    relu = nn_numpy.ReLU()
    for layers in ((relu, relu), (nn_numpy.Sequential(relu), nn_numpy.Residual(relu))):
        with pytest.raises(ValueError, match=r"ReLU stands twice in .*; expected each layer once"):
            make(*layers)
    make(relu, nn_numpy.ReLU())


@pytest.mark.parametrize("value", ["a", 1j, None])
@pytest.mark.parametrize("nn", [nn_numpy, nn_torch])
def test_what_cannot_be_loaded_changes_nothing(nn, value):
    model = nn.Sequential(nn.Linear(2, 1, generator=None if nn is nn_torch else np.random.default_rng(0)))
    before = nn.state(model)
    with pytest.raises((ValueError, TypeError)):
        nn.load(model, {"0.weight": np.full((1, 2), 7.0), "0.bias": np.array([value])})
    for name, kept in nn.state(model).items():
        assert_close(kept, before[name], rtol=0)


def test_dropout_keeps_what_its_generator_says():
    x = np.ones((200, 500))
    layer = nn_numpy.Dropout(0.3, generator=np.random.default_rng(0))
    y = layer.forward(x)
    assert set(np.unique(y).round(6)) == {0.0, round(1 / 0.7, 6)}
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert_close(layer.backward(x), y)
    assert_close(nn_numpy.Dropout(0.3, generator=np.random.default_rng(0)).forward(x), y)
    twin = nn_torch.Dropout(0.3, generator=torch.Generator().manual_seed(0))
    leaf = torch.ones(200, 500, requires_grad=True)
    dropped = twin(leaf)
    dropped.sum().backward()
    assert torch.equal(dropped, leaf.grad)
    assert (dropped == 0).double().mean() == pytest.approx(0.3, abs=0.01)
    assert_close(layer.eval().forward(x), x)
    assert torch.equal(twin.eval()(leaf), leaf)


@pytest.mark.parametrize("training", [True, False])
def test_gradcheck_passes(training):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *size: torch.randn(size, generator=generator, dtype=torch.float64)  # noqa: E731
    running, options = (draw(3), draw(3) ** 2 + 0.5), {"training": training, "momentum": 0.1, "eps": 1e-5}

    def normalised(x, weight, bias):
        return nn_torch.BatchNormFunction.apply(x, *running, weight, bias, options)[0]

    leaves = [v.requires_grad_() for v in (draw(4, 3, 2, 2), draw(3), draw(3))]
    assert torch.autograd.gradcheck(normalised, leaves)
    mask = draw(4, 3) > 0
    assert torch.autograd.gradcheck(lambda x: nn_torch.DropoutFunction.apply(x, mask, 0.4), draw(4, 3).requires_grad_())


def test_the_mode_is_given_back():
    model = nn_numpy.Sequential(nn_numpy.BatchNorm2d(1), nn_numpy.BatchNorm2d(1))
    model.layers[1].eval()
    before = nn_numpy.state(model)
    nn_numpy.accuracy(nn_numpy.Sequential(model, nn_numpy.Flatten()), np.ones((3, 1, 2, 2)), np.zeros(3))
    assert [model.training, *(layer.training for layer in model.layers)] == [True, True, False]
    for name, value in nn_numpy.state(model).items():
        assert_close(value, before[name], rtol=0)
    with pytest.raises(RuntimeError), nn_numpy.in_use(model):
        raise RuntimeError
    assert model.layers[0].training


def test_bad_input_is_named():
    rng = np.random.default_rng(0)
    x = np.ones((1, 2, 4, 4))
    relu, pool = nn_numpy.ReLU(), nn_numpy.MaxPool2d(2)
    for call, message in (
        (lambda: nn_numpy.Residual(pool).forward(x), r"main returns \(1, 2, 2, 2\); expected \(1, 2, 4, 4\)"),
        (lambda: nn_torch.Residual(torch.nn.Flatten())(torch.ones(1, 2, 1, 1)), r"main returns \(1, 2\); expected"),
        (lambda: nn_numpy.Parallel(relu, pool).forward(x), r"branch 1 returns \(1, 2, 2, 2\); expected \(1, 2, 4, 4\)"),
        (nn_numpy.Parallel, "branches is empty"),
        (nn_torch.Parallel, "branches is empty"),
        (lambda: nn_numpy.Dropout(1.5, generator=rng), "p is 1.5; expected a probability"),
        (lambda: nn_torch.Dropout(-1), "p is -1; expected a probability"),
        (lambda: nn_numpy.PadChannels(4, 2), "out_channels is 2"),
        (lambda: nn_numpy.BatchNorm2d(0), "num_features is 0"),
        (lambda: relu.astype("float16"), "dtype is 'float16'; expected 'float32' or 'float64'"),
        (lambda: nn_numpy.load(nn_numpy.BatchNorm2d(1), {}), r"arrays lacks \['bias', 'running_mean'"),
        (
            lambda: nn_numpy.load(nn_numpy.Linear(2, 1, generator=rng), {"weight": np.ones(2), "bias": np.ones(1)}),
            "arr",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_first_layer_needs_no_gradient_of_its_input():
    rng = np.random.default_rng(5)
    model, _ = pair(rng)
    x, grad_output = rng.normal(size=(4, 2, 7, 7)), rng.normal(size=(4, 3))
    model.forward(x)
    model.backward(grad_output)
    expected = dict(model.gradients)
    model.forward(2 * x)
    model.backward_parameters(2 * grad_output)
    assert set(model.gradients) == set(expected)
    model.forward(x)
    model.backward_parameters(grad_output)
    for name, gradient in model.gradients.items():
        assert_close(gradient, expected[name])


@pytest.mark.parametrize("layer", [nn_numpy.ReLU(), nn_numpy.MaxPool2d(2), nn_numpy.BatchNorm2d(1), nn_numpy.Flatten()])
def test_a_backward_before_the_forward_is_named(layer):
    with pytest.raises(AttributeError, match=f"{type(layer).__name__} has no .*; expected a forward"):
        layer.backward(np.ones((1, 1, 2, 2)))
