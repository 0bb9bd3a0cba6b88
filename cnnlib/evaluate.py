"""How well a network does on images that it has not seen; as a command, ``python -m cnnlib.evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib.geometry import as_int

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Evaluation(NamedTuple):
    """Cross-entropy, accuracy, and how often images of class i (row) were taken for class j (column)."""

    loss: float
    accuracy: float
    confusion: torch.Tensor  # (K, K) of int64


def evaluate(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    batch_size: int = 500,
    precision: str = "float32",
) -> Evaluation:
    """Return the mean cross-entropy, the accuracy and the confusion matrix of a model on images (N, C, H, W).

    Bytes become numbers from 0 to 1. The model acts as in use, on the device where its parameters are, and is
    afterwards in the mode in which it was; no gradients are computed. `precision` is as in `train`. Raises ValueError
    for images and labels that do not belong together, none at all, and labels that the model has no logit for.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    >>> with torch.no_grad():
    ...     _ = model[1].weight.copy_(torch.tensor([[0.0], [1.0]])), model[1].bias.zero_()
    >>> result = evaluate(model, torch.tensor([-1.0, 1.0, 2.0]).view(3, 1, 1, 1), torch.tensor([0, 1, 0]))
    >>> round(result.accuracy, 3), result.confusion.tolist()
    (0.667, [[1, 1], [0, 1]])
    """
    check_images(images, labels)
    device = device_of(model)
    losses, confusion = [], torch.zeros(0, 0, dtype=torch.int64)
    with in_use(model), autocast(device, precision):
        for start in range(0, len(images), as_int("batch_size", batch_size, 1)):
            x = unit_floats(images[start : start + batch_size].to(device))
            target = labels[start : start + batch_size].to(device)
            logits = model(x)
            if not start:
                check_logits(logits, len(x), labels)
                confusion = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.int64)
            losses.append(F.cross_entropy(logits.float(), target, reduction="sum").item())
            pairs = (target * logits.shape[1] + logits.argmax(1)).cpu()
            confusion += torch.bincount(pairs, minlength=confusion.numel()).view_as(confusion)
    return Evaluation(sum(losses) / len(images), confusion.diagonal().sum().item() / len(images), confusion)


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's parameters are; the processor if it has none.

    >>> device_of(nn.Flatten())
    device(type='cpu')
    """
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def unit_floats(x: torch.Tensor) -> torch.Tensor:
    """Return bytes as numbers from 0 to 1; floating point stays as it is.

    >>> unit_floats(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([0., 1.])
    """
    return x.float() / 255 if x.dtype == torch.uint8 else x


def autocast(device: torch.device, precision: str) -> torch.autocast | nullcontext[None]:
    """Return the context in which torch multiplies in `precision`; raises ValueError for an unknown one."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; expected one of {', '.join(map(repr, PRECISIONS))}")
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, PRECISIONS[precision])


@contextmanager
def in_use(model: nn.Module) -> Iterator[None]:
    """Let a model act as in use, without gradients; then every module has its own mode again.

    >>> layer = nn.Dropout()
    >>> with in_use(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    with modes_kept(model), torch.no_grad():
        model.eval()
        yield


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Give every module back the mode that it has now, whatever happens inside."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def check_images(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Raise ValueError unless images are (N, C, H, W) of bytes or floats and labels (N,) of int64, N at least 1."""
    if images.ndim != 4 or not len(images) or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise ValueError(f"images is {images.dtype} {tuple(images.shape)}; expected (N, C, H, W) of uint8 or floats")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(f"labels is {labels.dtype} {tuple(labels.shape)}; expected int64 of shape ({len(images)},)")


def check_logits(logits: torch.Tensor, images: int, labels: torch.Tensor) -> None:
    """Raise ValueError unless a model gave one row of logits an image, with a column for every label of the data."""
    if not isinstance(logits, torch.Tensor):
        raise ValueError(f"model returns {type(logits).__name__}; expected logits of shape ({images}, classes)")
    if logits.ndim != 2 or len(logits) != images:
        raise ValueError(f"model returns {tuple(logits.shape)}; expected logits of shape ({images}, classes)")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= logits.shape[1]:
        last = logits.shape[1] - 1
        raise ValueError(f"labels run from {lowest} to {highest}; expected 0 to {last}, as the model has")


if __name__ == "__main__":
    from cnnlib.command import evaluate_command

    evaluate_command()
