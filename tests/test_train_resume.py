"""A training that was stopped, however, ends with the same bytes as one that was not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_training import EPOCHS, STEPS, adamw, digits, network, run, sgd
from torch import nn

from cnnlib.data import augment


class Stopped(Exception):
    """What stops a training in a test."""


def stop_at(step):
    """An augmentation that stops the training in that step, counted from its start."""
    left = step

    def change(x, generator):
        nonlocal left
        if not left:
            raise Stopped
        left -= 1
        return augment.shift(x, generator)

    change.__qualname__ = "shift"
    return change


def result(model, history):
    """All that must be equal: weights and buffers, and the rows but for their seconds."""
    weights = {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
    return weights, [{name: value for name, value in row.items() if name != "seconds"} for row in history]


@pytest.mark.parametrize("make", [sgd, adamw])
@pytest.mark.parametrize(
    "options",
    [{}, {"precision": "bfloat16", "channels_last": True}, {"precision": "float16"}, {"patience": 2}],
    ids=["plain", "bfloat16", "float16", "early stop"],
)
def test_stopped_in_any_epoch_it_ends_the_same(tmp_path, make, options):
    """With dropout, batch norm, augmentation, label smoothing, the optimiser's own state, and the best weights."""
    images, labels = digits(140)
    rest = {"label_smoothing": 0.1, "validation": (images[100:], labels[100:]), "make": make, **options}
    if "patience" in options:
        rest["schedule"] = lambda step: 0.2
    data = images[:100], labels[:100]
    direct = network()
    expected = result(direct, run(direct, *data, augment=augment.shift, **rest))
    for epoch in range(len(expected[1])):
        rest["checkpoint"] = tmp_path / f"{epoch}.pt"
        with pytest.raises(Stopped):
            run(network(), *data, augment=stop_at(epoch * STEPS + 3), **rest)
        torch.manual_seed(epoch)
        resumed = network(seed=99)  # whatever weights it has, those of the checkpoint replace them
        if not epoch:
            resumed = network()
        assert result(resumed, run(resumed, *data, augment=augment.shift, **rest)) == expected
    if "patience" in options:
        assert len(expected[1]) < EPOCHS


def test_stopped_in_every_epoch_it_ends_the_same(tmp_path):
    path, log = tmp_path / "checkpoint.pt", tmp_path / "log.csv"
    direct = network()
    expected = result(direct, run(direct, *digits(), augment=augment.shift))
    for _ in range(EPOCHS - 1):
        with pytest.raises(Stopped):
            run(network(), *digits(), augment=stop_at(STEPS + 1), checkpoint=path, log=log)
    resumed = network()
    history = run(resumed, *digits(), augment=augment.shift, checkpoint=path, log=log)
    assert result(resumed, history) == expected
    assert log.read_text("utf-8").count("\n") == EPOCHS + 1


def test_the_scale_of_float16_s_gradients_is_gone_on_with(tmp_path):
    """Pixels this large make float16 overflow at first: those steps are skipped, and the scale is lowered."""
    images, labels = digits()

    def trained(augmentation, **options):
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        rest = {"precision": "float16", "schedule": lambda step: 1e-3, **options}
        return result(model, run(model, images.float() / 16, labels, augment=augmentation, **rest))

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped):
        trained(stop_at(2 * STEPS + 1), checkpoint=path)
    assert torch.load(path, weights_only=True)["scaler"]["scale"] < 65536
    assert trained(augment.shift, checkpoint=path) == trained(augment.shift)


def test_a_log_that_was_not_written_any_more_is_written_when_it_goes_on(tmp_path):
    path, log = tmp_path / "checkpoint.pt", tmp_path / "log.csv"
    run(network(), *digits(), checkpoint=path)
    run(network(), *digits(), checkpoint=path, log=log)
    assert log.read_text("utf-8").count("\n") == EPOCHS + 1


def test_killed_ten_times_it_ends_with_the_same_bytes(tmp_path):
    here = Path(__file__).parent
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(here.parent)}
    command = [sys.executable, str(here / "killed_training.py"), str(tmp_path), "2024", "10"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr + (tmp_path / "messages").read_text("utf-8")
    *killed, ended, uninterrupted = done.stdout.splitlines()
    assert [line.split()[0] for line in killed] == ["killed"] * 10
    assert [ended, uninterrupted] == ["ended 0"] * 2, (tmp_path / "messages").read_text("utf-8")
    epochs = [int(line.split()[1]) for line in killed]
    assert epochs == sorted(epochs)
    assert 0 < epochs[-1] < 60
    one, other = tmp_path / "killed", tmp_path / "uninterrupted"
    assert (one / "weights.npz").read_bytes() == (other / "weights.npz").read_bytes()
    assert sorted(os.listdir(one)) == ["checkpoint.pt", "log.csv", "weights.npz"]
