"""The loss around a network: along random directions, in its weights and not in its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from cnnlib.checks import number, sequence
from cnnlib.geometry import as_int
from cnnlib.inputs import frozen
from cnnlib.inputs.draws import draws
from cnnlib.inputs.victim import check_logits
from cnnlib.visualize.layers import check

Direction = Mapping[str, torch.Tensor]  # by the name of the parameter


def filter_direction(model: nn.Module, *, generator: torch.Generator | None = None) -> dict[str, torch.Tensor]:
    """Return a random direction in the space of a model's parameters, by their names, scaled filter by filter.

    Li et al. (2018), section 4, https://arxiv.org/abs/1712.09913: every filter, and every row of a linear layer, has
    the length of the one it will be added to. Without that, a network with larger weights, which with batch
    normalisation may be the same function, would look flatter. Biases and the parameters of normalisation, all that has
    one axis, stay where they are. Draws are normal. Raises TypeError for no module.

    >>> model = nn.Linear(5, 3)
    >>> direction = filter_direction(model)
    >>> torch.allclose(direction["weight"].norm(dim=1), model.weight.norm(dim=1))
    True
    >>> direction["bias"]
    tensor([0., 0., 0.])
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module")
    numbers, direction = draws(generator), {}
    for name, parameter in model.named_parameters():
        weight = parameter.detach()
        if weight.ndim < 2:
            direction[name] = torch.zeros_like(weight)
            continue
        drawn = torch.randn(weight.shape, generator=numbers, dtype=weight.dtype).to(weight.device).flatten(1)
        scale = weight.flatten(1).norm(dim=1) / drawn.norm(dim=1)
        direction[name] = (scale[:, None] * drawn).view_as(weight)
    return direction


def loss_line(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    direction: Direction,
    distances: Sequence[float],
    *,
    batch_size: int = 500,
) -> torch.Tensor:
    """Return the mean cross-entropy of images x (N, C, H, W) and labels y (N,) at each of K `distances`: (K,).

    A distance is the factor of `direction` that is added to the parameters; 0 is the model. It acts as in use, and is
    not touched. Raises TypeError and ValueError for no images, labels that the model has no logits for, a direction
    that has not the shapes of the parameters, and distances that are no finite numbers.

    Drawn by `cnnlib.plotting.landscapes.line`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> x, y = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 1])
    >>> line = loss_line(model, x, y, filter_direction(model), [-1, 0, 1])
    >>> torch.allclose(line[1], nn.functional.cross_entropy(model(x), y))
    True
    """
    points = [(distance,) for distance in sequence("distances", distances)]
    return _losses(model, x, y, [direction], points, batch_size)


def loss_plane(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    directions: tuple[Direction, Direction],
    distances: Sequence[float],
    *,
    batch_size: int = 500,
) -> torch.Tensor:
    """Return the same over a plane, (K, K): rows go along the first of two directions, columns along the second.

    Arguments and errors are as in `loss_line`.

    Drawn by `cnnlib.plotting.landscapes.plane`.
    """
    if len(sequence("directions", directions)) != 2:
        raise ValueError(f"directions are {len(directions)}; expected two")
    along = sequence("distances", distances)
    points = [(down, across) for down in along for across in along]
    return _losses(model, x, y, directions, points, batch_size).view(len(along), len(along))


def _losses(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    directions: Sequence[Direction],
    points: Sequence[tuple[float, ...]],
    batch_size: int,
) -> torch.Tensor:
    """Return the loss at each point, the factors of the directions."""
    check(model, x, y)
    if not len(x):
        raise ValueError("x is empty; expected images to take the mean over")
    batches = as_int("batch_size", batch_size, 1)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for direction in directions:
        _check_direction(direction, parameters)
    losses = []
    with frozen(model), torch.no_grad():
        for point in points:
            factors = [number("distances", factor) for factor in point]
            moved = {
                name: value + sum(factor * each[name] for factor, each in zip(factors, directions, strict=True))
                for name, value in parameters.items()
            }
            total = 0.0
            for images, labels in zip(x.split(batches), y.split(batches), strict=True):
                logits = functional_call(model, moved, (images.clone(),))  # it may work in place
                check_logits(logits, images, labels, None)
                total += F.cross_entropy(logits.double(), labels, reduction="sum").item()
            losses.append(total / len(x))
    return torch.tensor(losses, dtype=x.dtype, device=x.device)


def _check_direction(direction: Direction, parameters: Mapping[str, torch.Tensor]) -> None:
    if not isinstance(direction, Mapping):
        raise TypeError(f"direction is {direction!r}; expected a tensor for each parameter, by name")
    shapes = {name: tuple(value.shape) for name, value in parameters.items()}
    found = {name: tuple(value.shape) for name, value in direction.items()}
    for name in sorted(shapes.keys() | found.keys()):
        if found.get(name) != shapes.get(name):
            raise ValueError(f"direction has {found.get(name)} for {name}; expected {shapes.get(name)}")
