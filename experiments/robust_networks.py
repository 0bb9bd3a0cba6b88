"""How many images the networks that were trained against an attack have right under stronger ones.

    python -m experiments.robust_networks

attacks the shipped networks whose names end in `_robust`, and where they lie among the trainings of `tools.weights`
their twins of seeds 1 and 2: all 359 test digits at ε 0.2, and every tenth test image of MNIST, a thousand, at ε 0.3,
in L∞. Attacks are `attacks.ensemble` with its full budget and, against the shipped networks where it is installed,
pyautoattack's standard AutoAttack, which has FAB besides: Croce and Hein (2020), https://arxiv.org/abs/2003.01690. A
row is a part: all the digits, or a hundred images of MNIST. `results/robust_diagnosis.csv` has what `defend.diagnose`
finds on the first hundred of each. At the end the figures are written into the provenance beside the weights.

Predictions. (1) Of the digits that it has right the shipped network loses at most 75 %, and it has at least 94 % right
without an attack. (2) MNIST's has at least 80 % of all images right under each of both. Madry et al. (2018),
https://arxiv.org/abs/1706.06083, have 88.5 % with twenty times the weights, as the authors of AutoAttack measure it.
(3) Without FAB the ensemble comes within one per cent of the images of pyautoattack's. (4) `diagnose` finds no sign of
masked gradients. Each is refuted by the other outcome.
"""

from __future__ import annotations

import json
import shlex
import time
import zlib
from importlib.metadata import version
from math import inf
from pathlib import Path

import torch
from torch import nn

from cnnlib import attacks, defend, weights
from cnnlib.command import on_images, train_options
from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from cnnlib.files import write_whole
from cnnlib.inputs import Threat
from cnnlib.models import build
from experiments.harness import RESULTS, Row, read, run_missing, runs
from experiments.verdicts import Verdict, holds_if

NAMES = ("digits_cnn_digits_robust", "wong_kolter_mnist_robust")
EVERY = {"digits": 1, "mnist": 10}  # of the test images
PART = {"digits": 500, "mnist": 100}
DIAGNOSED = 100
ENSEMBLE, ORIGINAL = "cnnlib ensemble", "pyautoattack standard"


def path(name: str, seed: int) -> Path:
    """Return where the weights of a seed are: those of 0 are shipped."""
    if not seed:
        return weights.SHIPPED / f"{name}.npz"
    return runs() / "weights" / f"{name}_{seed}" / "weights.npz"


def crc(file: Path) -> str:
    """Return the checksum by which rows are known to be about these weights."""
    return f"{zlib.crc32(file.read_bytes()):08x}"


