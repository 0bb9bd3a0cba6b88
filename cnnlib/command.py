"""What ``python -m cnnlib.train`` and ``python -m cnnlib.evaluate`` do with their options."""

from __future__ import annotations

import argparse
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnlib import distributed, schedules, weights
from cnnlib.checks import fraction
from cnnlib.data import augment, sets, split, tensors
from cnnlib.defend import Adversary
from cnnlib.divergence import Diverged
from cnnlib.evaluate import PRECISIONS, Evaluation, evaluate
from cnnlib.files import write_whole
from cnnlib.history import sentence
from cnnlib.inputs import Threat
from cnnlib.models import NAMED, build
from cnnlib.models.normalise import Normalise
from cnnlib.train import Augment, train

AUGMENTATIONS: dict[str, Augment | None] = {
    "none": None,
    "shift": augment.shift,
    "crop-flip": augment.crop_and_flip,
    "reflect-flip": augment.reflect_and_flip,
    "reflect-flip-cutout": augment.reflect_flip_and_cutout,
}
PADDING = {"lenet5_1998": 2}  # its images are 32 × 32
HELD_OUT_SEED = 0
USUAL: dict[str, dict[str, Any]] = {  # what suits the networks that are usually trained on a data set, with SGD
    "digits": {"epochs": 40, "batch_size": 32, "lr": 0.05, "label_smoothing": 0.0, "augment": "none"},
    "mnist": {"epochs": 20, "batch_size": 128, "lr": 0.1, "label_smoothing": 0.0, "augment": "shift"},
    "cifar10": {"epochs": 100, "batch_size": 128, "lr": 0.2, "label_smoothing": 0.05, "augment": "reflect-flip"},
}
USUAL_OF_OPTIMISER = {"sgd": {"weight_decay": 5e-4}, "adamw": {"lr": 0.002, "weight_decay": 0.05}}


def positive(text: str) -> int:
    """Return the positive integer that an option is."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive integer")
    return int(text)


def _shared_options(program: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"python -m {program}", description=description)
    parser.add_argument("--model", choices=sorted(NAMED), required=True, metavar="NAME", help=", ".join(sorted(NAMED)))
    parser.add_argument("--data", choices=sets.NAMES, required=True)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 …; auto is a GPU where there is one")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="float32", help="mixed, unless float32")
    parser.add_argument("--hold-out", type=positive, metavar="N", help="judge by about N of the training images")
    return parser


def train_options() -> argparse.ArgumentParser:
    """Return the options of ``python -m cnnlib.train``."""

    def usual(name: str) -> str:
        return ", ".join(f"{values[name]} for {data}" for data, values in USUAL.items())

    parser = _shared_options("cnnlib.train", "Train a network, or go on where it was stopped, and write its weights.")
    parser.add_argument(
        "--out", type=Path, help="folder of checkpoint.pt, log.csv and weights.npz; usually runs/MODEL_DATA_SEED"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation: 0")
    parser.add_argument("--epochs", type=positive, help=usual("epochs"))
    parser.add_argument("--batch-size", type=positive, help=f"of all processes together: {usual('batch_size')}")
    parser.add_argument("--augment", choices=sorted(AUGMENTATIONS), help=usual("augment"))
    parser.add_argument("--optimiser", choices=("sgd", "adamw"), default="sgd", help="sgd has Nesterov's momentum")
    parser.add_argument("--schedule", choices=("one-cycle", "cosine", "step"), default="one-cycle")
    parser.add_argument("--lr", type=float, help=f"the highest learning rate: {usual('lr')}; adamw 0.002")
    parser.add_argument("--momentum", type=float, default=0.9, help="0.9; of sgd alone")
    parser.add_argument("--weight-decay", type=float, help="5e-4; adamw 0.05")
    parser.add_argument("--label-smoothing", type=float, help=usual("label_smoothing"))
    parser.add_argument(
        "--adversary-eps", type=float, metavar="E", help="train on images changed, within ±E, by an attack"
    )
    parser.add_argument("--adversary-steps", type=positive, metavar="K", help="of that attack: 7")
    parser.add_argument("--adversary-ramp", type=float, metavar="R", help="share of the training in which E grows: 0")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout that convolutions prefer")
    parser.add_argument("--patience", type=positive, help="stop after so many epochs without a lower held-out loss")
    parser.add_argument("--test", action="store_true", help="at the end, evaluate on the test set")
    return parser


def with_usual(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with what was not asked for as it usually is with that data set and optimiser.

    >>> options = with_usual(train_options().parse_args(["--model", "resnet20", "--data", "cifar10", "--lr", "0.1"]))
    >>> options.lr, options.augment, str(options.out)
    (0.1, 'reflect-flip', 'runs/resnet20_cifar10_0')
    """
    usual = USUAL[options.data] | USUAL_OF_OPTIMISER[options.optimiser]
    usual["out"] = Path("runs", f"{options.model}_{options.data}_{options.seed}")
    if options.adversary_eps is not None:
        usual |= {"adversary_steps": 7, "adversary_ramp": 0.0}
    asked = {name: value for name, value in vars(options).items() if value is not None}
    return argparse.Namespace(**vars(options) | usual | asked)


