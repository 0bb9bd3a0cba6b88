"""How deep must a network be? The rule: until its receptive field covers the object. Tried where its size is known.

    python -m experiments.depth

The object is a pair of pixels, +2 and −2, the second k − 1 columns to the right of the first, somewhere in a noisy
strip of 8 × 32 pixels (noise of standard deviation 0.3); which of the two comes first is the class. The strip is closed
to a ring both ways, and so are the convolutions: no border tells where one is. A window of less than k columns holds at
most one of the two, so whatever a window shows is as frequent in either class. Only who fitted the noise of overlapping
windows together could tell them apart; a network whose receptive field is smaller than k, and which keeps but the
maximum of each channel, can do no more than guess. The networks are d convolutions of 3 × 3 with 16 channels, batch
norm and ReLU, without pooling: each output sees 2d + 1 columns; then the maximum over all places and a linear layer.
AdamW without weight decay, a cosine from 0.003 after a warm-up of a twentieth, batches of 64, 3 epochs of 10,000
images, tested on 4,000, bfloat16; k is 5, 9 and 13, d 1 to 8, seeds 0, 1 and 2. In a first trial (k = 9, one seed,
other images) networks without batch norm were still guessing at 2d + 1 = 9; nothing else was tried. 72 trainings, 2.6 s
for each layer of each: 15 minutes of one thread.

Predictions: below k the accuracy is within 2.5 points of 50 %, three standard errors (else information leaks, and the
experiment is wrong); the rule, if it is one, needs no more than the first field that covers the object: at 2d + 1 = k
the mean accuracy over the seeds is above 95 %. It is refuted where larger fields are needed; then the step's place is
the result. The effective field should say why: the gradient of the central output's vote with respect to the pixels
fades from the centre, so that the columns that hold 95 % of its square are fewer than 2d + 1, before training and, if
the rule is to hold at 2d + 1 = k, less so after. Luo et al. (2016), https://arxiv.org/abs/1701.04128.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import nn

from cnnlib.data import sets, tensors
from cnnlib.evaluate import evaluate, in_use
from experiments.harness import Row, fit, run_missing
from experiments.networks import drawn
from experiments.verdicts import Verdict, holds_if, over_seeds

HEIGHT, WIDTH, CHANNELS = 8, 32, 16
TRAIN, TEST, EPOCHS, BATCH, LR = 10_000, 4000, 3, 64, 0.003
OBJECTS, DEPTHS = (5, 9, 13), range(1, 9)
SETTINGS: list[Row] = [
    {"object": size, "depth": depth, "seed": seed} for seed in (0, 1, 2) for size in OBJECTS for depth in DEPTHS
]


def pairs(n: int, size: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return n strips (n, 1, 8, 32) of float32, each with an object `size` columns wide, and their labels (n,)."""
    images = 0.3 * generator.standard_normal((n, 1, HEIGHT, WIDTH), np.float32)
    labels, rows, columns = (generator.integers(high, size=n) for high in (2, HEIGHT, WIDTH))
    left = np.where(labels == 1, np.float32(2), np.float32(-2))
    images[np.arange(n), 0, rows, columns] += left
    images[np.arange(n), 0, rows, (columns + size - 1) % WIDTH] -= left
    return images, labels


def chain(depth: int, seed: int) -> nn.Sequential:
    """Return `depth` convolutions that keep the size, the maximum over the plane, and a linear layer."""

    def build() -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(depth):
            convolution = nn.Conv2d(CHANNELS if i else 1, CHANNELS, 3, padding=1, padding_mode="circular", bias=False)
            layers += [convolution, nn.BatchNorm2d(CHANNELS), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 2))

    return drawn(build, seed)


