"""LeNet-5 and ResNet-20 in NumPy are those in torch: equal logits, losses, weights and statistics after ten steps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cnnlib import nn_numpy, nn_torch
from cnnlib.models.lenet import lenet5
from cnnlib.models.resnet_cifar import resnet20
from cnnlib.testing import assert_close

NETWORKS = {
    "lenet5": (lenet5, nn_numpy.lenet5, (16, 1, 28, 28)),
    "resnet20": (resnet20, nn_numpy.resnet20, (4, 3, 32, 32)),
}
SGD = {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
ADAM = {"lr": 1e-3, "weight_decay": 1e-4}
STEPS, RTOL = 10, 1e-8


def arrays(model):
    """Return parameters and buffers by name, but the counters of batches, which `nn_numpy` does not need."""
    return {k: v for k, v in nn_torch.state(model).items() if not k.endswith("num_batches_tracked")}


def twins(name):
    """Return the network of torch and that of NumPy, in float64, of the same weights, and the shape of a batch."""
    make, make_ours, shape = NETWORKS[name]
    theirs, ours = make(seed=3).double(), make_ours(np.random.default_rng(0))
    nn_numpy.load(ours, arrays(theirs))
    return theirs, ours, shape


@pytest.mark.parametrize(
    ("name", "reference", "optimiser", "options"),
    [
        ("lenet5", torch.optim.SGD, nn_numpy.SGD, SGD),
        ("lenet5", torch.optim.Adam, nn_numpy.Adam, ADAM),
        ("resnet20", torch.optim.SGD, nn_numpy.SGD, SGD),
    ],
)
def test_ten_steps_are_those_of_torch(name, reference, optimiser, options):
    theirs, ours, shape = twins(name)
    moves, moves_ours = reference(theirs.parameters(), **options), optimiser(ours, **options)
    generator, before, losses = np.random.default_rng(1), arrays(theirs), []
    for _ in range(STEPS):
        x, target = generator.normal(size=shape), generator.integers(0, 10, shape[0])
        loss = F.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(target))
        moves.zero_grad()
        loss.backward()
        moves.step()
        losses.append((nn_numpy.train_step(ours, moves_ours, x, target), loss.item()))
    assert_close(*map(np.array, zip(*losses, strict=True)), rtol=RTOL)
    after, after_ours = arrays(theirs), nn_numpy.state(ours)
    assert after.keys() == after_ours.keys()
    for key, value in after.items():
        assert_close(after_ours[key], value, rtol=RTOL)
        assert not np.array_equal(value, before[key]), f"{key} has not moved"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_logits_are_those_of_torch(name, training):
    theirs, ours, shape = twins(name)
    x = np.random.default_rng(2).normal(size=shape)
    assert_close(ours.train(training).forward(x), theirs.train(training)(torch.from_numpy(x)))


def test_weights_go_back_to_torch_by_name():
    theirs, ours, _ = twins("resnet20")
    weights = nn_numpy.state(nn_numpy.resnet20(np.random.default_rng(5)))
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    nn_numpy.load(ours, arrays(theirs))
    assert_close(ours.parameters["11.main.3.weight"], weights["11.main.3.weight"], rtol=0)
