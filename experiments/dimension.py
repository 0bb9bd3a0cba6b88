"""Are images with more pixels easier to fool? One linear classifier, the same digits on ever finer grids.

    python -m experiments.dimension

A linear classifier has its nearest mistakes in closed form (`attacks.fool_linear`): the lead of the right class over a
rival, divided by ‖w‖₁ or ‖w‖₂ of the difference w of their weights. So nothing here depends on how good an attack is.
Softmax regression is trained on the first 5,000 images of MNIST (after 5,000 are held out) for 20 epochs in batches of
100, with Nesterov's momentum 0.9, a cosine after a warm-up of a twentieth, no weight decay, seeds 0, 1 and 2. The
images are shown on grids of 7, 14, 28, 56 and 112 pixels a side: below 28 their means over squares, above 28
interpolated bilinearly, so that those pixels tell nothing new. The weights begin at zero, or are drawn from N(0, 2 / d)
for d pixels, and in a control stay as drawn. The rate is in inverse proportion to d, so that a step changes the answers
as much on every grid; of four, it is the one with the least held-out loss, seed 0, for each grid and start. Judged are
the first 1,000 test images, those that are classified rightly; as drawn, by the class that they are given. The pixels
are not kept in their box, as the argument is about straight lines. Noise has random signs, 30 draws.

Goodfellow et al. (2015), section 3, https://arxiv.org/abs/1412.6572, and the slides after them: along sign(w), a change
of ε in each of n pixels moves the score by ε n m, m the mean of |w|, so the more pixels, the more it moves. That m
stays as it is they do not say; Simon-Gabriel et al. (2019), https://arxiv.org/abs/1802.01421, derive ‖w‖₁ ∝ √d for
weights as drawn, and find it after training; Shafahi et al. (2019), https://arxiv.org/abs/1809.02104, argue that
enlarged images are no easier to fool. Predictions, for the medians of the minimal ε in the norm ∞, seeds averaged:

1. As drawn it falls like 1 / √d: the slope of its logarithm against that of d, from 28 to 112, is −0.5 ± 0.1.
2. Trained from zero it does not care about interpolated pixels: from 28 to 112 the slope is 0 ± 0.1.
3. Trained from weights as drawn it does: the slope is −0.2 or steeper, because what was drawn across the images' own
   directions gets no gradient and stays.
4. Pixels that do tell something, 7 to 28, lower it, but by less than √d did, which is 4.
5. What sign(w) moves grows faster than what noise of the same ε moves, like √d: trained from zero, the slope of their
   ratio from 7 to 112 is 0.5 ± 0.1.
6. Control: noise of an image's own minimal ε fools less than 1 % of them, on every grid and from either start.

Each is refuted by a number outside. One data set, one kind of classifier; of networks nothing is said.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, log
from pathlib import Path
from statistics import mean

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib.attacks import fool_linear
from cnnlib.data import sets, tensors
from cnnlib.evaluate import evaluate, unit_floats
from experiments.harness import Row, first, fit, run_missing
from experiments.networks import drawn
from experiments.rates import HELD_OUT, at_best_rates, held_out
from experiments.verdicts import Verdict, holds_if, over_seeds

SIDES, STARTS, SEEDS = (7, 14, 28, 56, 112), ("zero", "drawn"), (0, 1, 2)
RATES = (0.003, 0.01, 0.03, 0.1)  # for 28 × 28 pixels
IMAGES, EPOCHS, BATCH = 5000, 20, 100
JUDGED, DRAWS = 1000, 30
TRIED: list[Row] = [{"side": side, "start": start} for side in SIDES for start in STARTS]


@lru_cache
def digits() -> tuple[sets.DataSet, sets.DataSet]:
    """Return MNIST to choose the rates by, and to report."""
    return held_out(sets.load("mnist"), HELD_OUT)


class Grid(nn.Module):
    """Images (N, 1, H, W) on a grid of another size."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if self.side < x.shape[-1]:
            return F.adaptive_avg_pool2d(x, self.side)
        return F.interpolate(x, size=self.side, mode="bilinear")


def network(side: int, start: str, seed: int) -> nn.Sequential:
    """Return the classifier of 28 × 28 images that looks at them on a grid."""
    net = drawn(lambda: nn.Sequential(Grid(side), nn.Flatten(), nn.Linear(side**2, 10)), seed)
    if start == "zero":
        for parameter in net.parameters():
            nn.init.zeros_(parameter)
    return net


def trained(setting: Row, data: sets.DataSet, seed: int) -> tuple[nn.Sequential, nn.Module]:
    """Return one classifier, trained, and the same behind its normalisation; `lr` is that for 28 × 28 pixels."""
    side = setting["side"]
    net = network(side, setting["start"], seed)
    model, _ = fit(
        net,
        first(data, IMAGES),
        seed=seed,
        epochs=EPOCHS,
        lr=setting["lr"] * 28**2 / side**2,
        batch_size=BATCH,
        weight_decay=0.0,
        precision="float32",
    )
    return net, model


