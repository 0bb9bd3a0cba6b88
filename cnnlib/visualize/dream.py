"""DeepDream: an image in which a layer sees more and more of what it saw."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib.checks import number
from cnnlib.geometry import as_int
from cnnlib.inputs import ascend, steepest
from cnnlib.inputs.draws import draws
from cnnlib.visualize.layers import check, reading


def deep_dream(
    model: nn.Module,
    x: torch.Tensor,
    layer: str,
    *,
    octaves: int = 4,
    steps: int = 10,
    step_size: float = 0.01,
    jitter: int = 8,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Return images (N, C, H, W) in which the length of a layer's answer has grown, at several scales.

    Mordvintsev, Olah and Tyka (2015), https://research.google/blog/inceptionism-going-deeper-into-neural-networks/: the
    image is shrunk by 1.4 for each further octave; from the smallest on, each is climbed for `steps`, and what has been
    added is enlarged to the next. A step changes pixels by `step_size` in the mean, with the image rolled by up to
    `jitter` pixels either way so that no grid shows; all images of a batch are rolled alike. Pixels stay between 0 and
    1. The model must take images of any size, as networks with global pooling and parts of others do. Raises ValueError
    for octaves that leave no pixel, negative numbers, and as `activations`.

    Drawn by `cnnlib.plotting.images.sheet`.

    >>> x = torch.rand(1, 3, 16, 16)
    >>> dreamt = deep_dream(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), x, "1", octaves=2)
    >>> dreamt.shape, bool((dreamt != x).any())
    (torch.Size([1, 3, 16, 16]), True)
    """
    check(model, x)
    if number("step_size", step_size) < 0:
        raise ValueError(f"step_size is {step_size}; expected a number of at least 0")
    jitter, rolls = as_int("jitter", jitter, 0), draws(generator)
    sizes = [[int(side / 1.4**k) for side in x.shape[2:]] for k in range(as_int("octaves", octaves, 1))][::-1]
    if min(sizes[0]) < 1:
        raise ValueError(f"octaves is {octaves}; expected fewer, as the smallest would be of {tuple(sizes[0])} pixels")

    def rolled(z: torch.Tensor, rolls: torch.Generator) -> torch.Tensor:
        shifts = torch.randint(-jitter, jitter + 1, (2,), generator=rolls).tolist()
        return z.roll(shifts, (2, 3))

    added = torch.zeros_like(x[..., :1, :1])
    with reading(model, layer) as read:
        for size in sizes:
            base = F.interpolate(x, size, mode="bilinear", antialias=True) if len(x) else x
            start = (base + F.interpolate(added, size, mode="bilinear")).clamp(0, 1) if len(x) else x
            found = ascend(
                start,
                lambda z: torch.linalg.vector_norm(read(z)[0].flatten(1), dim=1),
                step_rule=steepest(0, step_size * start[:1].numel()),
                project=lambda z: z.clamp(0, 1),
                transforms=rolled,
                steps=steps,
                generator=rolls,
            )
            added = found.x - base
        return found.x
