"""What ``python -m cnnlib.train`` and ``python -m cnnlib.evaluate`` do with their options."""

from __future__ import annotations

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnlib import distributed, schedules, weights
from cnnlib.data import augment, sets, split, tensors
from cnnlib.evaluate import PRECISIONS, Evaluation, evaluate
from cnnlib.files import whole
from cnnlib.models import NAMED, build
from cnnlib.models.normalise import Normalise
from cnnlib.train import Augment, train

AUGMENTATIONS: dict[str, Augment | None] = {
    "none": None,
    "shift": augment.shift,
    "crop-flip": augment.crop_and_flip,
}
PADDING = {"lenet5_1998": 2}  # its images are 32 × 32
HELD_OUT_SEED = 0


def _shared_options(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", choices=sorted(NAMED), required=True)
    parser.add_argument("--data", choices=sets.NAMES, required=True)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 …; auto is a GPU where there is one")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="float32", help="mixed, unless float32")
    return parser


def train_options() -> argparse.ArgumentParser:
    """Return the options of ``python -m cnnlib.train``."""
    parser = _shared_options("Train a network, go on with a training that was stopped, and write its weights.")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint.pt, log.csv and weights.npz")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=128, help="of all processes together")
    parser.add_argument("--optimiser", choices=("sgd", "adamw"), default="sgd")
    parser.add_argument("--schedule", choices=("one-cycle", "cosine", "step"), default="one-cycle")
    parser.add_argument("--lr", type=float, default=0.2, help="the highest learning rate")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--augment", choices=sorted(AUGMENTATIONS), default="none")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout that convolutions prefer")
    parser.add_argument("--hold-out", type=int, default=0, metavar="N", help="validate on N of the training images")
    parser.add_argument("--patience", type=int, help="stop after so many epochs without a lower validation loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="at the end, evaluate on the test set")
    return parser


def train_command(arguments: Sequence[str] | None = None) -> None:
    """Train as the options say."""
    parser = train_options()
    options = parser.parse_args(arguments)
    try:
        device = distributed.local_device(options.device)
        data = sets.load(options.data)
        kept, held_out = hold_out(*data.train, options.hold_out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    with distributed.processes(device):
        network = build(options.model, num_classes=10, in_channels=len(data.mean), seed=options.seed)
        model = on_images(network, data, options.model).to(device)
        steps = options.epochs * (len(kept[0]) // options.batch_size)
        images, labels = tensors(*kept)
        history = train(
            model,
            images,
            labels,
            optimiser=optimiser(model, options.optimiser, options.lr, options.momentum, options.weight_decay),
            schedule=schedule(options.schedule, options.lr, steps),
            epochs=options.epochs,
            batch_size=options.batch_size,
            augment=AUGMENTATIONS[options.augment],
            label_smoothing=options.label_smoothing,
            validation=tensors(*held_out) if options.hold_out else None,
            patience=options.patience,
            seed=options.seed,
            precision=options.precision,
            channels_last=options.channels_last,
            checkpoint=options.out / "checkpoint.pt",
            log=options.out / "log.csv",
            progress=True,
        )
        if distributed.rank() == 0:
            weights.write(options.out / "weights.npz", weights.take(network))
            print(", ".join(f"{key} {value}" for key, value in history[-1].items()))
            if options.test:
                print(report(evaluate(model, *tensors(*data.test), precision=options.precision)))


def evaluate_options() -> argparse.ArgumentParser:
    """Return the options of ``python -m cnnlib.evaluate``."""
    parser = _shared_options("Evaluate a network on the test set.")
    parser.add_argument("--weights", type=Path, required=True, help="the weights.npz of a training")
    parser.add_argument("--hold-out", type=int, default=0, metavar="N", help="on these N training images instead")
    parser.add_argument("--json", type=Path, help="write loss, accuracy and confusion matrix there, too")
    return parser


def evaluate_command(arguments: Sequence[str] | None = None) -> None:
    """Evaluate as the options say."""
    parser = evaluate_options()
    options = parser.parse_args(arguments)
    try:
        device = distributed.local_device(options.device)
        data = sets.load(options.data)
        network = build(options.model, num_classes=10, in_channels=len(data.mean))
        weights.put(network, weights.read(options.weights), str(options.weights))
        chosen = hold_out(*data.train, options.hold_out)[1] if options.hold_out else data.test
    except (ValueError, OSError) as error:
        parser.error(str(error))
    model = on_images(network, data, options.model).to(device)
    result = evaluate(model, *tensors(*chosen), precision=options.precision)
    print(report(result))
    if options.json:
        found = {"loss": result.loss, "accuracy": result.accuracy, "confusion": result.confusion.tolist()}
        with whole(options.json) as file:
            file.write(json.dumps(found).encode())


def on_images(network: nn.Module, data: sets.DataSet, name: str) -> nn.Module:
    """Return the network behind the normalisation of its data: it takes pixels from 0 to 1."""
    normalise = Normalise(data.mean, data.std, padding=PADDING.get(name, 0))
    return nn.Sequential(OrderedDict(normalise=normalise, network=network))


def hold_out(
    images: np.ndarray, labels: np.ndarray, n: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return (what is left to train on, n held-out images), always the same, each class in proportion."""
    if not 0 <= n < len(images):
        raise ValueError(f"hold-out is {n}; expected 0 to {len(images) - 1}")
    if n == 0:
        return (images, labels), (images[:0], labels[:0])
    kept, out = split(labels, n / len(labels), np.random.default_rng(HELD_OUT_SEED))
    return (images[kept], labels[kept]), (images[out], labels[out])


def optimiser(model: nn.Module, name: str, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return SGD with Nesterov's momentum, or AdamW that lets biases, norms and embeddings decay not at all."""
    if name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=momentum > 0
        )
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr, weight_decay=weight_decay)


def schedule(name: str, lr: float, steps: int) -> Callable[[int], float]:
    """Return the learning rate of every step: one cycle, a cosine after a short warm-up, or two drops to a tenth."""
    if name == "one-cycle":
        return partial(schedules.one_cycle, lr=lr, steps=max(steps, 2))
    if name == "cosine":
        return partial(schedules.cosine, lr=lr, steps=max(steps, 1), warmup=steps // 20)
    return partial(schedules.step_decay, lr=lr, milestones=(steps // 2, steps * 3 // 4))


def report(result: Evaluation) -> str:
    """Return the scores and the confusion matrix as text."""
    lines = [
        f"accuracy {result.accuracy:.2%}, loss {result.loss:.4f}; rows are true classes, columns what was answered"
    ]
    return "\n".join([*lines, *(" ".join(f"{n:5d}" for n in row) for row in result.confusion.tolist())])
