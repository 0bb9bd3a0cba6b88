"""The training loop: what it computes, what it leaves behind, and what it refuses."""

import csv
import os
from functools import partial

import numpy as np
import pytest
import torch
from small_training import BATCH, EPOCHS, STEPS, adamw, digits, network, run, sgd
from torch import nn
from torch.nn import functional as F

from cnnlib import schedules
from cnnlib.data import augment
from cnnlib.evaluate import evaluate
from cnnlib.train import train


def equal(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def by_hand(model, images, labels, *, seed, epochs, smoothing, change):
    """The same training, written down once more without its options."""
    steps, optimiser, rows = len(images) // BATCH, sgd(model), []
    model.train()
    for epoch in range(epochs):
        draws, layers = (int(n) for n in np.random.SeedSequence((seed, epoch)).generate_state(2))
        generator, losses, correct = torch.Generator().manual_seed(draws), [], 0
        torch.manual_seed(layers)
        order = torch.randperm(len(images), generator=generator)
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            logits = model(change(images[chosen].float() / 255, generator))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=smoothing)
            optimiser.param_groups[0]["lr"] = 0.05 / (1 + epoch * steps + step)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            correct += (logits.argmax(1) == labels[chosen]).sum().item()
        rows.append((sum(losses) / steps, correct / (steps * BATCH)))
    return rows


def test_the_loop_does_what_a_plain_one_does_to_the_bit():
    images, labels = digits()
    ours, theirs = network(), network()
    options = {"seed": 5, "label_smoothing": 0.1, "augment": augment.shift, "epochs": 3}
    history = run(ours, images, labels, schedule=lambda step: 0.05 / (1 + step), **options)
    rows = by_hand(theirs, images, labels, seed=5, epochs=3, smoothing=0.1, change=augment.shift)
    assert equal(ours, theirs)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert [row["lr"] for row in history] == [0.05 / STEPS, 0.05 / 2 / STEPS, 0.05 / 3 / STEPS]
    for row, (loss, accuracy) in zip(history, rows, strict=True):
        assert row["train_loss"] == pytest.approx(loss, rel=1e-6)
        assert row["train_accuracy"] == pytest.approx(accuracy)
        assert row["seconds"] > 0


