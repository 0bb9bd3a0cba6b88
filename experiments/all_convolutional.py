"""Whether a stride can take the place of pooling, and a global average that of fully connected layers.

    python -m experiments.all_convolutional

trains the four networks of Springenberg et al. (2015), table 2, https://arxiv.org/abs/1412.6806, at a sixth of their
width, on 10,000 images of CIFAR-10. One of the two stages is two 3 × 3 convolutions and pooling (model C); two, the
second with stride 2 (strided C); three and pooling (ConvPool); or three, the last with stride 2 (All). Pooling is the
largest of 3 × 3 with stride 2; the stages have 16 and 32 channels. The head is a 3 × 3 and a 1 × 1 convolution, then
either a 1 × 1 convolution to ten planes and their means, or two fully connected layers, of 128 and 10; the latter with
the two deeper networks alone. Batch norm and ReLU after each convolution but that to ten planes, where the paper has
no batch norm, dropout instead, and 350 epochs; no augmentation. 10 epochs, batches of 128, Nesterov's momentum 0.9, a
cosine from 0.1, fixed beforehand for all, after a warm-up of a twentieth, weight decay 5e-4, bfloat16; seeds 0, 1 and
2. About 19 minutes of one thread: 0.3 to 0.8 ms an image and step.

Predictions. (1) At equal parameters, pooling is no better than stride: ConvPool-CNN against All-CNN, where the paper
has 9.3 and 9.1 % error; refuted if the error of ConvPool-CNN is lower and the ranges of three seeds do not overlap.
(2) Without the extra convolution stride loses to pooling, the paper's model C against its strided form: 9.7 and 10.2 %;
refuted if the strided one's mean is not higher. (3) The global average generalises better, Lin et al. (2014), section
3.2, https://arxiv.org/abs/1312.4400: the fully connected head ends at the lower training loss and the higher test
error; refuted if its test error is not higher. (11.6 and 10.4 % there, 10.9 with dropout, which is left out here.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean

from torch import nn

from cnnlib.data import sets
from experiments.harness import Row, first, fit, run_missing
from experiments.networks import conv_norm, costs, drawn
from experiments.rates import outcome
from experiments.verdicts import (
    HOLDS,
    Verdict,
    all_of,
    holds_if,
    means_in_order,
    percent,
    ranges_in_order,
    rows_of_seeds,
)

IMAGES, EPOCHS, BATCH, LR = 10_000, 10, 128, 0.1
CHANNELS = (16, 32)
HEADS = ("global average", "fully connected")


def _conv(in_channels: int, channels: int, *, stride: int = 1) -> list[nn.Module]:
    return [*conv_norm(in_channels, channels, 3, stride=stride, padding=1), nn.ReLU()]


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, 1)


STAGES: dict[str, Callable[[int, int], list[nn.Module]]] = {
    "model C": lambda c, n: [*_conv(c, n), *_conv(n, n), _pool()],
    "strided C": lambda c, n: [*_conv(c, n), *_conv(n, n, stride=2)],
    "ConvPool": lambda c, n: [*_conv(c, n), *_conv(n, n), *_conv(n, n), _pool()],
    "All": lambda c, n: [*_conv(c, n), *_conv(n, n), *_conv(n, n, stride=2)],
}
SETTINGS: list[Row] = [
    {"stages": stages, "head": head, "seed": seed}
    for seed in (0, 1, 2)
    for head in HEADS
    for stages in STAGES
    if head == HEADS[0] or stages in {"ConvPool", "All"}
]


def network(stages: str, head: str, seed: int) -> nn.Sequential:
    """Return the network for images (N, 3, 32, 32)."""
    stage, (few, many) = STAGES[stages], CHANNELS

    def build() -> nn.Sequential:
        heads: dict[str, Callable[[], list[nn.Module]]] = {
            "global average": lambda: [nn.Conv2d(many, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
            "fully connected": lambda: [nn.Flatten(), nn.Linear(36 * many, 128), nn.ReLU(), nn.Linear(128, 10)],
        }
        return nn.Sequential(
            *stage(3, few),  # (N, 16, 16, 16)
            *stage(few, many),  # (N, 32, 8, 8)
            *(*conv_norm(many, many, 3), nn.ReLU()),  # (N, 32, 6, 6)
            *(*conv_norm(many, many, 1), nn.ReLU()),
            *heads[head](),
        )

    return drawn(build, seed)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Train one network; return its costs and its scores."""
    data, seed = first(sets.load("cifar10"), IMAGES), setting["seed"]
    model = network(setting["stages"], setting["head"], seed)
    scores = outcome(
        lambda: fit(model, data, seed=seed, epochs=EPOCHS, lr=LR, batch_size=BATCH, folder=folder), data, "test"
    )
    return [{**costs(model, data.train[0].shape[1:]), **scores}]


def verdicts() -> list[Verdict]:
    """Judge the predictions by the test errors, and the last by the training losses too."""

    def rows(stages: str, head: str = HEADS[0]) -> list[dict[str, str]]:
        return rows_of_seeds("all_convolutional", {"stages": stages, "head": head})

    def errors(stages: str, head: str = HEADS[0]) -> list[float]:
        return [float(row["test_error"]) for row in rows(stages, head)]

    def loss(stages: str, head: str) -> float:
        return mean(float(row["train_losses"].split(" ")[-1]) for row in rows(stages, head))

    pooled, strided = errors("ConvPool"), errors("All")
    model_c, strided_c = errors("model C"), errors("strided C")
    heads = {name: [errors(name, head) for head in HEADS] for name in ("ConvPool", "All")}
    losses = {name: [loss(name, head) for head in HEADS] for name in heads}
    return [
        Verdict(
            "at equal parameters pooling is no better than stride",
            holds_if(ranges_in_order(pooled, strided) != HOLDS),
            f"{percent(pooled)} and {percent(strided)} %",
        ),
        Verdict(
            "a stride in place of pooling, with nothing added, loses",
            means_in_order(model_c, strided_c),
            f"{percent(strided_c)} against {percent(model_c)} %",
        ),
        Verdict(
            "the fully connected head has the higher test error",
            all_of(means_in_order(average, full) for average, full in heads.values()),
            "; ".join(
                f"{name} {percent(full)} against {percent(average)} %" for name, (average, full) in heads.items()
            ),
        ),
        Verdict(
            "and the lower training loss",
            holds_if(all(full < average for average, full in losses.values())),
            "; ".join(f"{name} {full:.2f} against {average:.2f}" for name, (average, full) in losses.items()),
        ),
    ]


if __name__ == "__main__":
    run_missing("all_convolutional", SETTINGS, measure)
