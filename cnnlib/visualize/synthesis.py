"""Images that a network would like to see: those that excite a unit, stand for a class, or answer as another does.

Each is an ascent on an input, of the shape (C, H, W), and returns a `cnnlib.inputs.Ascent`: the images, and what the
objective was on the way. The model is afterwards as it was, and what is drawn comes from the `generator`; without one,
from a new one with the seed 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cnnlib.checks import number, sequence
from cnnlib.evaluate import device_of
from cnnlib.geometry import as_int
from cnnlib.inputs import Ascent, ascend, steepest
from cnnlib.inputs.ascend import Transforms, mean_over_views
from cnnlib.inputs.draws import draws, normal
from cnnlib.inputs.threat import lengths
from cnnlib.inputs.transforms import compose, random_affine, random_noise
from cnnlib.inputs.victim import check_classes
from cnnlib.visualize.layers import check, logits_of, reading
from cnnlib.visualize.natural import Natural, spread

SHAKEN = compose(random_affine(degrees=5, scale=(0.9, 1.1), shift=0.1, outside="border"), random_noise(0.1))
GREY = 0.5  # from where images are measured: pixels lie between 0 and 1

Unit = tuple[int, ...]


def maximise_activation(
    model: nn.Module,
    layer: str,
    units: Sequence[Unit],
    *,
    shape: Sequence[int],
    norm: float,
    steps: int = 100,
    natural: bool = True,
    generator: torch.Generator | None = None,
) -> Ascent:
    """Return for each of `units` an image that excites it, as far from grey as `norm` says: (units, C, H, W).

    Erhan, Bengio, Courville and Vincent, "Visualizing higher-layer features of a deep network" (2009), section 3:
    gradient ascent on the activation under ‖x − ½‖ = `norm`; without a bound on x it would grow for ever. Pixels may
    leave the range from 0 to 1, the more so the larger the norm. A unit is an index into what the layer puts out:
    (channel, row, column) is one number, (channel,) the mean over a channel, () the length of the whole answer.

    Where `natural`, x = ½ + P u with the P of `Natural`, and ‖u‖ = `norm`: fine patterns and colours cost more than
    coarse and grey ones, as in photographs. Without, it is as in the paper; what excites a deep unit most of all images
    of one length tells the eye little. The steps shrink from a quarter of the norm to nothing, and all images begin at
    the same noise. Where that leaves a ReLU off, nothing leads away from it, and the history stays at 0: ask the layer
    before the ReLU.

    Raises TypeError for no module, and ValueError for an unknown layer, an index beyond what it puts out, a norm that
    is not positive, and an activation that does not depend on the image.

    Drawn by `cnnlib.plotting.images.sheet`, after `stretched`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> found = maximise_activation(model, "1", [(0,), (2,)], shape=(1, 2, 2), norm=1.0, natural=False)
    >>> best = nn.functional.normalize(model[1].weight[[0, 2]])
    >>> torch.allclose(found.x.flatten(1), 0.5 + best, atol=1e-3)
    True
    """
    if not number("norm", norm) > 0:
        raise ValueError(f"norm is {norm}; expected a positive number")
    steps, units = as_int("steps", steps, 0), sequence("units", units)
    blank, taken = _blank(model, len(units), shape), 0

    def image(u: torch.Tensor) -> torch.Tensor:
        return GREY + (spread(u) if natural and len(u) else u)

    def on_sphere(u: torch.Tensor) -> torch.Tensor:
        return norm * u / lengths(u).clamp(min=1e-12)

    def shrinking(u: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        nonlocal taken
        taken += 1
        return steepest(2, norm / 4 * (1 - taken / (steps + 1)))(u, gradient, values)

    with reading(model, layer) as read:
        found = ascend(
            on_sphere(torch.zeros_like(blank) + normal(blank, draws(generator))),
            lambda u: torch.stack([_measure(*pair) for pair in zip(read(image(u))[0], units, strict=True)]),
            step_rule=shrinking,
            project=on_sphere,
            steps=steps,
        )
    return Ascent(image(found.x), found.history)


def _measure(answer: torch.Tensor, unit: Unit) -> torch.Tensor:
    """Return a unit's activation, the mean of a channel's, or the length of all that a layer answers to an image."""
    try:
        index = tuple(unit)
        return answer[index].mean() if index else torch.linalg.vector_norm(answer)
    except (IndexError, TypeError):
        shape = tuple(answer.shape)
        raise ValueError(f"units has {unit!r}; expected indices into {shape}, as the layer puts out") from None


def class_model(
    model: nn.Module,
    y: torch.Tensor,
    *,
    shape: Sequence[int],
    l2: float = 0.02,
    tv: float = 0.02,
    steps: int = 150,
    transforms: Transforms | None = SHAKEN,
    generator: torch.Generator | None = None,
) -> Ascent:
    """Return for each class of y (N,) the image with the largest logit, less `l2` · ‖x − ½‖² and `tv` · ‖∇x‖².

    Simonyan et al. (2014), section 2, https://arxiv.org/abs/1312.6034: the logit and not the probability, which grows
    also where those of others fall. They begin at the mean image, leave pixels free and have no `tv`; here the ascent
    begins at grey, by `Natural` steps, and pixels stay between 0 and 1. Unless `transforms` is None, the logit is the
    mean over the views of the image that it returns, those of `SHAKEN` being turned, scaled, shifted and noisy: what is
    lost by that, a reader would not recognise either. The smaller the images, the larger a good `l2`.

    Raises TypeError and ValueError for anything but classes (N,) that the model has logits for, and a negative weight.

    Drawn by `cnnlib.plotting.images.sheet`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> found = class_model(model, torch.tensor([1]), shape=(1, 2, 2), l2=2.0, tv=0.0, transforms=None)
    >>> torch.allclose(found.x.flatten(), 0.5 + model[1].weight[1] / 4, atol=1e-3)
    True
    """
    _check_weights(l2, tv)
    if not isinstance(y, torch.Tensor):
        raise TypeError(f"y is {type(y).__name__}; expected a torch.Tensor")
    blank = _blank(model, len(y), shape)
    check_classes("y", y, blank)

    def logits(views: torch.Tensor) -> torch.Tensor:
        return logits_of(read(views)[0], y.repeat(len(views) // len(y)))

    seen = logits if transforms is None else mean_over_views(logits, transforms, generator)

    def objective(x: torch.Tensor) -> torch.Tensor:
        return seen(x) - l2 * (x - GREY).square().sum((1, 2, 3)) - tv * squared_gradient(x)

    with reading(model, "") as read:
        return ascend(blank, objective, step_rule=Natural(0.03), project=lambda x: x.clamp(0, 1), steps=steps)


def invert(
    model: nn.Module,
    x: torch.Tensor,
    layer: str,
    *,
    l2: float = 0.0,
    tv: float = 0.0003,
    steps: int = 200,
    lr: float = 0.03,
    generator: torch.Generator | None = None,
) -> Ascent:
    """Return images to which a layer answers as it does to x (N, C, H, W): what is left of x in that layer.

    Mahendran and Vedaldi (2015), section 2, https://arxiv.org/abs/1412.0035: it minimises
    ‖f(z) − f(x)‖² / ‖f(x)‖² + `l2` · ‖z − ½‖² + `tv` · ‖∇z‖², by `Natural` steps from noise around grey, with
    pixels between 0 and 1. They take the sixth power of pixels for the square, and momentum. The history is minus that
    sum. ValueError for negative weights, images outside 0 to 1, a layer that answers zero, and as `activations`.

    Drawn by `cnnlib.plotting.images.table`.

    >>> x = torch.rand(1, 1, 3, 3)
    >>> found = invert(nn.Sequential(nn.Flatten()), x, "0")
    >>> torch.allclose(found.x, x, atol=1e-2)
    True
    """
    check(model, x)
    _check_weights(l2, tv)
    start = (GREY + 0.1 * spread(normal(x, draws(generator)))).clamp(0, 1).expand_as(x)
    with reading(model, layer) as read:
        with torch.no_grad():
            wanted = some(read(x)[0], layer) if len(x) else x

        def objective(z: torch.Tensor) -> torch.Tensor:
            prior = l2 * (z - GREY).square().sum((1, 2, 3)) + tv * squared_gradient(z)
            return -relative_miss(read(z)[0], wanted) - prior

        return ascend(start, objective, step_rule=Natural(lr), project=lambda z: z.clamp(0, 1), steps=steps)


def some(answer: torch.Tensor, layer: str) -> torch.Tensor:
    """Return a layer's answer to images, (N, …), or raise ValueError where it is nothing but zeros."""
    silent = answer.flatten(1).eq(0).all(1)
    if silent.any():
        row = int(silent.nonzero()[0])
        raise ValueError(f"layer is {layer!r}, whose answer to image {row} is zero; expected one to come near to")
    return answer


