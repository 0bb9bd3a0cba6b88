"""Does an attribution depend on what the network has learned? Destroy that, layer by layer, and look again."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from cnnlib.checks import function
from cnnlib.inputs import frozen
from cnnlib.inputs.draws import draws
from cnnlib.visualize.layers import check

Attribution = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]  # model, x, y → maps (N, …)


def randomisation(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    attribution: Attribution,
    *,
    generator: torch.Generator | None = None,
) -> dict[str, torch.Tensor]:
    """Return how alike maps are before and after the layers down to each, from the logits on, have been randomised.

    Adebayo et al. (2018), section 3, https://arxiv.org/abs/1810.03292: an attribution whose maps stay alike does not
    tell what the network has learned. The keys are the layers with parameters, the last called first; the values
    (N,) are Spearman's rank correlations of the maps' magnitudes, all layers down to that one being random. A parameter
    is drawn anew from the normal distribution with its own mean and standard deviation, which keeps activations as
    large as they were; there, layers are initialised again. The model itself is not touched.

    `attribution` is a function of a model, images and classes, such as `saliency` or
    `functools.partial(grad_cam, layer="4")`. Raises ValueError where it does not return a map of each image, in
    finite numbers.

    Drawn by `cnnlib.plotting.lines.by_layer`.

    >>> from cnnlib.visualize import saliency
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> found = randomisation(model, torch.rand(2, 1, 8, 8), torch.tensor([0, 1]), saliency)
    >>> list(found), found["1"].shape
    (['3', '1'], torch.Size([2]))
    """
    check(model, x, y)
    random, numbers = copy.deepcopy(model), draws(generator)
    before, found = _maps(attribution, random, x, y), {}
    modules = dict(random.named_modules())
    for name in _called(random, x)[::-1]:
        for parameter in modules[name].parameters(recurse=False):
            mean, std = parameter.mean(), parameter.std(correction=0)
            noise = torch.randn(parameter.shape, generator=numbers, dtype=parameter.dtype).to(parameter.device)
            parameter.data = mean.detach() + std.detach() * noise
        found[name] = rank_correlation(before.abs(), _maps(attribution, random, x, y).abs())
    return found


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return Spearman's correlation of the rows of a and b (N, …), (N,); 0 where a row is constant.

    Equal numbers share the mean of their ranks. ValueError for maps of other shapes than (N, …), or of two.

    >>> rank_correlation(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[3.0, 5.0, 4.0]]))
    tensor([0.5000], dtype=torch.float64)
    """
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(f"a is {tuple(a.shape)} and b {tuple(b.shape)}; expected (N, …), the same twice")
    first, second = (_centred_ranks(rows.flatten(1)) for rows in (a, b))
    sizes = torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)
    return (first * second).sum(1) / sizes.clamp(min=1e-12)


def _centred_ranks(rows: torch.Tensor) -> torch.Tensor:
    ordered = rows.sort(dim=1).values
    below, upto = (torch.searchsorted(ordered, rows.contiguous(), right=right) for right in (False, True))
    return (below + upto - rows.shape[1]).double() / 2  # the mean rank is that of the middle


def _called(model: nn.Module, x: torch.Tensor) -> list[str]:
    """Return the names of the modules with parameters of their own, in the order in which they are first called."""
    names: dict[str, None] = {}
    with frozen(model), torch.no_grad():
        for name, module in model.named_modules():
            if next(module.parameters(recurse=False), None) is not None:
                module.register_forward_hook(lambda *_, name=name: names.setdefault(name))
        model(x[:1].clone())  # it may work in place
    return list(names)


def _maps(attribution: Attribution, model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    function("attribution", attribution)
    maps = attribution(model, x, y)
    if not isinstance(maps, torch.Tensor) or maps.ndim < 2 or len(maps) != len(x):
        found = tuple(maps.shape) if isinstance(maps, torch.Tensor) else type(maps).__name__
        raise ValueError(f"attribution returns {found}; expected maps ({len(x)}, …)")
    if not maps.isfinite().all():  # which have no order
        raise ValueError(f"attribution returns {(~maps.isfinite()).sum()} numbers that are not finite; expected none")
    return maps