def train_command(arguments: Sequence[str] | None = None) -> None:
    """Train as the options say."""
    parser = train_options()
    options = with_usual(parser.parse_args(arguments))
    if options.patience and not options.hold_out:
        parser.error("--patience needs --hold-out: images to judge by")
    if options.adversary_eps is None and (options.adversary_steps, options.adversary_ramp) != (None, None):
        parser.error("--adversary-steps and --adversary-ramp need --adversary-eps: how far the attack may go")
    with told_briefly(parser):
        device = distributed.local_device(options.device)
        check_writable(options.out)
        data = sets.load(options.data)
        with distributed.processes(device):
            network = build(options.model, num_classes=10, in_channels=len(data.mean), seed=options.seed)
            model = on_images(network, data, options.model).to(device)
            _train(model, data, options)
            if distributed.rank():
                return
            weights.write(options.out / "weights.npz", weights.take(network))
        if options.test:
            print(report(evaluate(model, *tensors(*data.test), precision=options.precision)))


def _train(model: nn.Module, data: sets.DataSet, options: argparse.Namespace) -> None:
    (images, labels), held_out = hold_out(*data.train, options.hold_out or 0)
    check_fits(model, images, options)
    steps = options.epochs * (len(images) // options.batch_size)
    history = train(
        model,
        *tensors(images, labels),
        optimiser=optimiser(model, options.optimiser, options.lr, options.momentum, options.weight_decay),
        schedule=schedule(options.schedule, options.lr, steps),
        epochs=options.epochs,
        batch_size=options.batch_size,
        augment=AUGMENTATIONS[options.augment],
        adversary=adversary(options.adversary_eps, options.adversary_steps, options.adversary_ramp, steps),
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
    if not distributed.rank():
        print(f"{sentence(history[-1])}; in {options.out}")


def evaluate_options() -> argparse.ArgumentParser:
    """Return the options of ``python -m cnnlib.evaluate``."""
    parser = _shared_options("cnnlib.evaluate", "Evaluate a network on the test set, or on --hold-out.")
    parser.add_argument(
        "--weights", type=Path, help="the weights.npz of a training; usually those that come with cnnlib"
    )
    parser.add_argument("--json", type=Path, help="write loss, accuracy and confusion matrix there, too")
    return parser


def evaluate_command(arguments: Sequence[str] | None = None) -> None:
    """Evaluate as the options say."""
    parser = evaluate_options()
    options = parser.parse_args(arguments)
    with told_briefly(parser):
        device = distributed.local_device(options.device)
        data = sets.load(options.data)
        model = trained(options.model, options.data, data, options.weights).to(device)
        images, labels = hold_out(*data.train, options.hold_out)[1] if options.hold_out else data.test
        check_fits(model, images, options)
        result = evaluate(model, *tensors(images, labels), precision=options.precision)
        if options.json:
            found = {"loss": result.loss, "accuracy": result.accuracy, "confusion": result.confusion.tolist()}
            write_whole(options.json, json.dumps(found).encode())
        print(report(result))


@contextmanager
def told_briefly(parser: argparse.ArgumentParser) -> Iterator[None]:
    """End the program with a line on standard error where a person can put right what went wrong: no traceback."""
    try:
        yield
    except (ValueError, OSError, Diverged, distributed.ProcessLost, torch.cuda.OutOfMemoryError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"{parser.prog}: stopped\n")


def check_writable(folder: Path) -> None:
    """Make a folder if it is not there; raises OSError unless files can be written to it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"nothing can be written to {folder}; choose another folder with --out")


def check_fits(model: nn.Module, images: np.ndarray, options: argparse.Namespace) -> None:
    """Raise ValueError unless the model takes such images: for one that is none for them torch's words are obscure."""
    try:
        evaluate(model, *tensors(images[:1], np.zeros(1, np.int64)))
    except (ValueError, RuntimeError) as error:
        shape = tuple(images.shape[1:])
        raise ValueError(f"{options.model} does not take the images of {options.data}, {shape}: {error}") from error


def trained(name: str, data_name: str, data: sets.DataSet, path: Path | None) -> nn.Module:
    """Return a network with the weights of a file, behind its normalisation; without a file, the one that is shipped.

    Raises ValueError where there is none, and where the file is another network's.
    """
    if path is None:
        if f"{name}_{data_name}" not in weights.names():
            there = ", ".join(weights.names()) or "none"
            raise ValueError(
                f"no weights of {name} on {data_name} come with cnnlib (there are: {there}); train, and give --weights"
            )
        return weights.load(f"{name}_{data_name}")
    network = build(name, num_classes=10, in_channels=len(data.mean))
    weights.put(network, weights.read(path), str(path))
    return on_images(network, data, name)


def on_images(network: nn.Module, data: sets.DataSet, name: str) -> nn.Module:
    """Return the network behind the normalisation of its data: it takes pixels from 0 to 1."""
    normalise = Normalise(data.mean, data.std, padding=PADDING.get(name, 0))
    return nn.Sequential(OrderedDict(normalise=normalise, network=network))


def hold_out(
    images: np.ndarray, labels: np.ndarray, n: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return (what is left to train on, about n held-out images), always the same, each class in proportion.

    Raises ValueError unless some are left, and some held out, or n is 0.

    >>> kept, held_out = hold_out(np.zeros((60, 1)), np.arange(60) % 3, 20)
    >>> np.bincount(kept[1]), np.bincount(held_out[1])
    (array([13, 13, 13]), array([7, 7, 7]))
    """
    if not 0 <= n < len(images):
        raise ValueError(f"hold-out is {n}; expected 0 to {len(images) - 1}")
    if n == 0:
        return (images, labels), (images[:0], labels[:0])
    kept, out = split(labels, n / len(labels), np.random.default_rng(HELD_OUT_SEED))
    if not len(kept) or not len(out):
        raise ValueError(f"hold-out is {n}; expected so many that each class can keep some and give some")
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


def adversary(eps: float | None, attack_steps: int, ramp: float, steps: int) -> Adversary | None:
    """Return the L∞ adversary whose ε grows during a share `ramp` of the training's `steps`; without ε, none."""
    if eps is None:
        return None
    return Adversary(Threat(inf, eps), steps=attack_steps, ramp=round(fraction("adversary-ramp", ramp) * steps))


def report(result: Evaluation) -> str:
    """Return the scores and the confusion matrix as text."""
    lines = [
        f"accuracy {result.accuracy:.2%}, loss {result.loss:.4f}; rows are true classes, columns what was answered"
    ]
    return "\n".join([*lines, *(" ".join(f"{n:5d}" for n in row) for row in result.confusion.tolist())])
