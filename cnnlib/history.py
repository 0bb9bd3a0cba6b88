"""What a training notes of each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnlib.files import write_csv

History = list[dict[str, Any]]


def epochs_without_gain(history: History) -> int:
    """Return how many epochs ago the validation loss was lowest; 0 before the first.

    >>> epochs_without_gain([{"validation_loss": loss} for loss in (0.9, 0.5, 0.7, 0.5)])
    2
    """
    losses = [row["validation_loss"] for row in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def sentence(row: dict[str, Any]) -> str:
    """Return a row as it is told to a person.

    >>> sentence({"epoch": 3, "lr": 0.1, "train_loss": 0.123456, "seconds": 4.7})
    'epoch 3: lr 0.1, train loss 0.1235, seconds 4.7'
    """
    epoch, *rest = row.items()
    return f"epoch {epoch[1]}: " + ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in rest)


def write_log(path: Path, history: History) -> None:
    """Write the history as a CSV file, all or nothing; raises OSError, naming the file, where it cannot be written."""
    write_csv(path, list(history[0]) if history else ["epoch"], history)
