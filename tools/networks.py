"""Count the networks, list the shipped weights: ``python -m tools.networks`` writes the tables of ``book/networks.md``.

No weight is drawn: the networks are built on torch's meta device, and `cnnlib.models.trace` counts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cnnlib import models, shapes, weights
from cnnlib.models.trace import trace
from tools.book import ROOT
from tools.tables import fill, markdown

PAGE = ROOT / "book" / "networks.md"
NETWORKS: list[tuple[str, str, Callable[[], nn.Module], tuple[int, int, int]]] = [
    ("[LeNet-5](https://doi.org/10.1109/5.726791)", "1998", models.lenet5_1998, (1, 32, 32)),
    ("LeNet-5, as taught now", "", models.lenet5, (1, 28, 28)),
    ("[Wong and Kolter's](https://arxiv.org/abs/1711.00851)", "2018", models.wong_kolter, (1, 28, 28)),
    ("[AlexNet, two towers](https://doi.org/10.1145/3065386)", "2012", models.alexnet, (3, 227, 227)),
    ("AlexNet, one tower", "", models.alexnet_one_tower, (3, 227, 227)),
    ("[AlexNet, “one weird trick”](https://arxiv.org/abs/1404.5997)", "2014", models.alexnet_2014, (3, 224, 224)),
    ("[ZFNet](https://arxiv.org/abs/1311.2901)", "2013", models.zfnet, (3, 224, 224)),
    ("VGG-11", "2014", models.vgg11, (3, 224, 224)),
    ("[VGG-16](https://arxiv.org/abs/1409.1556)", "2014", models.vgg16, (3, 224, 224)),
    ("VGG-19", "2014", models.vgg19, (3, 224, 224)),
    ("[GoogLeNet](https://arxiv.org/abs/1409.4842)", "2014", models.googlenet, (3, 224, 224)),
    ("ResNet-18", "2015", models.resnet18, (3, 224, 224)),
    ("ResNet-34", "2015", models.resnet34, (3, 224, 224)),
    ("[ResNet-50](https://arxiv.org/abs/1512.03385)", "2015", models.resnet50, (3, 224, 224)),
    ("ResNet-50, v1.5", "", lambda: models.resnet50(stride_in="3x3"), (3, 224, 224)),
    ("ResNet-101", "2015", models.resnet101, (3, 224, 224)),
    ("ResNet-152", "2015", models.resnet152, (3, 224, 224)),
    ("[MobileNet](https://arxiv.org/abs/1704.04861)", "2017", models.mobilenet, (3, 224, 224)),
    ("[ViT-B/16](https://arxiv.org/abs/2010.11929)", "2020", models.vit_b16, (3, 224, 224)),
    ("ResNet-20", "2015", models.resnet20, (3, 32, 32)),
    ("ResNet-44", "2015", models.resnet44, (3, 32, 32)),
    ("ResNet-110", "2015", models.resnet110, (3, 32, 32)),
    ("[All-CNN-C](https://arxiv.org/abs/1412.6806)", "2014", models.all_cnn_c, (3, 32, 32)),
    ("a small ViT", "", models.vit_cifar, (3, 32, 32)),
    ("[a small CoAtNet](https://arxiv.org/abs/2106.04803)", "", models.coatnet_cifar, (3, 32, 32)),
]


def field(table: shapes.Table) -> str:
    """Return the receptive field of the last layer with several positions; — where every layer sees all."""
    fields = [row.field for row in table if row.jump != 0 and any(axis.count > 1 for axis in row.axes)]
    return "—" if any("Attention" in row.kind for row in table) else str(fields[-1])


def networks() -> str:
    """Return the table of what the networks hold and cost."""
    lines = []
    for name, year, build, image in NETWORKS:
        with torch.device("meta"):
            table = trace(build(), image)
        macs = f"{table.macs / 1e9:.2f} G" if table.macs >= 1e9 else f"{table.macs / 1e6:.2f} M"
        cells = (name, year, str(image[1]), f"{table.parameters:,}", macs, field(table), f"{table.memory / 2**20:.1f}")
        lines.append(cells)
    head = ("network", "year", "side", "parameters", "multiply–adds", "receptive field", "outputs, MiB")
    return markdown(head, lines)


def shipped() -> str:
    """Return the table of the weights that come with the package."""
    lines = []
    for name in weights.names():
        made = weights.provenance(name)
        others = " ".join(f"{100 * a:.2f}" for a in made["test_accuracy_of_other_seeds"].values())
        cells = (f"`{name}`", f"{made['epochs']}", f"{made['seconds'] / 60:.0f}", f"{100 * made['test_accuracy']:.2f}")
        lines.append((*cells, others, f"{made['test_images']:,}"))
    head = ("weights", "epochs", "minutes", "test accuracy, %", "seeds 1 and 2, %", "test images")
    return markdown(head, lines)


def robust() -> str:
    """Return the table of what the networks that were trained against an attack have right under others."""
    lines = []
    for name in weights.names():
        for found in weights.provenance(name).get("robust", []):
            shares = (f"{100 * found[key]:.1f}" for key in ("clean_accuracy", "accuracy"))
            others = " ".join(f"{100 * a:.1f}" for a in found["accuracy_of_other_seeds"].values())
            lines.append((f"`{name}`", str(found["eps"]), found["attack"], f"{found['images']:,}", *shares, others))
    return markdown(("weights", "ε", "attack", "images", "right, %", "right under it, %", "seeds 1 and 2, %"), lines)


def contents() -> dict[str, str]:
    """Return the tables by the marks between which they stand on the page."""
    return {"networks": networks(), "weights": shipped(), "robust": robust()}


if __name__ == "__main__":
    fill(PAGE, contents())
