"""Is the loss around a residual network smoother than around its plain twin? Measured, not only drawn.

    python -m experiments.landscapes

looks at the plain and residual networks of 20 and 44 layers of `experiments.degradation`, seed 0, trained by the same
recipe on the same images. It trains what is not there, 40 to 90 minutes of one thread each; checkpoints stay in the
folder `landscapes_networks` of CNNLIB_RUNS. A finished one of `degradation`, put there, is taken as it is: whatever has
other settings or images is refused (`cnnlib.checkpoints`). Networks trained in the ten minutes that a smaller
experiment would have are not those whose training the landscape is to explain, so these are the ones; their weights,
seven megabytes, are not committed.

Around each the mean loss of the first 150 training images, as in use and with the statistics of batch norm as they are,
is computed along 5 random directions, scaled filter by filter as Li et al. (2018), https://arxiv.org/abs/1712.09913,
section 4, do, at 11 distances from −0.75 to 0.75; and of the first 100 at 9 × 9 places of the plane of the first two.
Twins have the same directions before these are scaled. About 4 minutes of one thread.

A picture persuades, so this measures what can be refuted. The "half width" is the distance at which the loss, the mean
of both sides, has come half the way from the network's own to that of guessing, ln 10; 0.75 where it has not. "Bends"
are the share of the places along a line, without its ends, at which the second difference of the loss is negative: a
convex loss has none.

Predictions. (1) With 44 layers the half width of the plain network is smaller than its twin's. (2) With 20 layers the
factor between the two is nearer to 1: depth makes the difference. (3) With 44 layers the plain network has more bends.
The means of the 5 directions in the other order refute; (1) and (3) are undecided where the ranges overlap. It is one
network of each kind: what another seed would give, nothing here says.
"""

from __future__ import annotations

from itertools import pairwise
from math import log
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from cnnlib.data import augment, sets
from cnnlib.visualize import filter_direction, loss_line, loss_plane
from experiments import harness
from experiments.degradation import BATCH, EPOCHS, IMAGES, NETWORKS
from experiments.harness import Row, first, fit, run_missing, runs
from experiments.images import first_images
from experiments.verdicts import Verdict, holds_if, ranges_in_order

REACH, LINE, PLANE = 0.75, 11, 9  # distances from −REACH to REACH, so many
LINE_IMAGES, PLANE_IMAGES, DIRECTIONS = 150, 100, 5
SETTINGS: list[Row] = [
    {"network": network, "depth": depth, "seed": 0, "along": along}
    for depth in (20, 44)
    for network in NETWORKS
    for along in (*range(DIRECTIONS), "plane")
]


def trained(network: str, depth: int, seed: int) -> nn.Module:
    """Return a network as `degradation` trains it, from the checkpoint where there is one."""
    model, _ = fit(
        NETWORKS[network](depth=depth, seed=seed),
        first(sets.load("cifar10"), IMAGES),
        seed=seed,
        epochs=EPOCHS,
        lr=0.1,
        batch_size=BATCH,
        weight_decay=1e-4,
        augment=augment.crop_and_flip,
        folder=runs() / "landscapes_networks" / f"{network}_{depth}_{seed}",
    )
    return model


def places(count: int) -> list[float]:
    """Return so many distances from −REACH to REACH, equally far apart.

    >>> places(5)
    [-0.75, -0.375, 0.0, 0.375, 0.75]
    """
    return [REACH * (2 * i / (count - 1) - 1) for i in range(count)]


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one line or plane."""
    model = trained(setting["network"], setting["depth"], setting["seed"])
    if setting["along"] == "plane":
        x, y = first_images("cifar10", "train", PLANE_IMAGES)
        losses = loss_plane(model, x, y, (direction(model, 0), direction(model, 1)), places(PLANE))
    else:
        x, y = first_images("cifar10", "train", LINE_IMAGES)
        losses = loss_line(model, x, y, direction(model, setting["along"]), places(LINE))
    return [{"images": len(x), "losses": " ".join(f"{loss:.4f}" for loss in losses.flatten().tolist())}]


def direction(model: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Return a random direction, scaled filter by filter."""
    return filter_direction(model, generator=torch.Generator().manual_seed(seed))


def half_width(losses: list[float]) -> float:
    """Return how far it is, on a line through a network, to half the way from its loss to that of guessing.

    >>> guessing = log(10)
    >>> round(half_width([guessing, guessing / 2, 0.0, guessing / 4, guessing]), 4)
    0.45
    """
    middle, spacing = len(losses) // 2, 2 * REACH / (len(losses) - 1)
    rising = [(losses[middle - i] + losses[middle + i]) / 2 for i in range(middle + 1)]
    level = (rising[0] + log(10)) / 2
    for i, (before, after) in enumerate(pairwise(rising)):
        if after >= level:
            return (i + (level - before) / (after - before)) * spacing
    return REACH


def bends(losses: list[float]) -> float:
    """Return the share of places, without the ends, at which a line is not convex.

    >>> bends([1.0, 0.0, 1.0, 1.5, 2.5])
    0.3333333333333333
    """
    second = [a - 2 * b + c for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
    return mean(value < 0 for value in second)


def lines() -> dict[tuple[str, int], list[list[float]]]:
    """Return the losses along the lines through each network, (directions, distances)."""
    found: dict[tuple[str, int], list[list[float]]] = {}
    for row in harness.read(harness.RESULTS / "landscapes.csv"):
        if row["along"] != "plane":
            losses = [float(loss) for loss in row["losses"].split()]
            found.setdefault((row["network"], int(row["depth"])), []).append(losses)
    return found


def verdicts() -> list[Verdict]:
    """Judge the predictions by the lines."""
    found = lines()
    widths = {which: [half_width(line) for line in of] for which, of in found.items()}
    bent = {which: [bends(line) for line in of] for which, of in found.items()}
    factor = {depth: mean(widths["residual", depth]) / mean(widths["plain", depth]) for depth in (20, 44)}
    told = "; ".join(f"{depth} layers: a factor of {factor[depth]:.2f}" for depth in factor)
    return [
        Verdict(
            "with 44 layers the loss rises sooner around the plain network",
            ranges_in_order(widths["plain", 44], widths["residual", 44]),
            f"half widths {spread(widths['plain', 44])} against {spread(widths['residual', 44])}",
        ),
        Verdict(
            "with 20 layers the two are more alike",
            holds_if(abs(log(factor[20])) < abs(log(factor[44]))),
            told,
        ),
        Verdict(
            "with 44 layers the plain network's lines are less often convex",
            ranges_in_order(bent["residual", 44], bent["plain", 44]),
            f"bends at {100 * mean(bent['plain', 44]):.0f} against {100 * mean(bent['residual', 44]):.0f} % of places",
        ),
    ]


def spread(values: list[float]) -> str:
    """Return mean and range as text.

    >>> spread([0.1, 0.2])
    '0.15 (0.10–0.20)'
    """
    return f"{mean(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    run_missing("landscapes", SETTINGS, measure)
