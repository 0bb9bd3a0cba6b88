"""Randomised smoothing: ask a network about many noisy versions of an image, and let the answers vote.

How the votes of infinitely many would turn out cannot change faster than the noise allows, whatever the network is. So
a count of finitely many proves, at a stated confidence, that no change below some length alters the outcome. All of it
is from Cohen et al. (2019), https://arxiv.org/abs/1902.02918.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import nn

from cnnlib.checks import number
from cnnlib.geometry import as_int
from cnnlib.inputs import Threat, frozen
from cnnlib.inputs.draws import draws, normal
from cnnlib.inputs.result import predicted
from cnnlib.inputs.victim import check_images, check_logits, check_model

ABSTAIN = -1  # the class of an image about which the votes do not tell


class Certificate(NamedTuple):
    """Of each image the smoothed class (N,), or ABSTAIN, and the radius around it (N,) in which it is the same."""

    classes: torch.Tensor
    radius: torch.Tensor


def noisy(images: torch.Tensor, generator: torch.Generator | None, *, sigma: float) -> torch.Tensor:
    """Add noise N(0, σ²) to each image, as an `augment` of `train`: a network must know noise to vote well.

    Section 3.3; pixels may leave the box. Without a generator every call draws the same.

    >>> noisy(torch.zeros(3, 1, 64, 64), torch.Generator().manual_seed(0), sigma=0.25).std().round(decimals=2)
    tensor(0.2500)
    """
    return images + _positive("sigma", sigma) * normal(images, draws(generator), count=len(images))


def predict(
    model: nn.Module,
    x: torch.Tensor,
    *,
    sigma: float,
    samples: int = 1000,
    alpha: float = 0.001,
    generator: torch.Generator | None = None,
    batch_size: int = 500,
) -> torch.Tensor:
    """Return the class that wins the vote on x + N(0, σ²), of each image (N, C, H, W), or ABSTAIN.

    Section 3.2.1: with probability `alpha` at most an image gets a class that would not win with infinitely many votes.
    It abstains where the two leading classes' votes could be those of a fair coin. All images meet the same noise.

    Raises ValueError or TypeError for images that no attack would take, a σ that is not positive, an `alpha` that is
    not between 0 and 1, fewer than one of `samples`, and a model that returns no logits.

    >>> brighter = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    >>> with torch.no_grad():
    ...     _ = brighter[1].weight.copy_(torch.tensor([[-1.0], [1.0]]))
    ...     _ = brighter[1].bias.copy_(torch.tensor([0.5, -0.5]))
    >>> predict(brighter, torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1), sigma=0.5)
    tensor([ 0, -1,  1])
    """
    votes = _votes(model, x, _positive("sigma", sigma), samples, draws(generator), batch_size)
    most, second = votes.topk(2, dim=1).values.unbind(1)
    coin = [min(1.0, 2 * _tail(a, a + b, 0.5)) for a, b in zip(most.tolist(), second.tolist(), strict=True)]
    clear = torch.tensor(coin, dtype=torch.float64, device=x.device) <= _alpha(alpha)
    return torch.where(clear, votes.argmax(1), ABSTAIN)


def certify(
    model: nn.Module,
    x: torch.Tensor,
    *,
    sigma: float,
    samples: int = 1000,
    alpha: float = 0.001,
    generator: torch.Generator | None = None,
    batch_size: int = 500,
) -> Certificate:
    """Return the class of each image (N, C, H, W) and a radius, in L2, in which the smoothed network keeps to it.

    Section 3.2.2: a hundred votes choose the class, and `samples` others give a lower bound p of its probability, with
    which the radius is σ Φ⁻¹(p); where p is at most ½ it is 0 and the class is ABSTAIN. With probability `alpha` at
    most an image gets a radius that is too large. None is larger than σ Φ⁻¹(alpha^(1 / samples)), that of a unanimous
    vote. The noise is the same for all images, so their errors are not independent. Raises what `predict` raises.

    >>> brighter = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    >>> with torch.no_grad():
    ...     _ = brighter[1].weight.copy_(torch.tensor([[-1.0], [1.0]]))
    ...     _ = brighter[1].bias.copy_(torch.tensor([0.5, -0.5]))
    >>> certify(brighter, torch.tensor([0.5, 0.7, 1.0]).view(3, 1, 1, 1), sigma=0.5)  # nearest to 0, 0.2 and 0.5
    Certificate(classes=tensor([-1,  1,  1]), radius=tensor([0.0000, 0.1359, 0.4432]))
    """
    sigma, alpha, generator = _positive("sigma", sigma), _alpha(alpha), draws(generator)
    chosen = _votes(model, x, sigma, 100, generator, batch_size).argmax(1)
    votes = _votes(model, x, sigma, samples, generator, batch_size).gather(1, chosen[:, None]).squeeze(1)
    bound = {k: lower_bound(k, samples, alpha) for k in set(votes.tolist())}
    radius = [sigma * NormalDist().inv_cdf(bound[k]) if bound[k] > 0.5 else 0.0 for k in votes.tolist()]
    radii = torch.tensor(radius, dtype=x.dtype, device=x.device)
    return Certificate(torch.where(radii > 0, chosen, ABSTAIN), radii)


def lower_bound(successes: int, trials: int, alpha: float) -> float:
    """Return below what a probability does not lie, unless something happened that happens with probability alpha.

    The bound of Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404: the p with which at least so many
    successes have the probability alpha. Raises ValueError for more successes than trials, or an alpha not between 0
    and 1.

    >>> round(lower_bound(9, 10, 0.05), 4), lower_bound(0, 10, 0.05)
    (0.6058, 0.0)
    """
    trials, alpha = as_int("trials", trials, 1), _alpha(alpha)
    if as_int("successes", successes, 0) > trials:
        raise ValueError(f"successes is {successes}; expected at most {trials}, the trials")
    low, high = 0.0, successes / trials
    for _ in range(60 if successes else 0):  # each halves the interval: to less than float64 can tell
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(successes, trials, middle) < alpha else (low, middle)
    return low


def _tail(successes: int, trials: int, p: float) -> float:
    """Return the probability of at least so many successes: a sum of binomial terms, each from its logarithm."""
    k = torch.arange(successes, trials + 1, dtype=torch.float64)
    choices = math.lgamma(trials + 1) - torch.lgamma(k + 1) - torch.lgamma(trials - k + 1)
    return math.exp(torch.logsumexp(choices + k * math.log(p) + (trials - k) * math.log1p(-p), 0).item())


def _votes(
    model: nn.Module, x: torch.Tensor, sigma: float, samples: int, generator: torch.Generator, batch_size: int
) -> torch.Tensor:
    """Return how often each image with noise, the same for all, is put into each class, (N, classes)."""
    check_images(x, Threat(2, 0))
    check_model(model, x)
    as_int("samples", samples, 1)
    as_int("batch_size", batch_size, 1)
    votes = torch.zeros(len(x), 2, dtype=torch.int64, device=x.device)
    with frozen(model), torch.no_grad():
        for start in range(0, samples, batch_size):
            count = min(batch_size, samples - start)
            noise = sigma * torch.cat([normal(x, generator) for _ in range(count)])  # whatever the batches, the same
            for i, image in enumerate(x):
                logits = model(image + noise)
                check_logits(logits, noise, torch.zeros(1), None)
                if logits.shape[1] > votes.shape[1]:
                    votes = nn.functional.pad(votes, (0, logits.shape[1] - votes.shape[1]))
                votes[i] += torch.bincount(predicted(logits), minlength=votes.shape[1])
    return votes


def _positive(name: str, value: float) -> float:
    if not 0 < number(name, value) < math.inf:
        raise ValueError(f"{name} is {value!r}; expected a positive number")
    return value


def _alpha(alpha: float) -> float:
    if not 0 < number("alpha", alpha) < 1:
        raise ValueError(f"alpha is {alpha!r}; expected a number between 0 and 1")
    return alpha