def relative_miss(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return ‖found − wanted‖² / ‖wanted‖² of each row, (N,).

    >>> relative_miss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 3.0]]))
    tensor([0.1000])
    """
    size = wanted.flatten(1).square().sum(1).clamp(min=torch.finfo(wanted.dtype).tiny)
    return (found - wanted).flatten(1).square().sum(1) / size


def squared_gradient(x: torch.Tensor) -> torch.Tensor:
    """Return ‖∇x‖² of images (N, C, H, W), (N,): the squared differences of neighbours, down and across, in sum.

    Mahendran and Vedaldi (2015), section 2: their total variation with β = 2.

    >>> squared_gradient(torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]]))
    tensor([14.])
    """
    return x.diff(dim=2).square().sum((1, 2, 3)) + x.diff(dim=3).square().sum((1, 2, 3))


def _blank(model: nn.Module, count: int, shape: Sequence[int]) -> torch.Tensor:
    """Return `count` grey images (count, C, H, W), where and of what a model is."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module")
    if not isinstance(shape, Sequence) or len(shape) != 3:
        raise ValueError(f"shape is {shape!r}; expected (C, H, W)")
    sizes = [as_int("shape", size, 1) for size in shape]
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    return torch.full((count, *sizes), GREY, dtype=dtype, device=device_of(model))


def _check_weights(l2: float, tv: float) -> None:
    for name, value in (("l2", l2), ("tv", tv)):
        if number(name, value) < 0:
            raise ValueError(f"{name} is {value}; expected a number of at least 0")