def measure_rate(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one rate on the held-out images."""
    data = digits()[0]
    _, model = trained(setting, data, 0)
    return [{"held_out_loss": f"{evaluate(model, *tensors(*data.test)).loss:.4f}"}]


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one classifier: how near the mistakes are, and what signs and noise move."""
    data = digits()[1]
    seed, right = setting["seed"], setting["lr"] is not None
    net = trained(setting, data, seed)[0] if right else network(setting["side"], setting["start"], seed)
    return [nearest(net, data, seed, right=right)]


@torch.no_grad()
def nearest(net: nn.Sequential, data: sets.DataSet, seed: int, *, right: bool) -> Row:
    """Return how near the mistakes of a classifier are around test images; with `right`, those that it has right."""
    images, labels = tensors(data.test[0][:JUDGED], data.test[1][:JUDGED])
    weight, bias = (parameter.double() for parameter in net.parameters())
    weight = weight / data.std[0]  # (classes, d), of pixels from 0 to 1
    bias = bias - data.mean[0] * weight.sum(1)
    x = net[0](unit_floats(images)).flatten(1).double()  # (N, d)
    classes = (x @ weight.T + bias).argmax(1)
    error = (classes != labels).double().mean().item()
    if right:
        x, classes = x[classes == labels], labels[classes == labels]
    parts = list(zip(x.split(50), classes.split(50), strict=True))  # the closed form looks at every pixel and rival
    linf, l2 = (torch.cat([fool_linear(weight, bias, *part, norm=p)[1] for part in parts]) for p in (inf, 2))
    signs = 2.0 * torch.randint(2, (DRAWS, x.shape[1]), generator=torch.Generator().manual_seed(seed)) - 1
    moved = signs.double() @ weight.T  # (draws, classes), by noise of 1
    noisy = (x @ weight.T + bias)[:, None] + linf[:, None, None] * moved  # (N, draws, classes)
    pairs = ~torch.eye(len(weight), dtype=torch.bool)
    return {
        "d": x.shape[1],
        "test_error": f"{error:.4f}",
        "judged": len(x),
        "linf": f"{linf.median():.5f}",
        "l2": f"{l2.median():.4f}",
        "length": f"{x.norm(dim=1).median():.3f}",
        "moved_by_signs": f"{torch.cdist(weight, weight, p=1)[pairs].mean():.3f}",
        "moved_by_noise": f"{(moved[:, :, None] - moved[:, None])[:, pairs].square().mean().sqrt():.3f}",
        "fooled_by_noise": f"{(noisy.argmax(2) != classes[:, None]).double().mean():.4f}",
    }


def verdicts() -> list[Verdict]:
    """Judge the predictions by the means over the seeds."""

    def of(start: str, side: int, column: str = "linf") -> float:
        return mean(over_seeds("dimension", {"start": start, "side": side}, column))

    def slope(start: str, low: int) -> float:
        return log(of(start, 112) / of(start, low)) / log((112 / low) ** 2)

    def told(value: float) -> str:
        return f"a slope of {value:.2f}".replace("-", "−")

    born, zero, kept = (slope(start, 28) for start in ("as drawn", "zero", "drawn"))
    falls = of("zero", 7) / of("zero", 28)
    gains = {side: of("zero", side, "moved_by_signs") / of("zero", side, "moved_by_noise") for side in (7, 112)}
    gain = log(gains[112] / gains[7]) / log(256)
    fooled = [of(start, side, "fooled_by_noise") for start in STARTS for side in SIDES]
    return [
        Verdict("weights as drawn: the least ε falls like 1/√d", holds_if(abs(born + 0.5) <= 0.1), told(born)),
        Verdict("trained from zero: interpolated pixels change nothing", holds_if(abs(zero) <= 0.1), told(zero)),
        Verdict("trained from weights as drawn: they do", holds_if(kept <= -0.2), told(kept)),
        Verdict(
            "pixels that tell something, 7 to 28 a side, lower it, by less than 4 times",
            holds_if(1 < falls < 4),
            f"from {of('zero', 7):.4f} to {of('zero', 28):.4f}, {falls:.2f} times",
        ),
        Verdict("signs of w gain on random signs like √d", holds_if(abs(gain - 0.5) <= 0.1), told(gain)),
        Verdict(
            "control: noise of an image's least ε fools less than 1 %",
            holds_if(max(fooled) < 0.01),
            f"at most {100 * max(fooled):.2f} %",
        ),
    ]


if __name__ == "__main__":
    tried = at_best_rates("dimension", TRIED, RATES, measure_rate)
    alone = [{"side": side, "start": "as drawn", "lr": None} for side in SIDES]
    run_missing("dimension", [{**setting, "seed": seed} for setting in [*alone, *tried] for seed in SEEDS], measure)
