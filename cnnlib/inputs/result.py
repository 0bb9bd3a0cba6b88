"""What an attack found."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import torch
from torch import nn

from cnnlib.inputs.freeze import frozen
from cnnlib.inputs.threat import Threat, distance


@dataclass(frozen=True)
class Result:
    """The images of an attack (N, C, H, W), and what the model makes of them.

    `attacked` tells which images were classified rightly, so that there was something to attack: the others come back
    unchanged and are no successes. `queries` counts how often the model was asked about each, `history` is what the
    attack climbed or kept, (steps, attacked images).

    `predictions`, `success` and their `rounded_` twins, of the images as a file has them, are computed when they are
    first asked for. They need the model as it was during the attack: RuntimeError if a parameter was written to since.
    What is written by `.data`, or to a buffer, is not noticed. ValueError for answers that are NaN.
    """

    x: torch.Tensor = field(repr=False)
    y: torch.Tensor = field(repr=False)
    target: torch.Tensor | None = field(repr=False)
    adversarial: torch.Tensor = field(repr=False)
    attacked: torch.Tensor
    queries: torch.Tensor
    history: torch.Tensor = field(repr=False)
    threat: Threat
    model: nn.Module = field(repr=False)
    version: int = field(repr=False)

    @property
    def rounded(self) -> torch.Tensor:
        """The images as a file has them, (N, C, H, W)."""
        return self.threat.rounded(self.adversarial)

    @cached_property
    def predictions(self) -> torch.Tensor:
        """The class that the model gives to each image, (N,)."""
        return self._classes(self.adversarial)

    @cached_property
    def rounded_predictions(self) -> torch.Tensor:
        """The class that the model gives to each rounded image, (N,)."""
        return self._classes(self.rounded)

    @property
    def success(self) -> torch.Tensor:
        """Which images were attacked and now have another class than theirs, or the target's, (N,) of bool."""
        return self._fooled(self.predictions)

    @property
    def rounded_success(self) -> torch.Tensor:
        """The same of the rounded images."""
        return self._fooled(self.rounded_predictions)

    @property
    def l0(self) -> torch.Tensor:
        """How many pixels of each image differ, in any channel, (N,)."""
        return distance(self.x, self.adversarial, 0)

    @property
    def l2(self) -> torch.Tensor:
        """The Euclidean length of each change, (N,)."""
        return distance(self.x, self.adversarial, 2)

    @property
    def linf(self) -> torch.Tensor:
        """The largest change of a number in each image, (N,)."""
        return distance(self.x, self.adversarial, inf)

    def _fooled(self, predictions: torch.Tensor) -> torch.Tensor:
        wanted = predictions != self.y if self.target is None else predictions == self.target
        return self.attacked & wanted

    def _classes(self, images: torch.Tensor) -> torch.Tensor:
        if version_of(self.model) != self.version:
            raise RuntimeError(
                "model has other parameters than during the attack; expected to be asked before it is trained on"
            )
        if not len(images):
            return self.y.clone()
        with frozen(self.model), torch.no_grad():
            return predicted(self.model(images.clone()))  # it may work in place


def predicted(logits: torch.Tensor) -> torch.Tensor:
    """Return the class of each image, (N,), that has the largest logit; ValueError for NaN, which argmax finds larger.

    >>> predicted(torch.tensor([[1.0, 3.0], [2.0, 0.0]]))
    tensor([1, 0])
    """
    if logits.isnan().any():
        raise ValueError("model returns NaN; expected numbers")
    return logits.argmax(1)


def version_of(model: nn.Module) -> int:
    """Return a number that grows whenever a parameter of the model is written to."""
    return sum(parameter._version for parameter in model.parameters())
