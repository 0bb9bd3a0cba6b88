"""Deeper plain networks train worse, residual ones do not; and what their gradients say of it.

    python -m experiments.degradation

trains plain and residual networks of 20 and 44 layers on the first 25,000 training images of CIFAR-10 for 20 epochs
(crop and flip, batches of 128, Nesterov's momentum 0.9, a cosine from 0.1, weight decay 1e-4, bfloat16), three seeds
each. The criterion is the loss on those images themselves, without augmentation: a larger one is not overfitting. The
norms of the weights' gradients, layer by layer, are means over 20 batches, without augmentation. He et al. (2016),
sections 1 and 4.2, https://arxiv.org/abs/1512.03385.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from torch import nn

from cnnlib.data import augment, sets, tensors
from cnnlib.evaluate import evaluate, unit_floats
from cnnlib.models import plain_network, residual_network
from experiments.harness import RESULTS, Row, append, done, first, fit, provenance, run_missing

IMAGES, EPOCHS, BATCH = 25_000, 20, 128
NOTED = (1, 5, 10, 20)  # the epochs whose gradients are kept
GRADIENTS = RESULTS / "degradation_gradients.csv"
SETTINGS: list[Row] = [
    {"network": network, "depth": depth, "seed": seed}
    for seed in (0, 1, 2)
    for depth in (20, 44)
    for network in ("plain", "residual")
]


def gradient_norms(model: nn.Module, data: sets.DataSet, batches: int = 20) -> dict[str, float]:
    """Return, layer by layer, the mean norm of the gradient of the weights over the first batches, as in training."""
    copy = deepcopy(model).train()
    images, labels = tensors(*data.train)
    layers = {name: m.weight for name, m in copy.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    norms = dict.fromkeys(layers, 0.0)
    for x, target in zip(images[: batches * BATCH].split(BATCH), labels.split(BATCH), strict=False):
        copy.zero_grad()
        nn.functional.cross_entropy(copy(unit_floats(x)), target).backward()
        for name, weight in layers.items():
            assert weight.grad is not None
            norms[name] += weight.grad.norm().item() / batches
    return norms


def measure(setting: Row, folder: Path) -> list[Row]:
    """Train one network; return one row an epoch, and keep the norms of its gradients in a file of their own."""
    data = first(sets.load("cifar10"), IMAGES)
    build = {"plain": plain_network, "residual": residual_network}[setting["network"]]
    network = build(depth=setting["depth"], seed=setting["seed"])

    def note(model: nn.Module, epoch: int) -> None:
        place = {**setting, "epoch": epoch}
        if epoch in NOTED and not done(GRADIENTS, place):
            norms = gradient_norms(model, data)
            rows = [
                {"position": i, "layer": name, "gradient_norm": f"{v:.4g}"} for i, (name, v) in enumerate(norms.items())
            ]
            append(GRADIENTS, [{**place, **row, **provenance()} for row in rows])

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


if __name__ == "__main__":
    run_missing("degradation", SETTINGS, measure)
