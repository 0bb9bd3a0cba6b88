"""Checkpoints: what is in them, and everything that must not be gone on from."""

import errno
import io
import os
import random
import shutil
from functools import partial

import pytest
import torch
from small_training import BATCH, STEPS, adamw, digits, network, run, sgd
from torch import nn

from cnnlib import checkpoints, schedules
from cnnlib.data import augment


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The checkpoint of a training of two epochs."""
    path = tmp_path_factory.mktemp("begun") / "checkpoint.pt"
    run(network(), *digits(), epochs=2, checkpoint=path)
    return path


@pytest.fixture
def path(begun, tmp_path):
    """A copy of that checkpoint, to be spoilt."""
    return shutil.copy(begun, tmp_path / "checkpoint.pt")


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def refused(path, message, *, model=None, images=None, labels=None, **options):
    """Check that nothing goes on from this checkpoint, that the message says why, and that nothing was changed."""
    model = model or network(5)
    before, content = state(model), path.read_bytes()
    own_images, own_labels = digits()
    data = (own_images if images is None else images, own_labels if labels is None else labels)
    with pytest.raises(ValueError, match=rf"checkpoint\.pt .*{message}"):
        run(model, *data, checkpoint=path, **({"epochs": 2} | options))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["checkpoint.pt"]


def test_a_finished_training_is_given_back_as_it_was(path):
    model = network(9)
    stored = torch.load(path, weights_only=True)
    before = path.stat().st_mtime_ns
    assert run(model, *digits(), epochs=2, checkpoint=path) == stored["history"]
    assert all(torch.equal(value, stored["model"][name]) for name, value in model.state_dict().items())
    assert path.stat().st_mtime_ns == before


def other_labels():
    labels = digits()[1].clone()
    labels[7] += 1
    return labels


def other_images():
    images = digits()[0].clone()
    images[7, 0, 3, 3] += 1
    return images


def slower(model):
    return torch.optim.SGD(model.parameters(), momentum=0.8, weight_decay=5e-4, nesterov=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"epochs": 3},
            "was begun with epochs 2; expected 3, as asked for now: go on as it was begun, or keep the new",
        ),
        ({"batch_size": 20}, f"batch_size {BATCH}; expected 20"),
        ({"seed": 1}, "seed 0; expected 1"),
        ({"precision": "bfloat16"}, "precision 'float32'; expected 'bfloat16'"),
        ({"channels_last": True}, "channels_last False; expected True"),
        ({"label_smoothing": 0.1}, "label_smoothing 0.0; expected 0.1"),
        ({"augment": augment.shift}, "augment None; expected 'shift'"),
        ({"patience": 3, "validation": digits(20)}, "patience None; expected 3"),
        ({"validation": digits(20)}, r"validation None; expected '\(20, 1, 8, 8\), CRC-32"),
        ({"images": other_images()}, r"images '\(100, 1, 8, 8\), CRC-32 \w+'; expected '\(100, 1, 8, 8\), CRC-32"),
        ({"labels": other_labels()}, r"images '\(100, 1, 8, 8\), CRC-32 \w+'; expected '\(100, 1, 8, 8\), CRC-32"),
        ({"make": adamw}, "optimiser 'SGD'; expected 'AdamW'"),
        ({"make": slower}, "momentum of group 0 0.9; expected 0.8"),
        ({"make": lambda m: sgd(nn.Sequential(*list(m)[:3]))}, "parameters of group 0 6; expected 4"),
        (
            {"schedule": partial(schedules.one_cycle, lr=0.06, steps=2 * STEPS)},
            "learning rate of epoch 1 0.002; expected 0.0024",
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_training_that_was_begun_otherwise_is_not_gone_on_with(path, options, message):
    refused(path, message, **options)


def test_a_checkpoint_of_another_model_is_refused_with_the_first_difference(path):
    smaller = nn.Sequential(*list(network())[:-1], nn.Linear(128, 9))
    refused(path, r"is of another model: 6.bias is float32 \(10,\); expected float32 \(9,\)", model=smaller)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    refused(path, r"is of another model: 0.bias is float32 \(8,\); expected nothing of that name", model=other)
    longer = nn.Sequential(*network(), nn.Linear(10, 10))
    refused(path, r"is of another model: 7.bias is missing; expected float32 \(10,\)", model=longer)
    refused(path, "is of another model: 0.bias is float32 .*; expected float64", model=network().double())


def test_a_truncated_file_is_refused(path):
    whole, draws = path.read_bytes(), random.Random(0)
    for length in (0, 1, len(whole) - 1, *(draws.randrange(len(whole)) for _ in range(12))):
        path.write_bytes(whole[:length])
        refused(path, "is no checkpoint, or is damaged .*; move it away to begin anew")


def test_a_changed_byte_is_refused_wherever_it_matters(path):
    """Without the checksums most of these would have been loaded: see torch.load."""
    whole, draws, harmless = path.read_bytes(), random.Random(1), 0
    expected = torch.load(path, weights_only=True)
    for _ in range(60):
        at = draws.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ draws.randrange(1, 256)]) + whole[at + 1 :])
        model = network(5)
        try:
            checkpoints.load(path, model, sgd(model), expected["settings"])
        except ValueError as error:
            assert "is no checkpoint, or is damaged" in str(error)  # noqa: PT017
        else:  # padding between the members of the archive
            harmless += 1
            assert all(torch.equal(value, expected["model"][name]) for name, value in model.state_dict().items())
    assert harmless < 30


@pytest.mark.parametrize(
    "content",
    [{"epoch": 3}, [1, 2], {"model": {}, "optimiser": {}, "settings": {}}, torch.zeros(3)],
    ids=["another dictionary", "a list", "no format", "a tensor"],
)
def test_another_file_of_torch_is_no_checkpoint(path, content):
    torch.save(content, path)
    refused(path, "is no checkpoint, or is damaged")


def test_a_checkpoint_of_another_version_is_refused(path):
    torch.save(torch.load(path, weights_only=True) | {"format": 1}, path)
    refused(path, "is a checkpoint of format 1; expected 2, that of this version")


def test_no_code_is_run_that_a_file_brings(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"format": Trap(), "model": {}, "optimiser": {}, "settings": {}}, path)
    refused(path, "is no checkpoint, or is damaged")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("moment", ["write", "fsync"])
def test_on_a_full_disk_the_checkpoint_of_the_epoch_before_stays(tmp_path, monkeypatch, moment):
    path, log = tmp_path / "checkpoint.pt", tmp_path / "log.csv"

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full(io.FileIO):
        write = full

    def opened(path, mode):
        return Full(path, mode)

    def fill(epoch):
        if epoch == 2 and moment == "fsync":
            monkeypatch.setattr(os, "fsync", full)
        elif epoch == 2:
            monkeypatch.setattr(checkpoints.Path, "open", opened)

    with pytest.raises(OSError, match=rf"cannot write {path}: No space left on device"):
        run(network(), *digits(), checkpoint=path, log=log, each_epoch=fill)
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.pt", "log.csv"]
    assert len(torch.load(path, weights_only=True)["history"]) == 1
    resumed, direct = network(), network()
    run(resumed, *digits(), checkpoint=path)
    run(direct, *digits())
    assert all(torch.equal(value, direct.state_dict()[name]) for name, value in resumed.state_dict().items())


def test_what_killed_processes_left_is_cleared(tmp_path):
    (tmp_path / ".checkpoint.pt.123.partial").write_bytes(b"half")
    run(network(), *digits(), epochs=1, checkpoint=tmp_path / "checkpoint.pt")
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_numbers_of_numpy_do_not_spoil_a_checkpoint(tmp_path):
    import numpy as np

    options = {
        "epochs": np.int64(1),
        "batch_size": np.int64(BATCH),
        "seed": np.int64(3),
        "patience": np.int64(2),
        "validation": digits(20),
        "label_smoothing": np.float64(0.1),
        "schedule": lambda step: np.float64(0.1),
        "checkpoint": tmp_path / "checkpoint.pt",
    }
    history = run(network(), *digits(), **options)
    assert run(network(), *digits(), **options) == history
