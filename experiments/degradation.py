"""Deeper plain networks train worse, residual ones do not; and what their gradients say of it.

    python -m experiments.degradation

trains plain and residual networks of 20 and 44 layers on the first 25,000 training images of CIFAR-10 for 20 epochs
(crop and flip, batches of 128, Nesterov's momentum 0.9, a cosine from 0.1 after a warm-up of one epoch, weight decay
1e-4, bfloat16), three seeds each; twins of a depth begin with the same weights. The rate is the paper's, for all, and
was not searched. The criterion is `clean_train_loss`, the loss on those images themselves after the last epoch, without
augmentation: a larger one is not overfitting. He et al. (2016), sections 1, 4.1 and 4.2,
https://arxiv.org/abs/1512.03385. About 6 hours of one thread: 2.2 ms an image and step with 20 layers, 5 with 44.

`results/degradation_layers.csv` has, layer by layer, before training and after epochs 1, 5, 10 and 20, of the first 20
batches, as in training but in float32 and without augmentation: the norm of the weights; the mean norm of their
gradient; the norm of its mean, less of which is the noise of the batches; and the mean norm of the gradient with
respect to what the layer puts out. A loss that sees weights through batch norm is blind to their length, and its
gradient shrinks as they grow: what compares layers and networks is norm of gradient times norm of weights.

Predictions. (1) The plain network of 44 layers has a larger mean clean loss than that of 20, and with residuals the one
of 44 has no larger one than that of 20; each is refuted by means in the other order, undecided where the seeds' ranges
overlap. (2) Vanishing gradients are not the cause: at every epoch noted, the least product of both norms among the
layers of the plain network of 44 is, in the mean over seeds, at least a tenth of that with 20; refuted by less. Seen
beforehand, with seed 0 before training: with 44 layers it is larger in the first layer (309) than in the last
convolution (11), with 20 about the same (6 and 5). If anything gradients explode, as Yang et al. (2019),
https://arxiv.org/abs/1902.08129, derive for batch norm without residuals.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from cnnlib.command import on_images
from cnnlib.data import augment, sets, tensors
from cnnlib.evaluate import evaluate, unit_floats
from cnnlib.models import plain_network, residual_network
from experiments import harness
from experiments.harness import Row, append, done, first, fit, provenance, run_missing
from experiments.verdicts import Verdict, holds_if, over_seeds, ranges_in_order

IMAGES, EPOCHS, BATCH = 25_000, 20, 128
NETWORKS = {"plain": plain_network, "residual": residual_network}
NOTED = (1, 5, 10, 20)  # the epochs whose gradients are kept, besides the state before training
SETTINGS: list[Row] = [
    {"network": network, "depth": depth, "seed": seed}
    for seed in (0, 1, 2)
    for depth in (20, 44)
    for network in ("plain", "residual")
]


def layer_norms(model: nn.Module, data: sets.DataSet, batches: int = 20) -> list[Row]:
    """Return, for each layer with weights, the norms of these and of their gradients over the first batches."""
    copy = deepcopy(model).train()
    layers = {name: layer for name, layer in copy.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))}
    of_weights, of_outputs = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0.0)
    sums = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}

    def listen(name: str, layer: nn.Module, inputs: object, output: torch.Tensor) -> None:
        def add(gradient: torch.Tensor) -> None:
            of_outputs[name] += gradient.norm().item() / batches

        output.register_hook(add)

    for name, layer in layers.items():
        layer.register_forward_hook(partial(listen, name))
    images, labels = (values[: batches * BATCH].split(BATCH) for values in tensors(*data.train))
    for x, target in zip(images, labels, strict=True):
        copy.zero_grad()
        nn.functional.cross_entropy(copy(unit_floats(x)), target).backward()
        for name, layer in layers.items():
            assert layer.weight.grad is not None
            of_weights[name] += layer.weight.grad.norm().item() / batches
            sums[name] += layer.weight.grad / batches
    return [
        {
            "position": position,
            "layer": name,
            "weight_norm": f"{layer.weight.norm():.4g}",
            "gradient_norm": f"{of_weights[name]:.4g}",
            "norm_of_mean_gradient": f"{sums[name].norm():.4g}",
            "output_gradient_norm": f"{of_outputs[name]:.4g}",
        }
        for position, (name, layer) in enumerate(layers.items())
    ]


def note_layers(setting: Row, model: nn.Module, data: sets.DataSet, epoch: int) -> None:
    """Keep the norms after an epoch in a file of their own, unless a training that was stopped has done so."""
    path, place = harness.RESULTS / "degradation_layers.csv", {**setting, "epoch": epoch}
    if not done(path, place):
        append(path, [{**place, **row, **provenance()} for row in layer_norms(model, data)])


def measure(setting: Row, folder: Path) -> list[Row]:
    """Train one network; return one row an epoch, and note the norms of its layers."""
    data = first(sets.load("cifar10"), IMAGES)
    network = NETWORKS[setting["network"]](depth=setting["depth"], seed=setting["seed"])
    note_layers(setting, on_images(network, data, ""), data, 0)

    def note(model: nn.Module, epoch: int) -> None:
        if epoch in NOTED:
            note_layers(setting, model, data, epoch)

    model, history = fit(
        network,
        data,
        seed=setting["seed"],
        epochs=EPOCHS,
        lr=0.1,
        batch_size=BATCH,
        weight_decay=1e-4,
        augment=augment.crop_and_flip,
        folder=folder,
        each_epoch=note,
    )
    clean = evaluate(model, *tensors(*data.train), precision="bfloat16").loss
    error = 1 - evaluate(model, *tensors(*data.test), precision="bfloat16").accuracy
    last = {"clean_train_loss": f"{clean:.4f}", "test_error": f"{error:.4f}"}
    return [
        {
            "epoch": row["epoch"],
            "train_loss": f"{row['train_loss']:.4f}",
            "train_error": f"{1 - row['train_accuracy']:.4f}",
            **(last if row["epoch"] == EPOCHS else dict.fromkeys(last, "")),
            "seconds": round(row["seconds"]),
        }
        for row in history
    ]


def least_products(depth: int) -> list[float]:
    """Return, for each epoch noted, the least norm of gradient times norm of weights among a plain network's layers.

    It is the mean over the seeds.
    """
    rows = harness.read(harness.RESULTS / "degradation_layers.csv")
    return [
        mean(
            min(
                float(row["gradient_norm"]) * float(row["weight_norm"])
                for row in rows
                if (row["network"], row["depth"], row["seed"], row["epoch"])
                == ("plain", str(depth), str(seed), str(epoch))
            )
            for seed in (0, 1, 2)
        )
        for epoch in (0, *NOTED)
    ]


def verdicts() -> list[Verdict]:
    """Judge the predictions."""
    loss = {
        (network, depth): over_seeds(
            "degradation", {"network": network, "depth": depth, "epoch": EPOCHS}, "clean_train_loss"
        )
        for network in NETWORKS
        for depth in (20, 44)
    }
    told = {key: f"{mean(values):.3f} ({min(values):.3f}–{max(values):.3f})" for key, values in loss.items()}
    ratios = [deep / shallow for deep, shallow in zip(least_products(44), least_products(20), strict=True)]
    return [
        Verdict(
            "the plain network of 44 layers ends with a larger training loss than that of 20",
            ranges_in_order(loss["plain", 20], loss["plain", 44]),
            f"{told['plain', 44]} against {told['plain', 20]}",
        ),
        Verdict(
            "with residuals the one of 44 has no larger one",
            ranges_in_order(loss["residual", 44], loss["residual", 20]),
            f"{told['residual', 44]} against {told['residual', 20]}",
        ),
        Verdict(
            "vanishing gradients are not the cause: the weakest layer of 44 moves at least a tenth as fast",
            holds_if(min(ratios) >= 0.1),
            f"ratios after 0, 1, 5, 10 and 20 epochs: {', '.join(f'{ratio:.2g}' for ratio in ratios)}",
        ),
    ]


if __name__ == "__main__":
    run_missing("degradation", SETTINGS, measure)
