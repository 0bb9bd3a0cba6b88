"""Pictures of the gallery that look into networks; each takes the network that it shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional as F

from cnnlib import visualize
from cnnlib.data import CIFAR10_CLASSES, photo
from cnnlib.plotting import inside
from cnnlib.plotting.images import sheet, stretched, table
from cnnlib.plotting.lines import by_layer
from experiments.images import first_images

COLOUR, SHOWN = (3, 32, 32), [1, 3, 4, 13]  # of the test images, those that are drawn
STAGES = {"network.2": "layer 1", "network.8": "stage 1", "network.14": "stage 2", "network.20": "stage 3"}


def shown_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a few test images of CIFAR-10, from 0 to 1, and their labels."""
    x, y = first_images("cifar10", "test", 14)
    return x[SHOWN], y[SHOWN]


def filters(network: nn.Module) -> Figure:
    """Draw the filters of the first layer."""
    return sheet(visualize.first_layer_filters(network), columns=8)


def top_patches(network: nn.Module) -> Figure:
    """Draw the nine patches that excite a channel most, and what of them does."""
    x, _ = first_images("cifar10", "test", 300)
    found = visualize.top_patches(network, x, "network.8", channels=[3, 7, 11])
    return inside.top_patches(found, visualize.deconvnet_projections(network, x, "network.8", found))


def pooled_patches(network: nn.Module) -> Figure:
    """Draw the same of a network that pools by maxima, whose way back therefore depends on the image."""
    x, _ = first_images("mnist", "test", 300)
    found = visualize.top_patches(network, x, "network.5", channels=[0, 5, 9])
    return inside.top_patches(found, visualize.deconvnet_projections(network, x, "network.5", found))


def channels(network: nn.Module) -> Figure:
    """Draw the images that excite channels most."""
    units = [(channel,) for channel in range(8)]
    found = visualize.maximise_activation(network, "network.13", units, shape=COLOUR, norm=4.0)
    return sheet(stretched(found.x), titles=[f"channel {channel}" for channel in range(8)], columns=4)


def classes(network: nn.Module) -> Figure:
    """Draw an image of each class, from the weights alone."""
    return sheet(visualize.class_model(network, torch.arange(10), shape=COLOUR).x, titles=CIFAR10_CLASSES)


def attributions(network: nn.Module) -> Figure:
    """Draw where six methods see the reasons for the right class."""
    x, y = shown_images()
    methods: dict[str, Callable[..., torch.Tensor]] = {
        "saliency": visualize.saliency,
        "guided": visualize.guided_backprop,
        "deconvnet": visualize.deconvnet,
        "integrated\ngradients": partial(visualize.integrated_gradients, baseline=0.5, steps=12),
        "Grad-CAM": partial(visualize.grad_cam, layer="network.20"),
        "occlusion": partial(visualize.occlusion, window=8, stride=4, baseline=0.5),
    }
    maps = {name: method(network, x, y) for name, method in methods.items()}
    return inside.attributions(x, maps, titles=[CIFAR10_CLASSES[label] for label in y])


def inverted(network: nn.Module) -> Figure:
    """Draw images to which a layer answers as to the first row, and by how much of its length it misses that answer."""
    x, _ = shown_images()
    rows = {"image": x}
    for layer, name in STAGES.items():
        found = visualize.invert(network, x, layer, steps=800).x
        answers, wanted = (visualize.activations(network, images, layer).flatten(1) for images in (found, x))
        miss = ((answers - wanted).norm(dim=1) / wanted.norm(dim=1)).mean()
        rows[f"{name}\nmiss {100 * miss:.0f} %"] = found
    return table(rows)


def dream(network: nn.Module) -> Figure:
    """Draw a photograph with more of what a layer sees in it."""
    x = _photo("chelsea", (133, 200))
    dreamt = visualize.deep_dream(network, x, "network.14")
    return sheet([x[0], dreamt[0]], titles=["image", "dream of stage 2"])


def style(network: nn.Module) -> Figure:
    """Draw a photograph in the textures of petals."""
    x, flower = _photo("astronaut", (128, 128)), photo("flower")
    high, wide = flower.shape[:2]
    petals = flower[int(0.3 * high) : int(0.85 * high), int(0.3 * wide) : int(0.72 * wide)]
    canvas = _resized(petals, (64, 64))
    layers = ["network.2", "network.4", "network.8", "network.14"]
    found = visualize.style_transfer(network, x, canvas, content_layer="network.14", style_layers=layers)
    return sheet([x[0], canvas[0], found.x[0]], titles=["content", "style", "result"])


def nearest_in_features(network: nn.Module) -> Figure:
    """Draw the digits that a late layer finds most alike."""
    x, y = first_images("mnist", "test", 1000)
    features = visualize.activations(network, x, "network.10")
    found = visualize.neighbours(features[4:], features[:4], count=5)
    return inside.neighbours(x[:4], x[4:], found, names=[str(int(label)) for label in y[:4]])


def probes(network: nn.Module) -> Figure:
    """Draw how well a linear classifier, fitted to 500 digits, reads the class off each layer."""
    x, y = first_images("mnist", "test", 1500)
    layers = {"normalise": "pixels", "network.2": "pooling 1", "network.5": "pooling 2", "network.8": "dense 1"}
    right = {}
    for layer, name in {**layers, "network.10": "dense 2"}.items():
        features = visualize.activations(network, x, layer).flatten(1)
        right[name] = 100 * visualize.linear_probe(features[:500], y[:500]).accuracy(features[500:], y[500:])
    return by_layer({"linear probe": right}, label="unseen digits told right, %", level=10)


def _photo(name: str, size: tuple[int, int]) -> torch.Tensor:
    return _resized(photo(name), size)


def _resized(pixels: object, size: tuple[int, int]) -> torch.Tensor:
    """Return pixels (H, W, C) as an image (1, C, *size)."""
    x = torch.as_tensor(pixels).permute(2, 0, 1)[None].float()
    return F.interpolate(x, size, mode="bilinear", antialias=True).clamp(0, 1)
