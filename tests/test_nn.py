"""Networks: the NumPy one learns the digits, and the torch one follows it step by step."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from cnnlib import data, nn_numpy, nn_torch, ops_numpy
from cnnlib.testing import check_gradients, relative_error


@pytest.fixture(scope="module")
def digits():
    images, labels = data.digits()
    train, test = data.split(labels, 0.2, np.random.default_rng(0))
    x = images[:, None]
    return x[train], labels[train], x[test], labels[test]


def test_a_small_network_learns_the_digits_in_numpy_alone(digits):
    x, target, held_out, expected = digits
    generator = np.random.default_rng(0)
    model = nn_numpy.digits_cnn(generator)
    optimiser = nn_numpy.SGD(model, lr=0.1, momentum=0.9)
    start = time.process_time()
    for _ in range(10):
        for batch in nn_numpy.batches(len(x), 50, generator):
            nn_numpy.train_step(model, optimiser, x[batch], target[batch])
    assert nn_numpy.accuracy(model, held_out, expected) >= 0.97
    assert time.process_time() - start < 60


def test_the_torch_twin_follows_the_same_losses(digits):
    x, target, *_ = digits
    model = nn_numpy.digits_cnn(np.random.default_rng(0))
    twin = nn_torch.digits_cnn()
    nn_torch.load(twin, model.parameters)
    ours = nn_numpy.SGD(model, lr=0.1, momentum=0.9, weight_decay=1e-3)
    theirs = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    generator, losses = np.random.default_rng(1), []
    while len(losses) < 50:
        for batch in nn_numpy.batches(len(x), 64, generator):
            pair = (
                nn_numpy.train_step(model, ours, x[batch], target[batch]),
                nn_torch.train_step(twin, theirs, torch.from_numpy(x[batch]), torch.from_numpy(target[batch])),
            )
            losses.append(pair)
    first, last = losses[0][0], losses[49][0]
    assert last < first / 3  # it learnt, so the comparison means something
    assert relative_error(*np.array(losses[:50]).T) < 1e-9


def test_the_whole_network_passes_finite_differences():
    generator = np.random.default_rng(0)
    model = nn_numpy.Sequential(
        nn_numpy.Conv2d(2, 4, 3, stride=2, padding=1, dilation=1, groups=2, generator=generator),
        nn_numpy.ReLU(),
        nn_numpy.AvgPool2d(2, stride=1),
        nn_numpy.MaxPool2d(2),
        nn_numpy.Flatten(),
        nn_numpy.Linear(4, 3, generator=generator),
    )
    x, target = generator.normal(size=(3, 2, 7, 7)), np.array([0, 2, 1])
    logits = model.forward(x)
    grad_x = model.backward(ops_numpy.cross_entropy_backward(1.0, logits, target))

    def loss_for(name):
        def loss(value):
            kept = model.parameters[name].copy()
            model.parameters[name][...] = value
            result = ops_numpy.cross_entropy(model.forward(x), target)
            model.parameters[name][...] = kept
            return result

        return loss

    one = np.ones(())
    check_gradients(lambda x: ops_numpy.cross_entropy(model.forward(x), target), [grad_x], [x], one)
    assert set(model.gradients) == {"0.weight", "0.bias", "5.weight", "5.bias"}
    for name, gradient in model.gradients.items():
        check_gradients(loss_for(name), [gradient], [model.parameters[name]], one, rtol=1e-6)


def test_a_model_shares_its_parameters_with_its_layers():
    model = nn_numpy.digits_cnn(np.random.default_rng(0))
    x = np.ones((1, 1, 8, 8))
    before = model.forward(x)
    model.parameters["7.bias"][...] += 1
    assert relative_error(model.forward(x), before + 1) < 1e-14
    with pytest.raises(TypeError):
        model.parameters["7.bias"] = np.zeros(10)  # would change nothing, so it may not be written


@pytest.mark.parametrize("draw", [nn_numpy.he_normal, nn_torch.he_normal])
def test_weights_are_drawn_by_fan_in(draw):
    generator = np.random.default_rng(0) if draw is nn_numpy.he_normal else torch.Generator().manual_seed(0)
    weight = np.asarray(draw((256, 64, 3, 3), generator))
    assert weight.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.01)
    assert abs(weight.mean()) < 1e-3


def test_layers_hand_their_options_on():
    x = np.random.default_rng(0).normal(size=(2, 4, 9, 9))
    options = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    pooling = {"stride": 1, "padding": 1}
    layer = nn_numpy.Conv2d(4, 6, 3, **options, generator=np.random.default_rng(0))
    twin = nn_torch.Conv2d(4, 6, 3, **options)
    nn_torch.load(twin, layer.parameters)
    pairs = [
        (layer, twin, ops_numpy.conv2d(x, **layer.parameters, **options)),
        (
            nn_numpy.MaxPool2d(3, **pooling),
            nn_torch.MaxPool2d(3, **pooling),
            ops_numpy.max_pool2d(x, 3, **pooling)[0],
        ),
        (nn_numpy.AvgPool2d(3, **pooling), nn_torch.AvgPool2d(3, **pooling), ops_numpy.avg_pool2d(x, 3, **pooling)),
    ]
    for ours, theirs, expected in pairs:
        assert relative_error(ours.forward(x), expected) < 1e-14
        leaf = torch.tensor(x, requires_grad=True)
        y = theirs(leaf)
        assert relative_error(y, expected) < 1e-12
        y.backward(y.detach())
        assert relative_error(ours.backward(expected), leaf.grad) < 1e-12


def test_batches_are_shuffled():
    order = np.concatenate(list(nn_numpy.batches(100, 30, np.random.default_rng(0))))
    assert sorted(order) == list(range(100))
    assert order.tolist() != list(range(100))


def test_an_empty_batch_passes_through():
    model = nn_numpy.digits_cnn(np.random.default_rng(0))
    assert model.forward(np.ones((0, 1, 8, 8))).shape == (0, 10)


def test_modules_keep_torchs_conventions():
    model = nn_torch.digits_cnn(torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    again = nn_torch.digits_cnn(torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    names = [name for name, _ in model.named_parameters()]
    assert names == list(nn_numpy.digits_cnn(np.random.default_rng(0)).parameters)
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    pooled = nn_torch.Sequential(nn_torch.AvgPool2d(2, padding=1))(x)
    assert torch.equal(pooled, torch.nn.functional.avg_pool2d(x, 2, padding=1))


def test_bad_input_is_named():
    generator = np.random.default_rng(0)
    model = nn_torch.Sequential(nn_torch.Linear(2, 1))
    for call, message in (
        (lambda: nn_numpy.Conv2d(3, 4, 3, groups=2, generator=generator), "groups is 2; expected a divisor"),
        (lambda: nn_numpy.Conv2d(0, 4, 3, generator=generator), "in_channels is 0"),
        (lambda: nn_numpy.Linear(2, 0, generator=generator), "out_features is 0"),
        (lambda: nn_torch.Conv2d(3, 4, (3, 0)), "kernel_size is 0"),
        (lambda: nn_numpy.SGD(nn_numpy.ReLU(), lr=-1), "lr is -1; expected a number of at least 0"),
        (lambda: nn_numpy.SGD(nn_numpy.ReLU(), lr=float("nan")), "lr is nan"),
        (lambda: nn_numpy.SGD(nn_numpy.Linear(1, 1, generator=generator), lr=1).step(), "gradients has .*; expected a"),
        (lambda: nn_numpy.accuracy(nn_numpy.Flatten(), np.ones((3, 2)), np.ones((3, 1))), r"target has shape \(3, 1\)"),
        (lambda: list(nn_numpy.batches(4, 0, generator)), "batch_size is 0"),
        (lambda: nn_torch.load(model, {"0.weight": np.ones((1, 2))}), "arrays lacks"),
        (lambda: nn_torch.load(model, {"0.weight": np.ones(2), "0.bias": np.ones(1)}), r"arrays\['0.weight'\] has"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_importing_the_package_loads_neither_torch_nor_scipy():
    code = (
        "import sys, cnnlib, cnnlib.shapes, cnnlib.ops_numpy, cnnlib.fast, cnnlib.nn_numpy, cnnlib.schedules;"
        "import cnnlib.data, cnnlib.testing;"
        "print(sorted({'torch', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
