"""The two commands, with good options and with bad ones: a clear line, an exit code, nothing half-written."""

import errno
import json
import os
import re
import subprocess
import sys
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnlib import command, weights
from cnnlib.command import evaluate_command, hold_out, train_command, train_options, with_usual
from cnnlib.data import sets
from cnnlib.defend import Adversary
from cnnlib.inputs import Threat

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ["--model", "digits_cnn", "--data", "digits"]


def refused(capsys, function, arguments, message, code=1):
    """Check that a command ends with this code, and with one line that says why."""
    with pytest.raises(SystemExit) as caught:
        function(list(map(str, arguments)))
    told = capsys.readouterr().err
    assert caught.value.code == code, told
    assert re.search(message, told), told
    assert "Traceback" not in told
    if code == 1:
        assert told.splitlines()[-1].startswith(f"python -m cnnlib.{function.__name__.removesuffix('_command')}: ")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short training, begun as a person begins it, and what it said."""
    out = tmp_path_factory.mktemp("trained") / "new" / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = [*DIGITS, "--epochs", "8", "--hold-out", "300", "--test", "--out", str(out)]
    process = [sys.executable, "-m", "cnnlib.train", *options]
    done = subprocess.run(process, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return out, done


def test_a_training_writes_its_files_and_tells_epoch_by_epoch(trained):
    out, done = trained
    assert sorted(os.listdir(out)) == ["checkpoint.pt", "log.csv", "weights.npz"]
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [f"epoch {n}" for n in range(1, 9)]
    last, scores, *matrix = done.stdout.splitlines()
    assert last.startswith("epoch 8: lr ")
    assert last.endswith(f"in {out}")
    accuracy = float(re.match(r"accuracy ([\d.]+)%, loss [\d.]+; rows are true classes", scores)[1])
    assert accuracy > 90
    counts = np.array([row.split() for row in matrix], int)
    assert counts.shape == (10, 10)
    assert f"{np.trace(counts) / counts.sum():.2%}" == f"{accuracy:.2f}%"


def test_its_weights_are_evaluated_to_the_same_scores(trained, tmp_path, capsys):
    out, done = trained
    evaluate_command([*DIGITS, "--weights", str(out / "weights.npz"), "--json", str(tmp_path / "new" / "test.json")])
    assert capsys.readouterr().out.splitlines() == done.stdout.splitlines()[1:]
    found = json.loads((tmp_path / "new" / "test.json").read_text("utf-8"))
    assert found.keys() == {"loss", "accuracy", "confusion"}
    assert found["accuracy"] == np.trace(found["confusion"]) / np.sum(found["confusion"])
    evaluate_command([*DIGITS, "--weights", str(out / "weights.npz"), "--hold-out", "300"])
    held_out = capsys.readouterr().out
    last = (out / "log.csv").read_text("utf-8").splitlines()[-1].split(",")
    assert held_out.startswith(f"accuracy {float(last[5]):.2%}, loss {float(last[4]):.4f}")


def test_the_same_command_again_says_the_same_and_other_options_are_refused(trained, capsys):
    out, done = trained
    before = {name: (out / name).read_bytes() for name in os.listdir(out)}
    same = [*DIGITS, "--epochs", "8", "--hold-out", "300", "--out", out]
    train_command(list(map(str, same)))
    assert capsys.readouterr().out == done.stdout.splitlines()[0] + "\n"
    for change, message in (
        (["--lr", "0.01"], "learning rate of epoch 1 0.002; expected 0.0004"),
        (["--augment", "shift"], "augment None; expected 'shift'"),
        (["--optimiser", "adamw"], "optimiser 'SGD'; expected 'AdamW'"),
        (["--adversary-eps", "0.2"], r"adversary None; expected 'Adversary\(threat=Threat\(norm=inf, eps=0.2"),
        (["--model", "resnet20"], "is of another model"),
        (["--hold-out", "200"], r"images '\(\d+, 1, 8, 8\)"),
    ):
        refused(capsys, train_command, [*same, *change], message)
    assert {name: (out / name).read_bytes() for name in os.listdir(out)} == before


def test_a_training_against_an_attack_is_gone_on_with_against_the_same_one_only(tmp_path, capsys):
    short = [*DIGITS, "--epochs", "2", "--batch-size", "400", "--out", str(tmp_path)]
    attacked = [*short, "--adversary-eps", "0.1", "--adversary-steps", "1", "--adversary-ramp", "0.5"]
    train_command(attacked)
    before = (tmp_path / "weights.npz").read_bytes()
    begun = (
        r"adversary 'Adversary\(threat=Threat\(norm=inf, eps=0.1, .*\), steps=1, step_size=None, ramp=3\)'; expected "
    )
    for change in (["--adversary-eps", "0.2"], ["--adversary-steps", "2"], ["--adversary-ramp", "0"]):
        refused(capsys, train_command, [*attacked, *change], begun + "'Adversary")
    refused(capsys, train_command, short, begun + "None")
    assert (tmp_path / "weights.npz").read_bytes() == before
    train_command([*short, "--out", str(tmp_path / "plain")])
    assert (tmp_path / "plain" / "weights.npz").read_bytes() != before


def test_the_adversary_is_the_one_that_was_asked_for():
    def asked(*options):
        found = with_usual(train_options().parse_args([*DIGITS, *options]))
        return command.adversary(found.adversary_eps, found.adversary_steps, found.adversary_ramp, 200)

    assert asked() is None
    assert asked("--adversary-eps", "0.2") == Adversary(Threat(inf, 0.2), steps=7, ramp=0)
    ramp = asked("--adversary-eps", "0", "--adversary-steps", "1", "--adversary-ramp", "0.7")
    assert ramp == Adversary(Threat(inf, 0.0), steps=1, ramp=140)


def test_without_options_data_and_optimiser_decide():
    def usual(*arguments):
        return vars(with_usual(train_options().parse_args(list(arguments))))

    cifar = usual("--model", "resnet20", "--data", "cifar10", "--seed", "3")
    assert cifar["out"] == Path("runs/resnet20_cifar10_3")
    recipe = {
        "lr": 0.2,
        "label_smoothing": 0.05,
        "augment": "reflect-flip",
        "schedule": "one-cycle",
        "weight_decay": 5e-4,
    }
    assert recipe.items() <= cifar.items()
    assert usual(*DIGITS)["augment"] == "none"
    assert usual("--model", "lenet5", "--data", "mnist")["augment"] == "shift"
    adamw = usual("--model", "coatnet_cifar", "--data", "cifar10", "--optimiser", "adamw", "--weight-decay", "0.1")
    assert (adamw["lr"], adamw["weight_decay"]) == (0.002, 0.1)
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "runs/" in ignored


def test_help_names_every_network_and_what_is_usual(capsys):
    for function, words in (
        (train_command, ("resnet20", "40 for digits", "reflect-flip for")),
        (evaluate_command, ("lenet5",)),
    ):
        with pytest.raises(SystemExit) as caught:
            function(["--help"])
        assert caught.value.code == 0
        told = " ".join(capsys.readouterr().out.split())
        assert all(word in told for word in words)


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--batch-size", 2000], "batch_size is 2000; expected at most 1438, the number of images", 1),
        (["--batch-size", 0], "argument --batch-size: '0' is no positive integer", 2),
        (["--epochs", "many"], "argument --epochs: 'many' is no positive integer", 2),
        (["--seed", -1], "seed is -1; expected", 1),
        (["--lr", -1], "learning rate", 1),
        (["--lr", 1e30], "the loss is nan at step 1; probably the learning rate, 5.58e\\+28, is too large", 1),
        (["--label-smoothing", 2], "label_smoothing is 2.0; expected a number from 0 to 1", 1),
        (["--hold-out", 1437], "hold-out is 1437; expected so many that each class can keep some and give some", 1),
        (["--hold-out", 5000], "hold-out is 5000; expected 0 to 1437", 1),
        (["--patience", 3], "--patience needs --hold-out", 2),
        (["--adversary-eps", -0.1], r"eps is -0.1; expected a number of at least 0", 1),
        (["--adversary-eps", "nan"], "eps is nan; expected a finite number", 1),
        (["--adversary-eps", "far"], "argument --adversary-eps: invalid float value: 'far'", 2),
        (["--adversary-eps", 0.1, "--adversary-steps", 0], "--adversary-steps: '0' is no positive integer", 2),
        (["--adversary-eps", 0.1, "--adversary-ramp", 2], "adversary-ramp is 2.0; expected a number from 0 to 1", 1),
        (["--adversary-steps", 5], "--adversary-steps and --adversary-ramp need --adversary-eps", 2),
        (["--adversary-ramp", 0.5], "--adversary-steps and --adversary-ramp need --adversary-eps", 2),
        (["--device", "tpu"], "device is 'tpu'; expected 'auto', 'cpu', 'cuda', 'cuda:1' …", 1),
        (["--model", "lenet5"], r"lenet5 does not take the images of digits, \(1, 8, 8\): x has shape", 1),
        (["--model", "coatnet_cifar"], r"coatnet_cifar does not take the images of digits, \(1, 8, 8\)", 1),
        (["--model", "resnet21"], "argument --model: invalid choice: 'resnet21'", 2),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_bad_options_are_told_briefly(tmp_path, capsys, options, message, code):
    options = [*DIGITS, "--epochs", 1, "--out", tmp_path / "run", *options]
    refused(capsys, train_command, options, message, code)
    assert not (tmp_path / "run").exists() or os.listdir(tmp_path / "run") == []


def test_cuda_where_there_is_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for function in (train_command, evaluate_command):
        refused(capsys, function, [*DIGITS, "--device", "cuda"], "device is 'cuda', and torch .* sees no GPU here")


def test_a_folder_that_cannot_be_written_is_told_before_the_training(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    refused(capsys, train_command, [*DIGITS, "--out", tmp_path / "file"], "File exists: .*file")
    refused(capsys, train_command, [*DIGITS, "--out", tmp_path / "file" / "run"], "Not a directory: .*run")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(
        capsys, train_command, [*DIGITS, "--out", tmp_path / "a"], "nothing can be written to .*; choose another folder"
    )


def test_a_disk_that_is_full_at_the_end_is_told(tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = r"cannot write .*checkpoint\.pt: No space left on device"
    refused(capsys, train_command, [*DIGITS, "--epochs", 1, "--out", tmp_path], message)
    assert os.listdir(tmp_path) == []


def test_a_damaged_checkpoint_is_told(tmp_path, capsys):
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    refused(capsys, train_command, [*DIGITS, "--out", tmp_path], r"checkpoint\.pt is no checkpoint, or is damaged")
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_bad_weights_are_told(tmp_path, capsys, trained):
    refused(capsys, evaluate_command, [*DIGITS, "--weights", tmp_path / "none.npz"], r"No such file .*none\.npz")
    (tmp_path / "half.npz").write_bytes((trained[0] / "weights.npz").read_bytes()[:999])
    refused(capsys, evaluate_command, [*DIGITS, "--weights", tmp_path / "half.npz"], r"half\.npz is no file of weights")
    other = ["--model", "resnet20", "--data", "digits", "--weights", trained[0] / "weights.npz"]
    refused(capsys, evaluate_command, other, r"weights\.npz holds weights of another network: 0\.bias is \(16,\)")
    target = ["--weights", trained[0] / "weights.npz", "--json", trained[0] / "weights.npz" / "x"]
    refused(capsys, evaluate_command, [*DIGITS, *target], "cannot write .*x: ")


def test_without_a_file_the_shipped_weights_are_taken(tmp_path, capsys, monkeypatch, trained):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    refused(
        capsys, evaluate_command, DIGITS, r"no weights of digits_cnn on digits come with cnnlib \(there are: none\)"
    )
    (tmp_path / "digits_cnn_digits.npz").write_bytes((trained[0] / "weights.npz").read_bytes())
    data = sets.load("digits")
    made = {"model": "digits_cnn", "num_classes": 10, "mean": data.mean, "std": data.std, "padding": 0}
    (tmp_path / "digits_cnn_digits.json").write_text(json.dumps(made), "utf-8")
    evaluate_command(DIGITS)
    assert capsys.readouterr().out.splitlines() == trained[1].stdout.splitlines()[1:]
    refused(capsys, evaluate_command, ["--model", "lenet5", "--data", "digits"], r"\(there are: digits_cnn_digits\)")


def test_a_gpu_without_enough_memory_is_told(tmp_path, capsys, monkeypatch):
    def large(x, generator):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setitem(command.AUGMENTATIONS, "shift", large)
    refused(capsys, train_command, [*DIGITS, "--augment", "shift", "--out", tmp_path], "train: CUDA out of memory")


def test_interrupted_by_hand_it_ends_without_a_traceback(tmp_path, capsys, monkeypatch):
    def interrupt(x, generator):
        raise KeyboardInterrupt

    monkeypatch.setitem(command.AUGMENTATIONS, "shift", interrupt)
    refused(capsys, train_command, [*DIGITS, "--augment", "shift", "--out", tmp_path], "train: stopped$", 130)


def test_held_out_images_are_always_the_same_and_of_every_class():
    images, labels = np.arange(100), np.arange(100) % 10
    kept, out = hold_out(images, labels, 30)
    assert sorted([*kept[0], *out[0]]) == list(range(100))
    assert np.bincount(out[1]).tolist() == [3] * 10
    assert np.array_equal(out[0], hold_out(images, labels, 30)[1][0])
    assert len(hold_out(images, labels, 0)[1][0]) == 0


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "step"])
@pytest.mark.parametrize("steps", [0, 1, 2, 19, 100])
def test_schedules_cover_every_step_and_reach_the_rate(name, steps):
    rates = [command.schedule(name, 0.2, steps)(step) for step in range(steps)]
    assert all(0 <= rate <= 0.2 for rate in rates)
    if steps == 100:
        assert max(rates) == pytest.approx(0.2, rel=1e-3)
        assert rates[-1] <= 0.002 + 1e-12


def test_adamw_lets_vectors_not_decay():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    decaying, others = command.optimiser(model, "adamw", 0.1, 0.9, 0.05).param_groups
    assert [p.ndim for p in decaying["params"]] == [4]
    assert [p.ndim for p in others["params"]] == [1, 1, 1]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.05, 0)
    plain = command.optimiser(model, "sgd", 0.1, 0.0, 0.0).param_groups[0]
    assert (plain["nesterov"], plain["momentum"]) == (False, 0.0)
