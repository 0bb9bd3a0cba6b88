"""A sticker that makes a model see one thing, wherever it lies and whatever it lies on."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf, pi

import torch
from torch import nn

from cnnlib.attacks.universal import mean_over_images
from cnnlib.checks import choice
from cnnlib.geometry import as_int
from cnnlib.inputs import Adam, Result, Threat, ascend, attack_on
from cnnlib.inputs.draws import draws
from cnnlib.inputs.transforms import affine_places, sample
from cnnlib.inputs.transforms.chain import at_most, between, checked
from cnnlib.inputs.victim import check_images


@dataclass(frozen=True)
class Sticker:
    """What a patch may be: its width in fractions of the image's shorter side, its shape, and how it is put on.

    Its middle lies anywhere such that it is wholly inside, turned by up to ±`degrees` and `scale` times as wide. The
    `shape` is "disc" or "square". Raises ValueError for another, a width beyond 0 to 1, or an impossible range.

    >>> Sticker(0.25).pixels((32, 32))  # of 1024
    95
    """

    width: float
    shape: str = "disc"
    degrees: float = 45.0
    scale: tuple[float, float] = (0.8, 1.2)

    def __post_init__(self) -> None:
        at_most("width", self.width, 1)
        choice("shape", self.shape, ("disc", "square"))
        at_most("degrees", self.degrees, 180)
        checked("scale", self.scale, 1e-3, inf)

    def pixels(self, size: tuple[int, int]) -> int:
        """Return a number of pixels that it never covers more of, of an image of a size (H, W)."""
        width = self.width * min(size) * self.scale[1]
        area, border = (pi * width**2 / 4, pi * width) if self.shape == "disc" else (width**2, 4 * width)
        return min(size[0] * size[1], int(area + border / 2**0.5 + pi / 2))  # each with its square

    def put(self, image: torch.Tensor, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return images x (N, C, H, W) with the patch (1, C, s, s) on each, at a place of its own.

        The places of the first images are the same however many follow.
        """
        h, w = x.shape[2:]
        draw = between(0, 1, generator, 4 * len(x)).view(len(x), 4).to(x)
        low, high = self.scale
        turn, scale = self.degrees * (2 * draw[:, 0] - 1), low + (high - low) * draw[:, 1]
        across = scale * self.width * min(h, w)  # in pixels, (N,)
        if self.shape == "square":
            angle = torch.deg2rad(turn)
            across = across * (angle.cos().abs() + angle.sin().abs())
        right, down = ((draw[:, i] - 0.5) * (1 - across / n).clamp(min=0) for i, n in ((2, w), (3, h)))
        larger = scale * self.width * min(h, w) / image.shape[2]
        places = affine_places(image, (h, w), degrees=turn, scale=larger, shift=(right, down))  # (N, H, W, 2)
        inside = (places**2).sum(3) <= 1 if self.shape == "disc" else places.abs().amax(3) <= 1
        return torch.where(inside[:, None], sample(image, places, outside="border").clamp(0, 1), x)


@dataclass(frozen=True)
class Patch:
    """The picture (1, C, s, s) on a sticker; `history` is what was climbed, `queries` what it took."""

    image: torch.Tensor = field(repr=False)
    sticker: Sticker
    history: torch.Tensor = field(repr=False)  # (steps,)
    queries: int

    def on(
        self,
        model: nn.Module,
        x: torch.Tensor,
        y: torch.Tensor,
        *,
        target: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Result:
        """Put it on images (N, C, H, W) at places drawn for each, at one query; return what any model makes of that."""
        check_images(x, Threat(0, 0))
        threat = Threat(0, self.sticker.pixels((x.shape[2], x.shape[3])))
        with attack_on(model, x, y, threat, target=target, generator=generator) as victim:
            covered = self.sticker.put(self.image.to(x), x, victim.generator)
            victim.skip_mistaken()
            return victim.result(covered[victim.rows], x.new_zeros(0, len(victim.rows)))


def patch(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    sticker: Sticker,
    *,
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    steps: int = 200,
    batch_size: int = 32,
) -> Patch:
    """Find the picture for a sticker that makes a model take images for the target, or without one for anything else.

    Brown et al. (2017), https://arxiv.org/abs/1712.09665: ascent on the mean loss of images drawn at every step, with
    the sticker on each at a random place, size and angle; nothing but the box bounds it. It begins grey and is climbed
    by `Adam`. Images that the model has wrong are left out; without any, grey is what comes back.

    x (N, C, H, W) and y (N,); `target` (N,) is most often the same class for all, so take images of other classes.
    """
    steps, batch_size = as_int("steps", steps, 0), as_int("batch_size", batch_size, 1)
    with attack_on(model, x, y, Threat(0, 0), target=target, generator=generator) as victim:
        victim.skip_mistaken()

        def put(image: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
            return sticker.put(image, images, victim.generator)

        found = ascend(
            _grey(x, sticker),
            mean_over_images(victim, put, batch_size=batch_size),
            step_rule=Adam(0.05),
            project=victim.threat.clip,
            steps=steps if len(victim.x) else 0,
        )
        return Patch(found.x, sticker, found.history.flatten(), int(victim.queries.sum()))


def random_patch(x: torch.Tensor, sticker: Sticker, *, generator: torch.Generator | None = None) -> Patch:
    """Return a sticker of random colours, for images like x: what covering a part and drawing the eye does by itself.

    >>> random_patch(torch.zeros(1, 3, 32, 32), Sticker(0.25)).image.shape
    torch.Size([1, 3, 10, 10])
    """
    grey = _grey(x, sticker)
    return Patch(torch.rand(grey.shape, generator=draws(generator)).to(grey), sticker, x.new_zeros(0), 0)


def _grey(x: torch.Tensor, sticker: Sticker) -> torch.Tensor:
    """Return a grey picture with as many pixels as the sticker covers at its largest, (1, C, s, s)."""
    if not isinstance(sticker, Sticker):
        raise TypeError(f"sticker is {sticker!r}; expected a Sticker")
    check_images(x, Threat(0, 0))
    side = max(1, ceil(sticker.width * min(x.shape[2:]) * sticker.scale[1]))
    return x.new_full((1, x.shape[1], side, side), 0.5)
