"""LeNet-5 learns MNIST with NumPy alone: no torch is imported.

`python -m experiments.numpy_mnist` trains the network of `nn_numpy.lenet5` for five epochs with each of three seeds and
keeps a table: one row an epoch, its mean loss and its seconds, CPU time of one thread; and, in the last row of a seed,
the fraction of the test set that is read rightly. The recipe (Nesterov's momentum 0.9, one cycle up to a rate of 0.1,
weight decay 5e-4, batches of 128, no augmentation) was chosen on the last 5,000 training images with seed 0, by
`--held-out`. Seed 0 is the one declared beforehand; the test set is read once, at the end of each run.

MNIST must lie under CNNLIB_DATA.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnlib import data, nn_numpy
from cnnlib.fast.threads import one_blas_thread
from cnnlib.schedules import one_cycle

RESULTS = Path(__file__).parent / "results"
FIELDS = ("seed", "epoch", "loss", "seconds", "accuracy", "images")
MEAN, STD = 0.1307, 0.3081  # of the training set's pixels, from 0 to 1


def prepared(images: np.ndarray) -> np.ndarray:
    """Return pixels 0 … 255 as float32 of mean 0 and variance 1 over the training set."""
    return (images.astype("float32") / 255 - np.float32(MEAN)) / np.float32(STD)


def run(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
    epochs: int = 5,
    batch_size: int = 128,
    lr: float = 0.1,
    weight_decay: float = 5e-4,
) -> Iterator[dict[str, Any]]:
    """Train a LeNet-5 on images (N, 1, 28, 28) uint8 and labels (N,); yield a row after each epoch.

    `test`, as `train`, is read after the last epoch. The seed decides the weights and the order of the images.
    """
    generator = np.random.default_rng(seed)
    model = nn_numpy.lenet5(generator).astype("float32")
    optimiser = nn_numpy.SGD(model, lr=lr, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    x, target = prepared(train[0]), train[1]
    steps, step = epochs * -(-len(x) // batch_size), 0
    for epoch in range(1, epochs + 1):
        start, total = time.process_time(), 0.0
        for batch in nn_numpy.batches(len(x), batch_size, generator):
            optimiser.lr = one_cycle(step, lr=lr, steps=steps)
            total += len(batch) * nn_numpy.train_step(model, optimiser, x[batch], target[batch])
            step += 1
        seconds = time.process_time() - start
        accuracy = nn_numpy.accuracy(model, prepared(test[0]), test[1]) if epoch == epochs else None
        row = (seed, epoch, f"{total / len(x):.4f}", f"{seconds:.1f}", accuracy, len(x))
        yield dict(zip(FIELDS, row, strict=True))


def main() -> None:
    """Train with every seed, print each epoch, and write the table with what made it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.1, help="the highest learning rate of the cycle")
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--held-out", action="store_true", help="test on 5,000 training images instead, write nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    images, labels = data.mnist("train")
    if options.held_out:
        train, test = (images[:-5000], labels[:-5000]), (images[-5000:], labels[-5000:])
    else:
        train, test = (images, labels), data.mnist("test")
    rows = []
    recipe = {name: getattr(options, name) for name in ("epochs", "batch_size", "lr", "weight_decay")}
    os.environ["CNNLIB_THREADS"] = "1"  # read when the first layer computes
    with one_blas_thread():
        for seed in options.seeds:
            for row in run(train, test, seed=seed, **recipe):
                print(*row.values(), sep="\t", flush=True)
                rows.append(row)
    if "torch" in sys.modules:
        raise RuntimeError("torch was imported; expected NumPy alone")
    if not options.held_out:
        write(rows, options.out / "numpy_mnist.csv", " ".join(sys.argv[1:]))


def write(rows: list[dict[str, Any]], path: Path, arguments: str) -> None:
    """Write the rows, each with the machine, the versions, the date and the command that made it."""
    provenance = {
        "device": f"cpu ({platform.machine()}), one thread",
        "versions": f"python {platform.python_version()}, numpy {np.__version__}",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "command": f"python -m experiments.numpy_mnist {arguments}".strip(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*FIELDS, *provenance])
        writer.writeheader()
        writer.writerows(row | provenance for row in rows)


if __name__ == "__main__":
    main()
