"""What shared weights buy: convolutional, locally and fully connected networks at equal budgets.

    python -m experiments.dense

trains on the first 300 to 20,000 images of MNIST and of CIFAR-10 (after 5,000 are held out): a convolutional network of
two layers of 5 × 5 with stride 2, to c and 2c channels, and a linear one; the same layers with weights unshared; and
three fully connected layers, h, h and 10. The latter two have the parameters of the first, or else its multiply–adds;
without sharing and at equal multiply–adds the widths stay equal too. AdamW with weight decay 5e-4, batches of 64, a
cosine from the rate after a warm-up of a twentieth, no augmentation, bfloat16. The epochs go by the number of images
alone: 80 for 300, 30 for 1,000, 10 for 5,000, 4 for 20,000. Each network has, for all numbers of images, the rate of
five with the least loss on the held-out images after training on 5,000 (seed 0); where that is an end of the range, one
beyond it was tried and is worse. By error in place of loss, the widest fully connected network would have taken a
larger one on CIFAR-10, and erred 3 points less there. Seeds 0, 1 and 2. About 30 minutes of one thread: 0.07 to 0.7 ms
an image and step.

As a control, with 5,000 images, all pixels of all images are permuted alike. To a fully connected network that is
nothing: its error must stay within what seeds do, or the experiment is wrong. Predictions: the convolutional network
has the least mean error at every number of images, most so with few; the locally connected one, which knows that
pixels have neighbours but not that places are alike, lies between the other two at equal multiply–adds; and permuted,
the convolutional network is no better than the fully connected one of equal multiply–adds. Each is refuted by a mean
in the other order.
"""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np
from torch import nn

from cnnlib.data import sets
from experiments.harness import Row, first, fit, run_missing
from experiments.networks import Local2d, costs, drawn
from experiments.rates import HELD_OUT, at_best_rates, held_out, outcome
from experiments.verdicts import DATA, Verdict, holds_if, over_seeds, overlap, percent, points, share

BATCH, RATES = 64, (0.0001, 0.0003, 0.001, 0.003, 0.01)
EPOCHS = {300: 80, 1000: 30, 5000: 10, 20_000: 4}  # by number of images
CHOSEN_ON = 5000
NETWORKS = (
    "convolutional",
    "local, equal parameters",
    "local, equal macs",
    "full, equal parameters",
    "full, equal macs",
)
WIDTHS = {"mnist": (13, 2, 13, 27, 408), "cifar10": (22, 2, 22, 18, 550)}  # c or h of each network
IMAGES = {"mnist": (1, 28), "cifar10": (3, 32)}  # channels and side


def network(data: str, name: str, seed: int) -> nn.Sequential:
    """Return one of the networks, for the images of a data set."""
    width = WIDTHS[data][NETWORKS.index(name)]
    channels, side = IMAGES[data]
    half, flat = side // 2, 2 * width * (side // 4) ** 2

    def convolutional() -> nn.Sequential:
        layers = nn.Conv2d(channels, width, 5, 2, 2), nn.Conv2d(width, 2 * width, 5, 2, 2)
        return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), nn.Flatten(), nn.Linear(flat, 10))

    def local() -> nn.Sequential:
        layers = (
            Local2d(channels, width, 5, side=side, stride=2, padding=2),
            Local2d(width, 2 * width, 5, side=half, stride=2, padding=2),
        )
        return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), nn.Flatten(), nn.Linear(flat, 10))

    def full() -> nn.Sequential:
        layers = nn.Linear(channels * side**2, width), nn.Linear(width, width), nn.Linear(width, 10)
        return nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])

    kind, _, _ = name.partition(",")
    return drawn({"convolutional": convolutional, "local": local, "full": full}[kind], seed)


def budget(model: nn.Sequential, shape: tuple[int, ...]) -> Row:
    """Return parameters and multiply–adds: without sharing, each weight is used in one."""
    if any(isinstance(layer, Local2d) for layer in model):
        weights = sum(p.numel() for name, p in model.named_parameters() if name.endswith("weight"))
        return {"parameters": sum(p.numel() for p in model.parameters()), "macs": weights}
    return costs(model, shape)


