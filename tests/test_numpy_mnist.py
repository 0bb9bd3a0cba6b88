"""The experiment that trains LeNet-5 with NumPy alone: it learns, it imports no torch, its kept table says enough."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from experiments import numpy_mnist


def striped(n, seed):
    """Return n noisy images of horizontal (0) or vertical (1) stripes, uint8, and their labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    stripes = np.where(np.arange(28) // 4 % 2, 200, 20)
    planes = np.where(labels[:, None, None] == 1, stripes, stripes[:, None])
    noisy = planes + generator.integers(0, 50, (n, 28, 28))
    return noisy.astype(np.uint8)[:, None], labels.astype(np.int64)


def test_it_learns_and_a_seed_decides_how():
    train, test = striped(100, 0), striped(50, 1)
    rows = list(numpy_mnist.run(train, test, seed=0, epochs=3, batch_size=16, lr=0.02))
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["accuracy"] for row in rows] == [None, None, 1.0]
    assert float(rows[-1]["loss"]) < 0.1 < float(rows[0]["loss"])
    again = numpy_mnist.run(train, test, seed=0, epochs=3, batch_size=16, lr=0.02)
    assert [row["loss"] for row in again] == [row["loss"] for row in rows]


def test_torch_is_not_imported():
    code = "import sys, experiments.numpy_mnist; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pixels_of_mean_value_become_zero():
    x = numpy_mnist.prepared(np.array([[0, 255]], dtype=np.uint8))
    assert x.dtype == np.float32
    assert x == pytest.approx(np.array([[-0.1307, 0.8693]]) / 0.3081, abs=1e-4)


def test_the_kept_table_says_what_the_course_claims():
    with (numpy_mnist.RESULTS / "numpy_mnist.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["epoch"]) for row in rows] == [(str(s), str(e)) for s in (0, 1, 2) for e in range(1, 6)]
    for row in rows:
        assert float(row["seconds"]) <= 12
        assert all(row[name] for name in ("device", "versions", "date", "command"))
        assert row["images"] == "60000"
    accuracies = [float(row["accuracy"]) for row in rows if row["epoch"] == "5"]
    assert len(accuracies) == 3
    assert min(accuracies) >= 0.985
