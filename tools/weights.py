"""Train the networks whose weights come with the package.

    python -m tools.weights [NAME …] [--seeds 0 1 2]

Recipes are compared on held-out training images (`experiments/results/recipes.csv`; `book/networks.md` says where a
test set was read before the recipe was settled). Every network is then trained on all training images with seed 0,
declared here before its first training, and the weights of the last epoch are shipped, whatever they score. Seeds 1 and
2 are trained to see how much chance there is in that score. Each training is evaluated once. One that was stopped goes
on where it was; one that is done is not repeated.

Those whose names end in `_robust` are trained against an attack. How many images they have right under other attacks is
added to their provenance by `python -m experiments.robust_networks`. The digits' options were chosen by
`experiments/results/robust_recipes.csv`, which also compares MNIST's with others.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import ONE_THREAD, processor
from cnnlib.command import PADDING
from cnnlib.data import sets
from cnnlib.files import write_whole
from cnnlib.weights import SHIPPED, read
from experiments.harness import runs

SHIPPED_SEED = 0
RECIPES = {
    "digits_cnn_digits": "--epochs 40 --batch-size 32 --lr 0.05 --augment shift",
    "lenet5_mnist": "--epochs 40 --lr 0.05 --augment shift",
    "lenet5_1998_mnist": "--epochs 20 --batch-size 64 --optimiser adamw --lr 0.005 --weight-decay 0 --augment shift",
    "resnet20_cifar10": "--epochs 100 --lr 0.2 --label-smoothing 0.05 --augment reflect-flip "
    "--precision bfloat16 --channels-last",
    "coatnet_cifar_cifar10": "--epochs 20 --optimiser adamw --lr 0.004 --weight-decay 0.05 --label-smoothing 0.05 "
    "--augment crop-flip --precision bfloat16 --channels-last",
    "digits_cnn_digits_robust": "--epochs 60 --batch-size 32 --lr 0.05 --augment none "
    "--adversary-eps 0.2 --adversary-steps 5",
    "wong_kolter_mnist_robust": "--epochs 10 --lr 0.05 --augment none --channels-last "
    "--adversary-eps 0.3 --adversary-steps 3 --adversary-ramp 0.7",
}
ROBUST = "_robust"


def model_and_data(name: str) -> tuple[str, str]:
    """Return the names of the network and of the data that make up the name of the weights.

    >>> model_and_data("digits_cnn_digits_robust")
    ('digits_cnn', 'digits')
    """
    model, _, data = name.removesuffix(ROBUST).rpartition("_")
    return model, data


def arguments(name: str, seed: int) -> list[str]:
    """Return the options of the training: those of the recipe, with model, data and seed."""
    model, data = model_and_data(name)
    return ["--model", model, "--data", data, *shlex.split(RECIPES[name]), "--seed", str(seed)]


def trained(name: str, seed: int) -> Path:
    """Train one network, or go on with it, and evaluate it once; return its folder.

    Raises CalledProcessError where the folder holds a training by another recipe: it is not shipped as this one's.
    """
    folder, options, environment = runs() / "weights" / f"{name}_{seed}", arguments(name, seed), os.environ | ONE_THREAD
    command = [sys.executable, "-m", "cnnlib.train", *options, "--out", str(folder)]
    subprocess.run(command, check=True, env=environment)  # where it is done, that is only seen from the checkpoint
    if not (folder / "test.json").exists():
        command = [sys.executable, "-m", "cnnlib.evaluate", *options[:4], "--weights", str(folder / "weights.npz")]
        subprocess.run([*command, "--json", str(folder / "test.json")], check=True, env=environment)
    return folder


def accuracy(folder: Path) -> float:
    """Return the accuracy on the test set."""
    return json.loads((folder / "test.json").read_text("utf-8"))["accuracy"]


def provenance(name: str, folders: dict[int, Path]) -> dict[str, Any]:
    """Return what made the shipped weights and how well they and their siblings do."""
    model, data = model_and_data(name)
    found = sets.load(data)
    folder = folders[SHIPPED_SEED]
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    values = read(folder / "weights.npz")
    return {
        "model": model,
        "data": data,
        "num_classes": 10,
        "mean": found.mean,
        "std": found.std,
        "padding": PADDING.get(model, 0),
        "command": f"python -m cnnlib.train {shlex.join(arguments(name, SHIPPED_SEED))}",
        "seed": SHIPPED_SEED,
        "training_images": len(found.train[0]),
        "epochs": len(rows),
        "seconds": round(sum(float(row["seconds"]) for row in rows)),
        "train_loss": float(rows[-1]["train_loss"]),
        "train_accuracy": float(rows[-1]["train_accuracy"]),
        "test_images": len(found.test[0]),
        "test_accuracy": accuracy(folder),
        "test_accuracy_of_other_seeds": {str(s): accuracy(f) for s, f in folders.items() if s != SHIPPED_SEED},
        "numbers_stored": sum(value.size for value in values.values()),
        "processor": processor(),
        "threads": 1,
        "versions": {"python": platform.python_version(), "torch": version("torch"), "numpy": version("numpy")},
        "date": date.today().isoformat(),
    }


def ship(name: str, seeds: list[int]) -> None:
    """Train a network with every seed, and put the weights of the declared one into the package."""
    folders = {seed: trained(name, seed) for seed in seeds}
    made = provenance(name, folders)
    write_whole(SHIPPED / f"{name}.npz", (folders[SHIPPED_SEED] / "weights.npz").read_bytes())
    write_whole(SHIPPED / f"{name}.json", (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode())
    print(name, f"{made['test_accuracy']:.2%}", made["test_accuracy_of_other_seeds"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; all, if none is given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"NAME is {', '.join(sorted(unknown))}; expected some of {', '.join(RECIPES)}")
    for name in options.names or RECIPES:
        ship(name, sorted({SHIPPED_SEED, *options.seeds}))