def permuted(data: sets.DataSet) -> sets.DataSet:
    """Return the data set with the pixels of all images in one and the same random order."""
    height, width = data.train[0].shape[2:]
    order = np.random.default_rng(0).permutation(height * width)

    def move(part: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = part
        return images.reshape(*images.shape[:2], -1)[:, :, order].reshape(images.shape), labels

    return data._replace(train=move(data.train), test=move(data.test))


def trained(setting: Row, data: sets.DataSet, part: str, seed: int) -> list[Row]:
    """Train one network, and evaluate it on `data.test`."""
    model = network(setting["data"], setting["network"], seed)
    epochs, lr = EPOCHS[len(data.train[0])], setting["lr"]
    scores = outcome(
        lambda: fit(model, data, seed=seed, epochs=epochs, lr=lr, batch_size=BATCH, optimiser_name="adamw"), data, part
    )
    return [{**budget(model, data.train[0].shape[1:]), **scores}]


def measure_rate(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one rate on the held-out images."""
    data = held_out(sets.load(setting["data"]), HELD_OUT)[0]
    return trained(setting, first(data, CHOSEN_ON), "held_out", seed=0)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Return the row of one network, number of images and seed on the test set."""
    data = first(held_out(sets.load(setting["data"]), HELD_OUT)[1], setting["images"])
    return trained(setting, permuted(data) if setting["pixels"] == "permuted" else data, "test", setting["seed"])


def errors(data: str, network: str, images: int, pixels: str = "in place") -> list[float]:
    """Return the test errors of the three seeds."""
    where = {"data": data, "network": network, "images": images, "pixels": pixels}
    return over_seeds("dense", where, "test_error")


def verdicts() -> list[Verdict]:
    """Judge the predictions by the mean test errors."""

    def lead(data: str, images: int) -> float:
        means = {name: mean(errors(data, name, images)) for name in NETWORKS}
        return min(means[name] for name in NETWORKS[1:]) - means["convolutional"]

    leads = {data: [lead(data, n) for n in EPOCHS] for data in IMAGES}
    between = [
        mean(errors(data, "convolutional", n))
        < mean(errors(data, "local, equal macs", n))
        < mean(errors(data, "full, equal macs", n))
        for data in IMAGES
        for n in EPOCHS
    ]
    return [
        Verdict(
            "the convolutional network has the least error at every number of images",
            holds_if(all(lead > 0 for of_data in leads.values() for lead in of_data)),
            "; ".join(f"{DATA[data]}: ahead of the next by {points(of_data)}" for data, of_data in leads.items()),
        ),
        Verdict(
            "it leads most with few images",
            holds_if(all(of_data[0] == max(of_data) for of_data in leads.values())),
            "; ".join(f"{DATA[data]}: most with {list(EPOCHS)[of.index(max(of))]:,}" for data, of in leads.items()),
        ),
        Verdict(
            "without sharing lies between the other two at equal multiply–adds", holds_if(all(between)), share(between)
        ),
        *permuted_verdicts(),
    ]


def permuted_verdicts() -> list[Verdict]:
    """Judge what was predicted of permuted pixels."""
    found = {
        data: [errors(data, name, CHOSEN_ON, "permuted") for name in ("convolutional", "full, equal macs")]
        for data in IMAGES
    }
    same = [
        overlap(errors(data, name, CHOSEN_ON), errors(data, name, CHOSEN_ON, "permuted"))
        for data in IMAGES
        for name in ("full, equal parameters", "full, equal macs")
    ]
    return [
        Verdict(
            "on permuted pixels the convolutional network is no better than the fully connected one",
            holds_if(all(mean(full) <= mean(convolutional) for convolutional, full in found.values())),
            "; ".join(f"{DATA[data]} {percent(a)} and {percent(b)}" for data, (a, b) in found.items()),
        ),
        Verdict("control: to a fully connected network the permutation is nothing", holds_if(all(same)), share(same)),
    ]


def main() -> None:
    """Choose the rates, then measure."""
    settings: list[Row] = [{"data": data, "network": name} for data in IMAGES for name in NETWORKS]
    chosen = at_best_rates("dense", settings, RATES, measure_rate)
    cases = [*((n, "in place") for n in EPOCHS), (CHOSEN_ON, "permuted")]
    trials = [{**setting, "images": n, "pixels": pixels} for n, pixels in cases for setting in chosen]
    run_missing("dense", [{**trial, "seed": seed} for seed in (0, 1, 2) for trial in trials], measure)


if __name__ == "__main__":
    main()
