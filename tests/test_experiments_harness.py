import os
import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnlib import weights
from cnnlib.data import sets
from cnnlib.models.pattern import digits_cnn
from experiments import harness

ROOT = Path(__file__).parents[1]
PROVENANCE = {"processor", "threads", "torch", "python", "date", "command"}
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, "tests")
from experiments import harness
from test_experiments_harness import training

def stop(model, epoch):
    if epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

harness.RESULTS = Path(sys.argv[1])
harness.run_missing("kill", [{"lr": 0.05}], lambda setting, folder: training(setting, folder, stop))
"""
APPENDING = """
import sys
from pathlib import Path
from experiments import harness

for i in range(20):
    harness.append(Path(sys.argv[1]), [{"who": sys.argv[2], "i": i, "part": part} for part in "ab"])
"""


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The folder of the results; checkpoints and locks lie in another one."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("CNNLIB_RUNS", str(tmp_path / "runs"))
    return tmp_path / "results"


def recorder():
    """A list, and a function that notes in it every setting that it measures: two rows each."""
    measured = []

    def measure(setting, folder):
        measured.append(setting)
        return [{"part": part, "value": 10 * setting["x"]} for part in "ab"]

    return measured, measure


def training(setting, folder, each_epoch=None):
    """Train a small network for six epochs; return a row that tells any two networks apart."""
    data = harness.first(sets.load("digits"), 128)
    network = digits_cnn()
    harness.fit(network, data, seed=0, epochs=6, lr=setting["lr"], batch_size=32, folder=folder, each_epoch=each_epoch)
    return [{"weights": b"".join(value.tobytes() for value in weights.take(network).values()).hex()}]


def test_every_setting_is_measured_once(results):
    measured, measure = recorder()
    harness.run_missing("once", [{"x": 1}, {"x": 2}], measure)
    harness.run_missing("once", [{"x": 1}, {"x": 3}, {"x": 2}], measure)
    assert measured == [{"x": 1}, {"x": 2}, {"x": 3}]
    rows = harness.read(results / "once.csv")
    assert [(row["x"], row["part"], row["value"]) for row in rows] == [
        *(("1", "a", "10"), ("1", "b", "10"), ("2", "a", "20"), ("2", "b", "20"), ("3", "a", "30"), ("3", "b", "30"))
    ]
    assert all(set(row) == {"x", "part", "value"} | PROVENANCE and all(row.values()) for row in rows)
    assert next(iter(rows[0])) == "x"
    assert not (results.parent / "runs" / "once" / "1").exists()


@pytest.mark.parametrize("values", [(0.05, 0.1, 0.5), (1e-3, 1e-4), (None, "none"), (True, False)])
def test_settings_that_look_alike_are_told_apart_and_found_again(results, values):
    measured = []

    def measure(setting, folder):
        measured.append(setting["lr"])
        with harness.alone(folder) as again, harness.alone(folder.with_name("0.1")) as other:
            assert not again
            assert other == (setting["lr"] != 0.1)
        return [{"value": 1}]

    settings = [{"lr": value} for value in values]
    for _ in range(2):
        harness.run_missing("alike", settings, measure)
    assert measured == list(values)


def test_a_setting_that_another_process_measures_is_left_to_it(results):
    measured, measure = recorder()
    with harness.alone(harness.runs() / "shared" / "1"):
        harness.run_missing("shared", [{"x": 1}, {"x": 2}], measure)
    assert measured == [{"x": 2}]
    harness.run_missing("shared", [{"x": 1}, {"x": 2}], measure)
    assert measured == [{"x": 2}, {"x": 1}]


def test_a_measurement_that_fails_adds_nothing_and_keeps_its_folder(results):
    tries = []

    def measure(setting, folder):
        folder.mkdir(parents=True, exist_ok=True)
        tries.append([path.name for path in folder.iterdir()])
        (folder / "checkpoint.pt").touch()
        if setting["x"] == 2 and len(tries) == 2:
            raise RuntimeError("no more")
        return [{"value": setting["x"]}]

    settings = [{"x": 1}, {"x": 2}]
    with pytest.raises(RuntimeError, match="no more"):
        harness.run_missing("fails", settings, measure)
    before = (results / "fails.csv").read_bytes()
    assert b"\n1,1," in before
    assert b"\n2," not in before
    harness.run_missing("fails", settings, measure)
    assert (results / "fails.csv").read_bytes().startswith(before)
    assert tries == [[], [], ["checkpoint.pt"]]


def test_rows_of_other_fields_change_nothing(results):
    path = results / "fields.csv"
    harness.append(path, [{"x": 1, "value": "a, b"}])
    before = path.read_bytes()
    for rows in ([{"x": 2}], [{"x": 2, "value": 3}, {"x": 2, "other": 3}]):
        with pytest.raises(ValueError, match="fields"):
            harness.append(path, rows)
        assert path.read_bytes() == before
    assert harness.read(path) == [{"x": "1", "value": "a, b"}]
    assert [file.name for file in results.iterdir()] == ["fields.csv"]


def test_two_processes_add_their_rows_whole(results):
    path = results / "both.csv"
    command = [sys.executable, "-c", APPENDING, str(path)]
    processes = [subprocess.Popen([*command, who], cwd=ROOT) for who in ("p", "q")]
    assert [process.wait() for process in processes] == [0, 0]
    rows = [(row["who"], int(row["i"]), row["part"]) for row in harness.read(path)]
    assert len(rows) == 80
    for who in ("p", "q"):
        assert [row for row in rows if row[0] == who] == [(who, i, part) for i in range(20) for part in "ab"]
    assert rows[::2] == [(who, i, "a") for who, i, part in rows if part == "b"]  # a setting's rows stand together


def test_a_killed_training_leaves_no_rows_and_goes_on_from_its_last_epoch(results):
    process = subprocess.run([sys.executable, "-c", KILLED, str(results)], cwd=ROOT, capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert not results.exists()
    assert (harness.runs() / "kill" / "0.05" / "checkpoint.pt").exists()
    epochs = []

    def resumed(setting, folder):
        return training(setting, folder, lambda model, epoch: epochs.append(epoch))

    harness.run_missing("kill", [{"lr": 0.05}], resumed)
    assert epochs == [3, 4, 5, 6]  # the kill came in the third, before its checkpoint
    (row,) = harness.read(results / "kill.csv")
    (whole,) = training({"lr": 0.05}, None)
    assert row["weights"] == whole["weights"]
    assert not (harness.runs() / "kill" / "0.05").exists()


def test_provenance_says_what_made_a_row(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", ModuleSpec("experiments.depth", None))
    made = harness.provenance()
    assert set(made) == PROVENANCE
    assert made["command"] == "python -m experiments.depth"
    assert made["threads"] == torch.get_num_threads()
    assert made["torch"] == torch.__version__
    assert made["processor"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(sys, "argv", [os.sep + os.path.join("some", "where", "script.py")])
    assert harness.provenance()["command"] == "python script.py"


def test_the_first_images_are_to_train_on_alone():
    data = sets.load("digits")
    few = harness.first(data, 10)
    for all_of_it, part in zip(data.train, few.train, strict=True):
        assert np.array_equal(part, all_of_it[:10])
    assert few._replace(train=data.train) == data
