"""The trainings that are shipped: each is evaluated once, and never passed off as one by another recipe."""

import json
import subprocess

import pytest

from cnnlib import weights as shipped
from cnnlib.command import evaluate_command, train_command
from tools import weights

NAME = "digits_cnn_digits"


def run_here(command, *, check, env):
    """Do what the command would, without the seconds that another process takes to begin."""
    module, *arguments = command[2:]
    try:
        {"cnnlib.train": train_command, "cnnlib.evaluate": evaluate_command}[module](arguments)
    except SystemExit as stopped:
        raise subprocess.CalledProcessError(stopped.code, command) from stopped


def test_a_training_is_shipped_whole_and_only_under_the_recipe_that_made_it(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("CNNLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(subprocess, "run", run_here)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(weights, "RECIPES", {NAME: "--epochs 1 --batch-size 64 --lr 0.05"})
    weights.ship(NAME, [0])
    stored = tmp_path / "shipped" / f"{NAME}.npz"
    made = json.loads(stored.with_suffix(".json").read_text("utf-8"))
    assert made["command"].endswith("--epochs 1 --batch-size 64 --lr 0.05 --seed 0")
    assert made["numbers_stored"] == sum(value.size for value in shipped.read(stored).values()) == 6090
    before = stored.read_bytes()
    test = tmp_path / "runs" / "weights" / f"{NAME}_0" / "test.json"
    written = test.stat().st_mtime_ns
    assert weights.trained(NAME, 0) == test.parent
    assert test.stat().st_mtime_ns == written
    monkeypatch.setattr(weights, "RECIPES", {NAME: "--epochs 1 --batch-size 64 --lr 0.1"})
    with pytest.raises(subprocess.CalledProcessError):
        weights.ship(NAME, [0])
    assert "learning rate" in capfd.readouterr().err
    assert stored.read_bytes() == before