def images(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the test images that are attacked, as numbers from 0 to 1, and their labels."""
    data = weights.provenance(name)["data"]
    x, y = (tensor[:: EVERY[data]] for tensor in tensors(*sets.load(data).test))
    return unit_floats(x), y


def threat(name: str) -> Threat:
    """Return what the network was trained against."""
    words = shlex.split(weights.provenance(name)["command"])
    return Threat(inf, train_options().parse_args(words[words.index("--model") :]).adversary_eps)


def network(name: str, seed: int) -> nn.Module:
    """Return the network of a seed, ready for use."""
    made = weights.provenance(name)
    bare = build(made["model"], num_classes=10, in_channels=len(made["mean"]))
    file = path(name, seed)
    weights.put(bare, weights.read(file), str(file))
    return on_images(bare, sets.load(made["data"]), made["model"]).eval()


def part(name: str) -> int:
    """Return how many images are attacked at a time."""
    return PART[weights.provenance(name)["data"]]


def settings() -> list[Row]:
    """Return all that can be measured here: twins need their weights, the original its package."""
    both = [ENSEMBLE]
    try:
        version("pyautoattack")
        both.append(ORIGINAL)
    except ModuleNotFoundError:
        print(f"{ORIGINAL}: not installed, left out")
    return [
        {"weights": name, "seed": seed, "crc32": crc(path(name, seed)), "attack": attack, "first": first}
        for name in NAMES
        for seed in (0, 1, 2)
        for attack in (both if not seed else both[:1])
        if name in weights.names() and path(name, seed).exists()
        for first in range(0, len(images(name)[0]), part(name))
    ]


def withstood(model: nn.Module, x: torch.Tensor, y: torch.Tensor, limit: Threat, attack: str) -> torch.Tensor:
    """Return which images are right before and after the attack, (N,) of bool."""
    if attack == ENSEMBLE:
        found = attacks.ensemble(model, x, y, limit)
        return found.attacked & ~found.success
    from pyautoattack import AutoAttack

    adversarial, _ = AutoAttack(model, eps=limit.eps, norm="Linf", seed=0).run_standard_evaluation(x, y)
    with torch.no_grad():
        return (model(x).argmax(1) == y) & (model(adversarial).argmax(1) == y)


def measure(setting: Row, folder: Path) -> list[Row]:
    """Attack one part of the images."""
    name, first = setting["weights"], setting["first"]
    x, y = (tensor[first : first + part(name)] for tensor in images(name))
    model, start = network(name, setting["seed"]), time.process_time()
    with torch.no_grad():
        right = int((model(x).argmax(1) == y).sum())
    robust = int(withstood(model, x, y, threat(name), setting["attack"]).sum())
    seconds = round(time.process_time() - start)
    return [{"eps": threat(name).eps, "images": len(x), "right": right, "robust": robust, "seconds": seconds}]


def diagnosis(setting: Row, folder: Path) -> list[Row]:
    """Look for masked gradients around the first images."""
    name = setting["weights"]
    x, y = (tensor[:DIAGNOSED] for tensor in images(name))
    found = defend.diagnose(network(name, 0), x, y, threat(name))
    return [
        {
            "images": DIAGNOSED,
            "what": what,
            "sound": sound,
            "numbers": json.dumps({k: round(v, 4) for k, v in seen.items()}),
        }
        for what, sound, seen in found
    ]


def totals(name: str, seed: int = 0) -> dict[str, Row]:
    """Return by attack the sums over all parts of the rows about these weights; only of those that are complete."""
    rows = [row for row in read(RESULTS / "robust_networks.csv") if (row["weights"], row["seed"]) == (name, str(seed))]
    if not seed:
        rows = [row for row in rows if row["crc32"] == crc(path(name, 0))]
    sums: dict[str, Row] = {}
    for attack in dict.fromkeys(row["attack"] for row in rows):
        of_it = [row for row in rows if row["attack"] == attack]
        sums[attack] = {key: sum(int(row[key]) for row in of_it) for key in ("images", "right", "robust")}
        sums[attack]["eps"] = float(of_it[0]["eps"])
    whole = weights.provenance(name)["test_images"] // EVERY[weights.provenance(name)["data"]]
    return {attack: total for attack, total in sums.items() if total["images"] == whole}


def share(total: Row) -> float:
    """Return how many of all the images are right under the attack."""
    return total["robust"] / total["images"]


def record(name: str) -> None:
    """Write the figures into the provenance of the shipped weights."""
    made, others = weights.provenance(name), {str(seed): totals(name, seed) for seed in (1, 2)}
    made["robust"] = [
        {"attack": attack, "norm": "inf", "eps": total["eps"], "images": total["images"], "every": EVERY[made["data"]]}
        | {"clean_accuracy": total["right"] / total["images"], "accuracy": share(total)}
        | {"accuracy_of_other_seeds": {seed: share(twins[attack]) for seed, twins in others.items() if attack in twins}}
        for attack, total in totals(name).items()
    ]
    content = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    write_whole(path(name, 0).with_suffix(".json"), content.encode())


def verdicts() -> list[Verdict]:
    """Judge the predictions by the sums over all images."""
    digits, mnist = (totals(name) for name in NAMES)
    lost = [1 - total["robust"] / total["right"] for total in digits.values()]
    clean = weights.provenance(NAMES[0])["test_accuracy"]
    kept = [share(total) for total in mnist.values()]
    apart = [abs(t[ENSEMBLE]["robust"] - t[ORIGINAL]["robust"]) / t[ENSEMBLE]["images"] for t in (digits, mnist)]
    found = read(RESULTS / "robust_diagnosis.csv")
    sound = [row["sound"] == "True" for row in found]
    return [
        Verdict(
            "of the digits at most 75 % are lost, and at least 94 % are right without an attack",
            holds_if(max(lost) <= 0.75 and clean >= 0.94),
            f"{max(lost):.1%} of those that were right are lost, {clean:.1%} are right",
        ),
        Verdict("MNIST keeps 80 % under both", holds_if(min(kept) >= 0.8), " and ".join(f"{k:.1%}" for k in kept)),
        Verdict(
            "FAB matters to less than one per cent",
            holds_if(max(apart) <= 0.01),
            " and ".join(f"{a:.1%}" for a in apart),
        ),
        Verdict("no sign of masked gradients", holds_if(all(sound)), f"{sum(sound)} of {len(sound)} findings sound"),
    ]


if __name__ == "__main__":
    shipped = [name for name in NAMES if name in weights.names()]
    crcs: list[Row] = [{"weights": name, "crc32": crc(path(name, 0))} for name in shipped]
    run_missing("robust_diagnosis", crcs, diagnosis)
    run_missing("robust_networks", settings(), measure)
    for name in shipped:
        record(name)
