"""Which pixels a class depends on, by gradients: plain, with other rules for the ReLUs, and summed along a path.

Each takes images x (N, C, H, W) with pixels from 0 to 1 and classes y (N,) of int64, those whose logits are explained,
and returns a number for every number of x. TypeError and ValueError, naming the argument, for anything else.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cnnlib.checks import number
from cnnlib.geometry import as_int
from cnnlib.visualize.layers import check, logits_of, reading
from cnnlib.visualize.rectifiers import Rule, deconvolved, guided, input_gradient


def gradient(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the logit of y with respect to x, with its sign.

    Drawn by `cnnlib.plotting.inside.attributions`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> found = gradient(model, torch.rand(1, 1, 2, 2), torch.tensor([1]))
    >>> torch.equal(found.flatten(), model[1].weight[1])
    True
    """
    return _gradient(model, x, y, None)


def saliency(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return how much the logit of y would change with each number of x: the gradient's magnitude.

    Simonyan et al. (2014), section 3, https://arxiv.org/abs/1312.6034, who show the largest over the channels,
    `saliency(model, x, y).amax(1)`.

    Drawn by `cnnlib.plotting.inside.attributions`.
    """
    return gradient(model, x, y).abs()


def guided_backprop(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the gradient of which a ReLU passes only what is positive, and only where it was on.

    Springenberg et al. (2015), figure 1, https://arxiv.org/abs/1412.6806. ReLUs may be modules or functions, work in
    place and be used several times. ValueError for a model with rectifiers of another kind, or with none.

    Drawn by `cnnlib.plotting.inside.attributions`.
    """
    return _ruled(model, x, y, guided)


def deconvnet(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the gradient of which a ReLU passes what is positive, wherever it was on.

    Zeiler and Fergus (2014), section 2.1, https://arxiv.org/abs/1311.2901: transposed convolutions, max pooling undone
    by its switches, and a ReLU on the way back. A network without max pooling has no switches, and its maps depend on
    the class alone, not on x. Errors as in `guided_backprop`.

    Drawn by `cnnlib.plotting.inside.attributions`.
    """
    return _ruled(model, x, y, deconvolved)


def integrated_gradients(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, baseline: float | torch.Tensor = 0.0, steps: int = 50
) -> torch.Tensor:
    """Return (x − baseline) times the mean gradient between the two, which sums to what the logit of y has gained.

    Sundararajan et al. (2017), section 3, https://arxiv.org/abs/1703.01365, with the mean by Gauss–Legendre quadrature
    of `steps` gradients. `baseline` is a number from 0 to 1 for all pixels or images that go with x, such as
    (1, C, H, W); another one gives another answer. ValueError where it is neither.

    Drawn by `cnnlib.plotting.inside.attributions`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> x, y = torch.rand(1, 1, 2, 2), torch.tensor([1])
    >>> gained = model(x)[0, 1] - model(0 * x)[0, 1]
    >>> torch.allclose(integrated_gradients(model, x, y).sum(), gained, atol=1e-6)
    True
    """
    check(model, x, y)
    x = x.detach()
    start = as_baseline(baseline, x).detach()
    nodes, weights = np.polynomial.legendre.leggauss(as_int("steps", steps, 1))
    total = torch.zeros_like(x)
    with reading(model, "") as read:
        for node, weight in zip(((1 + nodes) / 2).tolist(), (weights / 2).tolist(), strict=True):
            total += weight * input_gradient(start + node * (x - start), lambda z: logits_of(read(z)[0], y))
    return total * (x - start)


def as_baseline(baseline: float | torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return a baseline that goes with x, or raise ValueError unless it has its shape, and pixels from 0 to 1."""
    if isinstance(baseline, torch.Tensor):
        values = baseline.to(x)
    else:
        values = torch.tensor(number("baseline", baseline), dtype=x.dtype, device=x.device)
    try:
        expanded = values.expand_as(x)
    except RuntimeError:
        raise ValueError(f"baseline is {tuple(values.shape)}; expected a number or {tuple(x.shape)}, as x is") from None
    if not ((values >= 0) & (values <= 1)).all():  # NaN is neither
        raise ValueError(f"baseline runs from {values.min():g} to {values.max():g}; expected pixels from 0 to 1")
    return expanded


def _gradient(model: nn.Module, x: torch.Tensor, y: torch.Tensor, rule: Rule | None) -> torch.Tensor:
    check(model, x, y)
    with reading(model, "") as read:
        return input_gradient(x, lambda z: logits_of(read(z)[0], y), rule)


def _ruled(model: nn.Module, x: torch.Tensor, y: torch.Tensor, rule: Rule) -> torch.Tensor:
    met = 0

    def counted(above: torch.Tensor, on: torch.Tensor) -> torch.Tensor:
        nonlocal met
        met += 1
        return rule(above, on)

    found = _gradient(model, x, y, counted)
    if len(x) and not met:
        raise ValueError("model has no ReLU of torch between its input and its logits; expected at least one")
    return found
