"""The world between an image and a camera: what an attack has to survive there, and whether it does."""

from __future__ import annotations

from math import inf

import torch
from torch import nn

from cnnlib.checks import function
from cnnlib.geometry import as_int
from cnnlib.inputs.draws import draws
from cnnlib.inputs.freeze import frozen
from cnnlib.inputs.result import predicted
from cnnlib.inputs.threat import Threat
from cnnlib.inputs.transforms import (
    Transform,
    compose,
    random_blur,
    random_colour,
    random_jpeg,
    random_noise,
    random_perspective,
    random_rescale,
)
from cnnlib.inputs.victim import check_aim, check_images, check_logits, check_model


def printed(
    *,
    distance: float = 0.05,
    factor: tuple[float, float] = (0.7, 1.0),
    sigma: tuple[float, float] = (0.0, 0.7),
    gain: tuple[float, float] = (0.9, 1.1),
    offset: float = 0.05,
    std: float = 0.02,
    quality: tuple[float, float] = (60, 95),
) -> Transform:
    """Return the channel of an image, grey or in colour, that is printed, photographed and filed, as one transform.

    Ink and light change its colours (`gain`, `offset`), the camera is held at an angle (`distance` of the corners,
    in sides), has fewer pixels (`factor`) and a lens (blur of `sigma` pixels), adds noise (`std`), and stores a JPEG
    (`quality`). Kurakin et al. (2017), https://arxiv.org/abs/1607.02533, did it with paper; the ranges here are a
    model's, not theirs. Raises ValueError for an empty or impossible range.

    >>> channel = printed()
    >>> channel(torch.rand(2, 3, 32, 32), torch.Generator()).shape
    torch.Size([2, 3, 32, 32])
    """
    return compose(
        random_colour(gain=gain, offset=offset),
        random_perspective(distance, outside="border"),
        random_rescale(factor),
        random_blur(sigma),
        random_noise(std),
        random_jpeg(quality),
    )


def survival(
    model: nn.Module,
    images: torch.Tensor,
    y: torch.Tensor,
    transform: Transform,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    count: int = 100,
) -> torch.Tensor:
    """Return for each image the share of `count` fresh views in which it fools the model, (N,).

    images (N, C, H, W) are adversarial, y (N,) their true classes; with a `target` (N,), it fools where it is taken for
    that. One minus what it returns for unchanged images is the accuracy behind the channel: compare with that, since
    views alone mislead a model, too. All images meet the same draws. Raises what attacks raise, and ValueError for a
    transform that does not return one view of each image.

    >>> model = nn.Flatten()
    >>> flipped = lambda x, generator: x.flip(3) if torch.rand(1, generator=generator) < 0.5 else x
    >>> survival(model, torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([0]), flipped, count=1000).round(decimals=1)
    tensor([0.5000])
    """
    fooled = views_that_fool(model, images, y, transform, target=target, generator=generator, count=count)
    return fooled.to(images.dtype).mean(0)


def views_that_fool(
    model: nn.Module,
    images: torch.Tensor,
    y: torch.Tensor,
    transform: Transform,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    count: int = 100,
) -> torch.Tensor:
    """Return which of `count` fresh views fool the model, (count, N) of bool; the arguments are those of `survival`."""
    check_images(images, Threat(inf, 0), name="images")
    function("transform", transform)
    check_aim(y, target, images)
    check_model(model, images)
    count, numbers = as_int("count", count, 1), draws(generator)
    fooled = torch.zeros(count, len(images), dtype=torch.bool, device=images.device)
    with frozen(model), torch.no_grad():
        for view in range(count if len(images) else 0):
            seen = transform(images.clone(), numbers)  # the model may work in place
            if len(seen) != len(images):
                raise ValueError(f"transform returns {len(seen)} views of {len(images)} images; expected one of each")
            logits = model(seen)
            check_logits(logits, images, y, target)
            found = predicted(logits)
            fooled[view] = found != y if target is None else found == target
    return fooled
