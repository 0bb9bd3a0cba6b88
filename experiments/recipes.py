"""How the options of the shipped trainings were chosen: on held-out training images, the test set unread.

    python -m experiments.recipes

Each setting is one `python -m cnnlib.train … --hold-out N`, seed 0, whose last epoch is judged by the N images that are
held out: 5,000 of MNIST and of CIFAR-10, 287 of the digits (a fifth). Label smoothing and batches are the usual ones
and were not searched; neither was the one-cycle schedule. The rates and, for digits, augmentation are tried in factors
of two around what was guessed. Trainings on CIFAR-10 are of 4 epochs, in place of 20 or more, those on MNIST of 10, in
place of 20 or 40: a rate that is best for few epochs need not be best for many. For LeNet-5, where 40 epochs were tried
too, the rate that was best in 10 came second, by less than the standard error. For the hybrid the best rate stood at
the end of its range; 0.008 was added then, and is ahead again, by less than the standard error: the smaller of these
two is taken. ResNet-20 over-fits in 80 epochs: trials of 20 compare what holds it back, more weight decay, edges that
are reflected and not black, and cutout.
Prediction: the best rate is not at the end of its range, and the options of `tools.weights` lie within twice the
standard error of the held-out accuracy of the best; where not, they change.

CPU time of one thread, in ms an image and step: ResNet-20 2.2, the hybrid 2.2, LeNet-5 0.11 (1998: 0.16); with the
epochs below 36 + 130 + 20 + 6 + 6 minutes, and seconds for the digits.
"""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from cnnlib.command import train_command
from cnnlib.divergence import Diverged
from experiments.harness import Row, run_missing

FAST = "--precision bfloat16 --channels-last"
OPTIONS = {  # model and data: what all trials of a network share
    "digits_cnn digits": "--hold-out 287 --epochs 40 --batch-size 32",
    "lenet5 mnist": "--hold-out 5000 --epochs 10",
    "lenet5_1998 mnist": "--hold-out 5000 --epochs 10 --batch-size 64 --weight-decay 0 --augment shift",
    "resnet20 cifar10": f"--hold-out 5000 --epochs 4 --label-smoothing 0.05 --augment crop-flip {FAST}",
    "coatnet_cifar cifar10": "--hold-out 5000 --epochs 4 --optimiser adamw --weight-decay 0.05 --label-smoothing 0.05 "
    f"--augment crop-flip {FAST}",
}
PAIRS = (*(("adamw", lr) for lr in (0.0025, 0.005, 0.01)), *(("sgd", lr) for lr in (0.005, 0.01, 0.02)))
LONG = ((0.05, ""), (0.05, " --label-smoothing 0.05"), (0.1, ""))
LONGER = ("", " --weight-decay 1e-3", " --augment reflect-flip", " --augment reflect-flip-cutout")
TRIALS = {
    "digits_cnn digits": [f"--lr {lr} --augment {a}" for a in ("none", "shift") for lr in (0.025, 0.05, 0.1, 0.2)],
    "lenet5 mnist": [f"--lr {lr} --augment {a}" for a in ("none", "shift") for lr in (0.025, 0.05, 0.1, 0.2)]
    + [f"--lr {lr} --augment shift --epochs 40{more}" for lr, more in LONG],
    "lenet5_1998 mnist": [f"--optimiser {o} --lr {lr}" for o, lr in PAIRS],
    "resnet20 cifar10": [f"--lr {lr}" for lr in (0.05, 0.1, 0.2, 0.4)]
    + [f"--lr 0.2 --epochs 20{more}" for more in LONGER],
    "coatnet_cifar cifar10": [f"--lr {lr}" for lr in (0.001, 0.002, 0.004, 0.008)],
}
SETTINGS: list[Row] = [{"network": name, "trial": trial} for name, trials in TRIALS.items() for trial in trials]
NUMBERS = ("epochs", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")


def training(arguments: Sequence[str], folder: Path) -> list[dict[str, str]]:
    """Train as the command does, or go on with it; return its log, empty where the training diverges."""
    try:
        train_command([*arguments, "--out", str(folder)])
    except SystemExit as stopped:  # what went wrong was told on standard error
        if isinstance(stopped.__context__, Diverged):
            return []
        raise
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one trial: the numbers of its last epoch and the options of the training."""
    model, data = setting["network"].split()
    options = f"--model {model} --data {data} {OPTIONS[setting['network']]} {setting['trial']}"
    log = training(shlex.split(options), folder)
    if not log:
        return [{"options": options, **dict.fromkeys(NUMBERS, ""), "train_loss": math.inf, "validation_loss": math.inf}]
    last = {name: f"{float(log[-1][name]):.4f}" for name in NUMBERS[1:-1]}
    return [{"options": options, "epochs": len(log), **last, "seconds": round(sum(float(r["seconds"]) for r in log))}]


if __name__ == "__main__":
    run_missing("recipes", SETTINGS, measure)
