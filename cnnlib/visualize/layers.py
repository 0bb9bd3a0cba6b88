"""What a model's layers answer to images: read by a hook that is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from math import inf
from typing import Any

import torch
from torch import nn

from cnnlib.geometry import as_int
from cnnlib.inputs import Threat, frozen
from cnnlib.inputs.victim import check_classes, check_images, check_logits, check_model

Read = Callable[[torch.Tensor], list[torch.Tensor]]  # images (N, …) → what each layer makes of them
_PIXELS = Threat(inf, 0)  # whose box they lie in


@contextmanager
def reading(model: nn.Module, *layers: str) -> Iterator[Read]:
    """Freeze a model, and lend the function from images to what each of `layers` puts out.

    Layers have the names of `model.named_modules()`; "" is the model itself, and its output the logits. What is read
    keeps its gradients, and is what the layer put out even where a later layer works in place.

    Raises ValueError for a name that no module has, and where a layer is not called, is called several times for the
    same images, or puts out anything but one tensor.

    >>> model = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True))
    >>> with reading(model, "0", "") as read:
    ...     read(torch.tensor([[-1.0, 2.0]]))
    [tensor([[-1.,  2.]]), tensor([[0., 2.]])]
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    for layer in layers:
        check_layer(modules, layer)
    kept: dict[str, torch.Tensor] = {}

    def keep(layer: str, output: Any) -> torch.Tensor:
        if layer in kept:
            raise ValueError(f"layer is {layer!r}, called several times for the same images; expected one called once")
        if not isinstance(output, torch.Tensor):
            if not layer:
                raise ValueError(f"model returns {type(output).__name__}; expected a tensor")
            raise ValueError(f"layer is {layer!r}, which puts out {type(output).__name__}; expected a tensor")
        kept[layer] = output.clone()  # it may share numbers with what was put in
        return kept[layer].clone()  # what comes next may work in place

    def read(x: torch.Tensor) -> list[torch.Tensor]:
        kept.clear()
        model(x.clone())  # it may work in place
        for layer in layers:
            if layer not in kept:
                raise ValueError(f"layer is {layer!r}, which the model does not call; expected one that it calls")
        return [kept[layer] for layer in layers]

    with frozen(model):
        for layer in dict.fromkeys(layers):
            modules[layer].register_forward_hook(lambda module, inputs, output, layer=layer: keep(layer, output))
        yield read


def check_layer(modules: dict[str, nn.Module], layer: str) -> None:
    """Raise TypeError or ValueError unless `layer` is one of the names."""
    if not isinstance(layer, str):
        raise TypeError(f"layer is {layer!r}; expected the name of a module")
    if layer not in modules:
        near = get_close_matches(layer, filter(None, modules), n=4, cutoff=0.4)
        names = dict.fromkeys([*near, *filter(None, modules), ""])
        raise ValueError(f"layer is {layer!r}; expected the name of a module: {', '.join(map(repr, names))}")


def check(model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None) -> None:
    """Raise TypeError or ValueError unless x is images from 0 to 1 where the model is, and y a class of each."""
    check_images(x, _PIXELS)
    check_model(model, x)
    if y is not None:
        check_classes("y", y, x)


def logits_of(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the logit of its class y (N,) for each image, or raise ValueError where the model has no such logits.

    >>> logits_of(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]))
    tensor([2., 3.])
    """
    check_logits(logits, y, y, None)
    return logits.gather(1, y[:, None])[:, 0]


def activations(model: nn.Module, x: torch.Tensor, layer: str, *, batch_size: int = 500) -> torch.Tensor:
    """Return what a layer makes of images (N, C, H, W): (N, …), without gradients.

    `layer` is a name of `model.named_modules()`; the model acts as in use, and is afterwards as it was. Raises
    TypeError and ValueError for anything but floats from 0 to 1, a model elsewhere, an unknown layer (the
    message lists the known, similar ones first), and a layer that is not called, is called several times, or puts out
    no tensor.

    >>> activations(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.rand(2, 1, 2, 2), "0").shape
    torch.Size([2, 4])
    >>> activations(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.rand(2, 1, 2, 2), "fc")
    Traceback (most recent call last):
    ValueError: layer is 'fc'; expected the name of a module: '0', '1', ''
    """
    check(model, x)
    with reading(model, layer) as read, torch.no_grad():
        return torch.cat([read(part)[0] for part in x.split(as_int("batch_size", batch_size, 1))])
