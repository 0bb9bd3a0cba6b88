"""What can be read off a layer: a linear classifier on its answers, and the images that it answers to alike."""

from __future__ import annotations

from typing import NamedTuple

import torch

from cnnlib.checks import number
from cnnlib.geometry import as_int
from cnnlib.inputs.victim import check_classes


class Probe(NamedTuple):
    """A linear classifier on features: `weight` (K, D) and `bias` (K,), in float64."""

    weight: torch.Tensor
    bias: torch.Tensor

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return the scores (N, K) of features (N, …), flattened to (N, D)."""
        return features.flatten(1).double() @ self.weight.T + self.bias

    def accuracy(self, features: torch.Tensor, y: torch.Tensor) -> float:
        """Return the share of features (N, …) whose class y (N,) has the largest score; ValueError for other sizes."""
        _check(features, "features")
        check_classes("y", y, features)
        if features[0].numel() != self.weight.shape[1]:
            raise ValueError(f"features is {tuple(features.shape)}; expected {self.weight.shape[1]} numbers of each")
        return (self.logits(features).argmax(1) == y).double().mean().item()


class Neighbours(NamedTuple):
    """The nearest of a set to each of Q queries, the nearest first: their numbers and distances, (Q, count)."""

    images: torch.Tensor
    distances: torch.Tensor


def linear_probe(features: torch.Tensor, y: torch.Tensor, *, ridge: float = 1e-3) -> Probe:
    """Return the linear classifier that fits features (N, …) best: ridge regression on one-hot classes, y (N,).

    Alain and Bengio (2016), https://arxiv.org/abs/1610.01644, ask layer by layer how separable the classes are; theirs
    is fitted by cross-entropy, this one in closed form, so that nothing depends on how long one trains. It minimises
    the mean squared error plus `ridge` · v · ‖w‖², with v the mean squared distance of the features from their mean, so
    that the scale of a layer makes no difference. In float64. Raises ValueError for no features or not finite ones,
    labels that do not go with them or are negative, and a ridge that is not positive; TypeError for labels that are no
    tensor.

    Drawn by `cnnlib.plotting.lines.by_layer`.

    >>> probe = linear_probe(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1]))
    >>> probe.accuracy(torch.tensor([[0.4], [2.6]]), torch.tensor([0, 1]))
    1.0
    """
    _check(features, "features")
    check_classes("y", y, features)
    if y.min() < 0:
        raise ValueError(f"y runs from {y.min()} to {y.max()}; expected classes from 0 on")
    if not number("ridge", ridge) > 0:
        raise ValueError(f"ridge is {ridge}; expected a positive number")
    flat, wanted = features.flatten(1).double(), torch.nn.functional.one_hot(y).double()
    mean, level = flat.mean(0), wanted.mean(0)
    centred, wanted = flat - mean, wanted - level
    penalty = (ridge * centred.square().sum()).clamp(min=torch.finfo(torch.float64).tiny)  # N · ridge · v
    if flat.shape[1] <= len(flat):
        system = centred.T @ centred
        weight = torch.linalg.solve(system + penalty * torch.eye(len(system)).to(system), centred.T @ wanted)
    else:  # the same weights by the system of the images, which is smaller
        system = centred @ centred.T
        weight = centred.T @ torch.linalg.solve(system + penalty * torch.eye(len(system)).to(system), wanted)
    return Probe(weight.T, level - mean @ weight)


def neighbours(features: torch.Tensor, queries: torch.Tensor, *, count: int = 5) -> Neighbours:
    """Return for each of `queries` (Q, …) the `count` nearest of `features` (N, …), by Euclidean distance.

    Krizhevsky et al. (2012), section 6.1, look for alike images like this in their last hidden layer. Equally far ones
    stand in the order of `features`. Raises ValueError for no features or not finite ones, queries of another size, and
    a count above N.

    Drawn by `cnnlib.plotting.inside.neighbours`.

    >>> found = neighbours(torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]]), torch.zeros(1, 2), count=2)
    >>> found.images, found.distances
    (tensor([[0, 2]]), tensor([[0., 1.]], dtype=torch.float64))
    """
    _check(features, "features")
    _check(queries, "queries")
    if queries.shape[1:] != features.shape[1:]:
        raise ValueError(f"queries is {tuple(queries.shape)}; expected (Q, …) like features, {tuple(features.shape)}")
    if as_int("count", count, 1) > len(features):
        raise ValueError(f"count is {count}; expected at most the {len(features)} of features")
    pairs = queries.flatten(1).double(), features.flatten(1).double()
    distances, images = torch.cdist(*pairs, compute_mode="donot_use_mm_for_euclid_dist").sort(dim=1, stable=True)
    return Neighbours(images[:, :count], distances[:, :count])


def _check(features: torch.Tensor, name: str) -> None:
    if not isinstance(features, torch.Tensor) or features.ndim < 2 or not features.numel():
        found = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        raise ValueError(f"{name} is {found}; expected at least one row (N, …)")
    if not features.is_floating_point():
        raise ValueError(f"{name} is {features.dtype}; expected floating-point numbers")
    if not features.isfinite().all():
        raise ValueError(f"{name} has {(~features.isfinite()).sum()} numbers that are not finite; expected none")
