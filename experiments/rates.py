"""Every network at the learning rate that suits it, chosen on held-out training images; the test set is not read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

from torch import nn

from cnnlib.command import hold_out
from cnnlib.data import sets, tensors
from cnnlib.divergence import Diverged
from cnnlib.evaluate import evaluate
from cnnlib.train import History
from experiments import harness
from experiments.harness import Row

HELD_OUT = 5000


def held_out(data: sets.DataSet, n: int) -> tuple[sets.DataSet, sets.DataSet]:
    """Return (to choose by, to report): both train on what is left, the first tests on n images held out of it."""
    kept, out = hold_out(*data.train, n)
    return data._replace(train=kept, test=out), data._replace(train=kept)


def outcome(fitted: Callable[[], tuple[nn.Module, History]], data: sets.DataSet, part: str) -> Row:
    """Train; return the mean loss of each epoch, and loss and error on `data.test`, in columns named after `part`.

    A training that diverges has an infinite loss.
    """
    try:
        model, history = fitted()
    except Diverged:
        return {"train_losses": "", f"{part}_loss": "inf", f"{part}_error": ""}
    result = evaluate(model, *tensors(*data.test), precision="bfloat16")
    return {
        "train_losses": " ".join(f"{row['train_loss']:.4f}" for row in history),
        f"{part}_loss": f"{result.loss:.4f}",
        f"{part}_error": f"{1 - result.accuracy:.4f}",
    }


def at_best_rates(
    name: str,
    settings: Sequence[Row],
    rates: Sequence[float],
    measure: Callable[[Row, Path], list[Row]],
    criterion: str = "held_out_loss",
) -> list[Row]:
    """Return the settings, each with the `lr` of least `criterion`; `results/NAME_rates.csv` keeps the trials.

    Settings for which another process still tries a rate, or which diverge at all of them, are left out, and named.
    """
    harness.run_missing(f"{name}_rates", [{**setting, "lr": lr} for setting in settings for lr in rates], measure)
    trials = harness.read(harness.RESULTS / f"{name}_rates.csv")
    chosen: list[Row] = []
    for setting in settings:
        of_it = [trial for trial in trials if all(trial[key] == str(value) for key, value in setting.items())]
        scores = {float(trial["lr"]): float(trial[criterion] or "inf") for trial in of_it}
        if set(scores) == set(rates) and isfinite(min(scores.values())):
            chosen.append({**setting, "lr": min(rates, key=lambda lr: scores[lr])})
        else:
            print(f"{name}: {setting} is left out; held-out results are {scores}", flush=True)
    return chosen
