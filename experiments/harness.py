"""What the experiments share: settings that are run once each, rows that say what made them, and one way to train.

An experiment lists its settings; ``results/NAME.csv`` grows by the rows of one setting when that setting is done, all
at once. Started again, an experiment runs what is missing; several may run side by side. A long training that was
stopped goes on from its last epoch: its checkpoint lies in the folder CNNLIB_RUNS, or in the user's cache, until it is
done; those of less than a minute or so begin anew.
"""

from __future__ import annotations

import csv
import datetime
import fcntl
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.harness import processor
from cnnlib.command import on_images, optimiser, schedule
from cnnlib.data import sets, tensors
from cnnlib.files import write_csv
from cnnlib.train import Adversary, Augment, History, train

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]


def run_missing(name: str, settings: Sequence[Row], measure: Callable[[Row, Path], list[Row]]) -> None:
    """Measure every setting that ``results/NAME.csv`` lacks, and add its rows, each with setting and provenance.

    `measure(setting, folder)` returns rows that share their fields; the folder is for checkpoints.
    """
    path = RESULTS / f"{name}.csv"
    for setting in settings:
        label = "_".join(str(value) for value in setting.values())
        folder = runs() / name / label
        with alone(folder) as here:
            if not here or done(path, setting):
                continue
            print(f"{name}: {setting}", flush=True)
            rows = measure(setting, folder)
            append(path, [{**setting, **row, **provenance()} for row in rows])
            shutil.rmtree(folder, ignore_errors=True)


def runs() -> Path:
    """Return the folder of the trainings that are not finished."""
    return Path(os.environ.get("CNNLIB_RUNS", Path.home() / ".cache" / "cnnlib" / "runs"))


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Say whether no other process works on what this folder is for; until the end none can."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as file:  # with_suffix would take 0.1_0 for one
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def done(path: Path, setting: Row) -> bool:
    """Say whether the file has rows of this setting."""
    as_read = {key: "" if value is None else str(value) for key, value in setting.items()}
    return any(all(row.get(key) == value for key, value in as_read.items()) for row in read(path))


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to a CSV file, all or none, also while others add theirs."""
    runs().mkdir(parents=True, exist_ok=True)
    with (runs() / f"{path.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_csv(path, list(rows[0]), [*read(path), *rows])


def provenance() -> Row:
    """Return with what, on what and when a row was made."""
    spec = sys.modules["__main__"].__spec__  # of a module run by its name; a script has none
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "command": f"python -m {spec.name}" if spec else f"python {Path(sys.argv[0]).name}",
    }


def fit(
    network: nn.Module,
    data: sets.DataSet,
    *,
    seed: int,
    epochs: int,
    lr: float,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    optimiser_name: str = "sgd",
    schedule_name: str = "cosine",
    augment: Augment | None = None,
    adversary: Adversary | None = None,
    label_smoothing: float = 0.0,
    precision: str = "bfloat16",
    folder: Path | None = None,
    each_epoch: Callable[[nn.Module, int], None] | None = None,
) -> tuple[nn.Module, History]:
    """Train a network on the training images of a data set; return it behind its normalisation, and the history.

    SGD has Nesterov's momentum 0.9; a cosine comes after a warm-up of a twentieth of the steps. Only with a `folder`
    can a training that was stopped go on.
    """
    model = on_images(network, data, "")
    images, labels = tensors(*data.train)
    history = train(
        model,
        images,
        labels,
        optimiser=optimiser(model, optimiser_name, lr, 0.9, weight_decay),
        schedule=schedule(schedule_name, lr, epochs * (len(images) // batch_size)),
        epochs=epochs,
        batch_size=batch_size,
        augment=augment,
        adversary=adversary,
        label_smoothing=label_smoothing,
        seed=seed,
        precision=precision,
        channels_last=True,
        checkpoint=folder / "checkpoint.pt" if folder else None,
        each_epoch=(lambda epoch: each_epoch(model, epoch)) if each_epoch else None,
        progress=sys.stderr.isatty(),
    )
    return model, history


def first(data: sets.DataSet, n: int) -> sets.DataSet:
    """Return the data set with its first n training images alone."""
    images, labels = data.train
    return data._replace(train=(images[:n], labels[:n]))
