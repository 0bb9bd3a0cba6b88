"""Whether three convolutions of 3 × 3 beat one of 7 × 7, which sees as much, and if it is for the ReLUs between.

    python -m experiments.kernel_sizes

trains four networks on 20,000 images of CIFAR-10: a 3 × 3 convolution and 2 × 2 max pooling, a block, pooling, a
second block, the mean of each plane, one linear layer. A block is one 7 × 7 convolution; three 3 × 3 with ReLUs between
them; three 3 × 3 without; or three wider ones, of as many parameters as the 7 × 7. Each convolution has batch norm, and
each block ends in a ReLU. 10 epochs without augmentation, batches of 128, Nesterov's momentum 0.9, a cosine from 0.1,
fixed beforehand for all, after a warm-up of a twentieth, weight decay 5e-4, bfloat16; seeds 0, 1 and 2. About 22
minutes of one thread: 0.48 ms an image and step, 0.62 ms for the wide one.

Simonyan and Zisserman (2015), section 2.3, https://arxiv.org/abs/1409.1556: three 3 × 3 decide better and have 27 C²
weights instead of 49 C². Predictions: (1) with ReLUs between, the mean test error is below that of the 7 × 7 although
there are 45 % fewer weights in the blocks; (2) without them it is not; (3) the ReLUs help: with them it is below that
without. Each is refuted by means in the other order, and undecided where the seeds' ranges overlap. If (1) holds and
(3) does not, depth alone, more batch norms, or the borders are the cause. `train_losses` says whether a difference is
one of fitting or of generalising.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from cnnlib.data import sets
from experiments.harness import Row, first, fit, run_missing
from experiments.networks import conv_norm, costs, drawn
from experiments.rates import outcome
from experiments.verdicts import Verdict, over_seeds, percent, ranges_in_order

IMAGES, EPOCHS, BATCH, LR = 20_000, 10, 128, 0.1
CHANNELS, WIDER = 24, 32  # 27 · 32² is 98 % of 49 · 24²


def one_7x7(channels: int) -> list[nn.Module]:
    """Return the layers of one large convolution."""
    return [*conv_norm(channels, channels, 7, padding=3), nn.ReLU()]


def three_3x3(channels: int) -> list[nn.Module]:
    """Return three small convolutions, each with its ReLU."""
    return [layer for _ in range(3) for layer in (*conv_norm(channels, channels, 3, padding=1), nn.ReLU())]


def three_linear_3x3(channels: int) -> list[nn.Module]:
    """Return three small convolutions and one ReLU after the last: one linear map before it."""
    return [*(layer for _ in range(3) for layer in conv_norm(channels, channels, 3, padding=1)), nn.ReLU()]


BLOCKS: dict[str, tuple[Callable[[int], list[nn.Module]], int]] = {
    "one 7x7": (one_7x7, CHANNELS),
    "three 3x3": (three_3x3, CHANNELS),
    "three 3x3 linear": (three_linear_3x3, CHANNELS),
    "three 3x3 wide": (three_3x3, WIDER),
}
SETTINGS: list[Row] = [{"block": block, "seed": seed} for seed in (0, 1, 2) for block in BLOCKS]


def network(block: str, seed: int) -> nn.Sequential:
    """Return the network for images (N, 3, 32, 32)."""
    layers, channels = BLOCKS[block]

    def build() -> nn.Sequential:
        return nn.Sequential(
            *(*conv_norm(3, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (N, C, 16, 16)
            *(*layers(channels), nn.MaxPool2d(2)),  # (N, C, 8, 8)
            *(*layers(channels), nn.AdaptiveAvgPool2d(1)),
            *(nn.Flatten(), nn.Linear(channels, 10)),
        )

    return drawn(build, seed)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Train one network; return its costs and its scores."""
    data, seed = first(sets.load("cifar10"), IMAGES), setting["seed"]
    model = network(setting["block"], seed)
    scores = outcome(
        lambda: fit(model, data, seed=seed, epochs=EPOCHS, lr=LR, batch_size=BATCH, folder=folder), data, "test"
    )
    return [{**costs(model, data.train[0].shape[1:]), **scores}]


def verdicts() -> list[Verdict]:
    """Judge the predictions by the test errors."""
    seven, three, linear = (
        over_seeds("kernel_sizes", {"block": block}, "test_error")
        for block in ("one 7x7", "three 3x3", "three 3x3 linear")
    )
    return [
        Verdict(
            "three 3 × 3 with ReLUs between beat one 7 × 7",
            ranges_in_order(three, seven),
            f"{percent(three)} against {percent(seven)} %",
        ),
        Verdict(
            "without the ReLUs they do not",
            ranges_in_order(seven, linear),
            f"{percent(linear)} against {percent(seven)} %",
        ),
        Verdict("the ReLUs help", ranges_in_order(three, linear), f"{percent(three)} against {percent(linear)} %"),
    ]


if __name__ == "__main__":
    run_missing("kernel_sizes", SETTINGS, measure)
