"""Weights in files, and those that come with the package."""

import collections
import errno
import io
import json
import os
import random
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from cnnlib import nn_numpy, weights
from cnnlib.models import build

FIELDS = {"model": "digits_cnn", "data": "digits", "num_classes": 10, "mean": [0.3], "std": [0.4], "padding": 0}


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder with one network that is shipped."""
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    network = build("digits_cnn", num_classes=10, in_channels=1, seed=3)
    weights.write(tmp_path / "digits_cnn_digits.npz", weights.take(network))
    (tmp_path / "digits_cnn_digits.json").write_text(json.dumps({**FIELDS, "test_accuracy": 0.98}), "utf-8")
    return network


def test_a_shipped_network_comes_with_its_normalisation_ready_for_use(shipped):
    assert weights.names() == ["digits_cnn_digits"]
    assert weights.provenance("digits_cnn_digits")["test_accuracy"] == 0.98
    model = weights.load("digits_cnn_digits")
    x = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(model(x), shipped((x - 0.3) / 0.4))
    assert not any(module.training for module in model.modules())


def test_shipped_arrays_are_what_the_numpy_twin_takes(shipped):
    twin = nn_numpy.digits_cnn(np.random.default_rng(0))
    nn_numpy.load(twin, weights.arrays("digits_cnn_digits"))
    x = torch.rand(2, 1, 8, 8)
    np.testing.assert_allclose(twin.forward(x.double().numpy()), shipped(x).detach(), rtol=1e-4, atol=1e-5)


def test_an_unknown_name_is_answered_with_those_that_are_there(shipped, monkeypatch, tmp_path):
    for function in (weights.load, weights.arrays, weights.provenance):
        with pytest.raises(ValueError, match="name is 'resnet'; expected one of 'digits_cnn_digits'"):
            function("resnet")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "nothing")
    with pytest.raises(ValueError, match="name is 'resnet'; expected none: this copy of cnnlib has no weights"):
        weights.load("resnet")


def test_whatever_is_really_shipped_is_complete():
    for name in weights.names():
        made = weights.provenance(name)
        assert name.removesuffix("_robust") == f"{made['model']}_{made['data']}"
        assert {*FIELDS, "command", "seed", "versions", "date", "seconds"} <= made.keys()
        weights.load(name)


def test_what_is_taken_and_put_is_the_network_s_own_and_a_copy():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(memory_format=torch.channels_last)
    values = weights.take(network)
    assert list(values) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
    assert all(value.flags.c_contiguous and value.flags.owndata for value in values.values())
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    weights.put(other, values, "a test")
    for key, value in other.state_dict().items():
        assert torch.equal(value, network.state_dict()[key])
    values["0.weight"][:] = 7
    assert not (network[0].weight == 7).any()
    assert not (other[0].weight == 7).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v | {"weight": v["weight"].T}, r"weight is \(3, 2\); expected \(2, 3\)"),
        (lambda v: {"weight": v["weight"]}, r"bias is missing; expected \(2,\)"),
        (lambda v: v | {"extra": np.zeros(1)}, r"extra is \(1,\); expected nothing of that name"),
        (lambda v: v | {"bias": np.array(["a", "b"])}, r"bias is of <U1; expected torch.float32"),
        (lambda v: v | {"bias": np.array([1, 2])}, r"bias is of int64; expected torch.float32"),
    ],
    ids=["shape", "missing", "extra", "text", "integers"],
)
def test_weights_of_another_network_change_nothing(change, message):
    layer = nn.Linear(3, 2)
    before = weights.take(layer)
    with pytest.raises(ValueError, match=f"^here.npz.*{message}"):
        weights.put(layer, change({name: value + 1 for name, value in before.items()}), "here.npz")
    for name, value in weights.take(layer).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_file_gives_back_every_array_and_has_always_the_same_bytes(tmp_path):
    values = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3)),
        "integers": np.arange(3),
    }
    for name in ("one.npz", "two.npz"):
        weights.write(tmp_path / name, values)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    found = weights.read(tmp_path / "one.npz")
    assert list(found) == list(values)
    for name, value in values.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.create_system for entry in archive.infolist()} == {3}


def test_a_pickle_is_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        weights.write(tmp_path / "a.npz", {"x": np.array([{}])})
    assert list(tmp_path.iterdir()) == []
    np.savez(tmp_path / "b.npz", x=np.array([{}]))
    with pytest.raises(ValueError, match=r"b\.npz is no file of weights, or is damaged"):
        weights.read(tmp_path / "b.npz")


def test_every_damage_is_refused_by_name_or_harmless(tmp_path):
    path = tmp_path / "w.npz"
    values = weights.take(nn.Linear(20, 5))
    weights.write(path, values)
    whole, draws, outcomes = path.read_bytes(), random.Random(0), collections.Counter()
    damaged = [whole[: draws.randrange(len(whole))] for _ in range(40)]
    for _ in range(150):
        at = draws.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ draws.randrange(1, 256)]) + whole[at + 1 :])
    stored = io.BytesIO()
    np.save(stored, values["weight"])
    for content in (*damaged, b"", b"text", stored.getvalue()):
        path.write_bytes(content)
        try:
            found = weights.read(path)
        except ValueError as error:
            assert str(error).startswith(f"{path} is no file of weights, or is damaged")  # noqa: PT017
            outcomes["refused"] += 1
        else:  # a date, or a name in one of its two places
            assert {k: v.tobytes() for k, v in found.items()}.items() <= {
                k: v.tobytes() for k, v in values.items()
            }.items()
            outcomes["harmless"] += 1
    assert outcomes["refused"] > 150


def test_a_file_that_is_not_there_or_cannot_be_written_is_an_error_of_the_system(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        weights.read(tmp_path / "nothing.npz")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*a\.npz: No space left on device"):
        weights.write(tmp_path / "a.npz", {"x": np.zeros(3)})
    assert list(tmp_path.iterdir()) == []