def test_every_epoch_takes_each_image_once_in_another_order_but_for_those_that_fill_no_batch():
    images = torch.arange(10.0).view(10, 1, 1, 1)
    seen = []

    def note(x, generator):
        seen.extend(x.flatten().int().tolist())
        return x

    run(
        nn.Sequential(nn.Flatten(), nn.Linear(1, 2)), images, torch.arange(10) % 2, augment=note, epochs=3, batch_size=3
    )
    epochs = [seen[9 * i : 9 * i + 9] for i in range(3)]
    assert all(len(set(epoch)) == 9 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_seed_decides_and_nothing_else():
    def weights(seed):
        model = network()
        run(model, *digits(), seed=seed, epochs=1, augment=augment.shift)
        return model

    first = weights(0)
    torch.manual_seed(1234)
    np.random.default_rng(3).random()
    assert equal(first, weights(0))
    assert not equal(first, weights(1))


def test_bytes_and_the_floats_that_they_stand_for_train_alike():
    images, labels = digits()
    one, other = network(), network()
    run(one, images, labels, epochs=1)
    run(other, images.float() / 255, labels, epochs=1)
    assert equal(one, other)


def test_what_was_there_before_is_there_afterwards():
    model = network()
    model[1].eval()  # modes are mixed
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model[0].weight.requires_grad_(False)
    frozen, modes = model[0].weight.clone(), [module.training for module in model.modules()]
    torch.manual_seed(77)
    state, images = torch.get_rng_state(), digits()[0]
    before = images.clone()
    with torch.no_grad():
        run(model, images, digits()[1], epochs=2, augment=augment.shift, validation=digits(20))
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == torch.float32
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(not (m._forward_hooks or m._forward_pre_hooks or m._backward_hooks) for m in model.modules())
    assert torch.equal(model[0].weight, frozen)
    assert [p.requires_grad for p in model.parameters()] == [False] + [True] * 5
    assert torch.equal(images, before)


def test_modes_and_draws_come_back_when_it_fails_too():
    def broken(x, generator):
        raise KeyError("broken")

    model = network().eval()
    torch.manual_seed(77)
    state = torch.get_rng_state()
    with pytest.raises(KeyError, match="broken"):
        run(model, *digits(), augment=broken)
    assert not any(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_multiplies_in_it_and_keeps_weights_in_float32(precision):
    model, seen = network(), set()
    model[6].register_forward_hook(lambda module, args, output: seen.add((module.training, output.dtype)))
    history = run(model, *digits(), precision=precision, validation=digits(20))
    exact = run(network(), *digits())
    assert {dtype for _, dtype in seen} == {getattr(torch, precision)}
    assert {training for training, _ in seen} == {True, False}  # in validation too
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert history[-1]["train_loss"] == pytest.approx(exact[-1]["train_loss"], rel=0.1)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_channels_last_changes_the_layout_and_no_more_than_rounding():
    images, labels, layouts = digits()[0].repeat(1, 3, 1, 1), digits()[1], set()
    one, other = network(), network()
    for model in (one, other):
        model[0], model[4] = nn.Conv2d(3, 8, 3, padding=1), nn.Identity()  # dropout draws in the order of memory
    other.load_state_dict(one.state_dict())
    other[0].register_forward_pre_hook(lambda module, args: layouts.add((args[0].stride(), module.weight.stride())))
    run(one, images, labels, epochs=2)
    run(other, images, labels, epochs=2, channels_last=True)
    assert layouts == {((192, 1, 24, 3), (27, 1, 9, 3))}  # the three channels are next to each other
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_log_has_a_row_an_epoch(tmp_path):
    history = run(network(), *digits(), validation=digits(20), log=tmp_path / "new" / "log.csv")
    with (tmp_path / "new" / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("epoch", "lr", "train_loss", "train_accuracy"),
        *("validation_loss", "validation_accuracy", "seconds"),
    ]
    assert [{name: float(value) for name, value in row.items()} for row in rows] == history
    assert os.listdir(tmp_path / "new") == ["log.csv"]


def test_validation_is_what_evaluate_says_of_the_model_in_use():
    model = network()
    history = run(model, *digits(), epochs=2, validation=digits(37))
    result = evaluate(model, *digits(37))
    assert (history[-1]["validation_loss"], history[-1]["validation_accuracy"]) == result[:2]


@pytest.mark.parametrize("make", [sgd, adamw])
def test_it_stops_when_the_validation_loss_stays_and_takes_the_best_weights(make):
    """With this rate the loss jumps about: the best epoch is not the last."""
    images, labels = digits()
    options = {"schedule": lambda step: 0.3, "validation": (images[60:], labels[60:]), "epochs": 30, "make": make}
    kept = []
    model = network()
    history = run(
        model, images[:60], labels[:60], patience=3, each_epoch=lambda e: kept.append(weights_of(model)), **options
    )
    losses = [row["validation_loss"] for row in history]
    best = losses.index(min(losses))
    assert len(history) == best + 4 < 30
    assert all(torch.equal(value, kept[best][name]) for name, value in model.state_dict().items())
    assert evaluate(model, images[60:], labels[60:]).loss == min(losses)


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_no_epochs_change_nothing():
    model = network()
    assert run(model, *digits(), epochs=0) == []
    assert equal(model, network())


def test_progress_goes_to_standard_error_line_by_line(capfd):
    run(network(), *digits(), epochs=2)
    assert capfd.readouterr() == ("", "")
    run(network(), *digits(), epochs=2, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["epoch 1", "epoch 2"]


def test_on_a_terminal_there_is_a_bar(capfd, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    run(network(), *digits(), epochs=1, progress=True)
    assert f"epoch 1/1:   0%|          | 0/{STEPS}" in capfd.readouterr().err


def other(images=None, labels=None):
    whole = digits()
    return (whole[0] if images is None else images, whole[1] if labels is None else labels)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (other(), {"batch_size": 101}, "batch_size is 101; expected at most 100, the number of images"),
        (other(), {"batch_size": 0}, "batch_size is 0; expected an integer of at least 1"),
        (other(), {"epochs": -1}, "epochs is -1; expected an integer of at least 0"),
        (other(), {"seed": -1}, "seed is -1; expected"),
        (other(), {"patience": 0, "validation": digits(9)}, "patience is 0; expected an integer of at least 1"),
        (other(), {"patience": 2}, "patience is 2 and validation is None; expected validation data"),
        (other(), {"label_smoothing": 1.5}, "label_smoothing is 1.5; expected a number from 0 to 1"),
        (other(), {"precision": "float8"}, "precision is 'float8'; expected one of 'float32', 'bfloat16', 'float16'"),
        (
            other(),
            {"schedule": partial(schedules.cosine, lr=1.0, steps=5)},
            "step is 6; expected at most 5, of 5 steps",
        ),
        (other(images=digits()[0][:, 0]), {}, r"images is torch.uint8 \(100, 8, 8\); expected \(N, C, H, W\)"),
        (other(images=digits()[0].long()), {}, "images is torch.int64 .*; expected .* of uint8 or floats"),
        (other(labels=digits()[1][:99]), {}, r"labels is torch.int64 \(99,\); expected int64 of shape \(100,\)"),
        (other(labels=digits()[1].int()), {}, "labels is torch.int32"),
        (other(labels=digits()[1] + 1), {}, "labels run from 1 to 10; expected 0 to 9, as the model has"),
        (other(labels=digits()[1] - 1), {}, "labels run from -1 to 8; expected 0 to 9, as the model has"),
        (other(), {"validation": (digits()[0], digits()[1][:5])}, r"labels is torch.int64 \(5,\)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) and value else "",
)
def test_bad_input_is_named(tmp_path, data, options, message):
    with pytest.raises(ValueError, match=message):
        run(network(), *data, **{"checkpoint": tmp_path / "checkpoint.pt", "log": tmp_path / "log.csv"} | options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Flatten(0), r"model returns \(1024,\); expected logits of shape \(16, classes\)"),
        (nn.Identity(), r"model returns \(16, 1, 8, 8\); expected logits of shape \(16, classes\)"),
        (nn.MaxPool2d(2, return_indices=True), r"model returns tuple; expected logits of shape \(16, classes\)"),
    ],
    ids=["one axis", "maps", "two tensors"],
)
def test_a_model_that_gives_no_logits_is_refused(model, message):
    scale = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match=message):
        train(
            nn.Sequential(nn.BatchNorm2d(1), model),
            *digits(),
            optimiser=torch.optim.SGD([scale]),
            schedule=lambda step: 0.1,
            epochs=EPOCHS,
            batch_size=BATCH,
        )
