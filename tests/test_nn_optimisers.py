"""Optimisers: step by step those of torch, on the same gradients."""

import numpy as np
import pytest
import torch

from cnnlib import nn_numpy, nn_torch
from cnnlib.testing import assert_close


@pytest.mark.parametrize(
    ("make", "reference", "options"),
    [
        (nn_numpy.SGD, torch.optim.SGD, {"lr": 0.1}),
        (nn_numpy.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        (nn_numpy.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        (nn_numpy.Adam, torch.optim.Adam, {}),
        (nn_numpy.Adam, torch.optim.Adam, {"lr": 0.02, "betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.1}),
        (nn_numpy.AdamW, torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.1}),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ten_steps_are_those_of_torch(make, reference, options, dtype):
    generator = np.random.default_rng(0)
    model = nn_numpy.Linear(3, 2, generator=generator).astype(dtype)
    twin = nn_torch.Linear(3, 2)
    nn_torch.load(twin, model.parameters)
    ours, theirs = make(model, **options), reference(twin.parameters(), **options)
    for step in range(10):
        x, grad_output = generator.normal(size=(4, 3)).astype(dtype), generator.normal(size=(4, 2)).astype(dtype)
        model.forward(x)
        model.backward(grad_output)
        theirs.zero_grad()
        twin(torch.from_numpy(x)).backward(torch.from_numpy(grad_output))
        if step == 5:  # a schedule
            ours.lr = theirs.param_groups[0]["lr"] = 0.05
        ours.step()
        theirs.step()
        for name, parameter in twin.named_parameters():
            assert_close(model.parameters[name], parameter, rtol=1e-12 if dtype == "float64" else 1e-5)


def test_parameters_move_in_place():
    model = nn_numpy.Linear(3, 2, generator=np.random.default_rng(0))
    kept = model.parameters["weight"]
    model.forward(np.ones((1, 3)))
    model.backward(np.ones((1, 2)))
    before = kept.copy()
    nn_numpy.Adam(model).step()
    assert model.parameters["weight"] is kept
    assert (kept != before).all()


def test_a_step_that_fails_does_not_count():
    generator = np.random.default_rng(0)
    model, gradient = nn_numpy.Linear(1, 1, generator=generator), np.ones((1, 1))
    optimiser = nn_numpy.Adam(model, lr=0.5)
    with pytest.raises(ValueError, match="expected a backward before the step"):
        optimiser.step()
    model.forward(gradient)
    model.backward(gradient)
    optimiser.step()
    assert_close(model.parameters["bias"], np.array([-0.5]), rtol=1e-6)  # lr, as a first step is


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: nn_numpy.SGD(m, lr=-1), "lr is -1; expected a number of at least 0"),
        (lambda m: nn_numpy.SGD(m, lr=1, nesterov=True), "nesterov is True with momentum 0"),
        (lambda m: nn_numpy.Adam(m, betas=(0.9, 1.0)), r"betas is \(0.9, 1.0\); expected two numbers"),
        (lambda m: nn_numpy.Adam(m, eps=float("nan")), "eps is nan"),
        (lambda m: nn_numpy.AdamW(m, weight_decay=-0.1), "weight_decay is -0.1"),
        (lambda m: nn_numpy.Adam(m).step(), "gradients has .*; expected a backward before the step"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(nn_numpy.Linear(1, 1, generator=np.random.default_rng(0)))