def effective_field(network: nn.Sequential, images: torch.Tensor, part: float = 0.95) -> int:
    """Return how many columns around the central one hold `part` of the squared gradient of that place's vote.

    The vote is the difference of the two logits if there were no other place; images (N, 1, 8, 32).
    """
    pixels, last = images.clone().requires_grad_(), network[-1]
    assert isinstance(last, nn.Linear)
    with in_use(network), torch.enable_grad():
        centre = network[:-3](pixels)[:, :, HEIGHT // 2, WIDTH // 2]  # (N, channels)
        vote = centre @ (last.weight[1] - last.weight[0])
    (gradient,) = torch.autograd.grad(vote.sum(), pixels)
    columns = gradient.square().sum((0, 1, 2))  # (32,)
    held = [columns[WIDTH // 2 - i : WIDTH // 2 + i + 1].sum() / columns.sum() for i in range(WIDTH // 2)]
    return 2 * next(i for i, fraction in enumerate(held) if fraction >= part) + 1


def measure(setting: Row, folder: Path) -> list[Row]:
    """Train one network on one size of object; return its row."""
    size, depth, seed = setting["object"], setting["depth"], setting["seed"]
    draws = np.random.default_rng([seed, size])
    data = sets.DataSet(pairs(TRAIN, size, draws), pairs(TEST, size, draws), (0.0,), (1.0,))
    network, start = chain(depth, seed), time.process_time()
    images, labels = tensors(*data.test)
    untrained = effective_field(network, images[:500])
    model, history = fit(
        network,
        data,
        seed=seed,
        epochs=EPOCHS,
        lr=LR,
        batch_size=BATCH,
        weight_decay=0.0,
        optimiser_name="adamw",
        folder=folder,
    )
    return [
        {
            "field": 2 * depth + 1,
            "effective_field_untrained": untrained,
            "effective_field": effective_field(network, images[:500]),
            "train_accuracy": f"{history[-1]['train_accuracy']:.4f}",
            "test_accuracy": f"{evaluate(model, images, labels, precision='bfloat16').accuracy:.4f}",
            "cpu_seconds": round(time.process_time() - start, 1),
        }
    ]


def verdicts() -> list[Verdict]:
    """Judge the predictions; the place of the step is in the last column of the second."""

    def column(size: int, depth: int, name: str) -> list[float]:
        return over_seeds("depth", {"object": size, "depth": depth}, name)

    below = [a for size in OBJECTS for d in DEPTHS if 2 * d + 1 < size for a in column(size, d, "test_accuracy")]
    at = {size: mean(column(size, size // 2, "test_accuracy")) for size in OBJECTS}
    enough = {size: [2 * d + 1 for d in DEPTHS if mean(column(size, d, "test_accuracy")) > 0.95] for size in OBJECTS}
    step = {size: f"above 95 from {fields[0]} on" if fields else "never above 95" for size, fields in enough.items()}
    before, after = (
        {d: mean(v for size in OBJECTS for v in column(size, d, name)) for d in DEPTHS}
        for name in ("effective_field_untrained", "effective_field")
    )
    covering = [size // 2 for size in OBJECTS]
    return [
        Verdict(
            "with a receptive field smaller than the object a network can only guess",
            holds_if(all(abs(a - 0.5) <= 0.025 for a in below)),
            f"{100 * min(below):.1f} to {100 * max(below):.1f} % of the answers right",
        ),
        Verdict(
            "the first field that covers the object is enough: above 95 %",
            holds_if(all(a > 0.95 for a in at.values())),
            "; ".join(f"{size} wide: {100 * a:.1f} %, {step[size]}" for size, a in at.items()),
        ),
        Verdict(
            "before training the effective field is smaller than the receptive field",
            holds_if(all(before[d] < 2 * d + 1 for d in DEPTHS)),
            ", ".join(f"{before[d]:.1f} of {2 * d + 1}" for d in DEPTHS),
        ),
        Verdict(
            "where the field just covers the object, training widens the effective one",
            holds_if(all(after[d] > before[d] for d in covering)),
            ", ".join(f"{before[d]:.1f} to {after[d]:.1f}" for d in covering),
        ),
    ]


if __name__ == "__main__":
    run_missing("depth", SETTINGS, measure)
