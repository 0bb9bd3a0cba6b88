"""Training on the worst images that an attack finds, instead of those that were given."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from cnnlib.checks import number
from cnnlib.geometry import as_int
from cnnlib.inputs import Threat, ascend, cross_entropy, frozen, steepest
from cnnlib.inputs.draws import draws
from cnnlib.inputs.victim import check_classes, check_images, check_logits, check_model


@dataclass(frozen=True)
class Adversary:
    """Adversarial training: as the `adversary` of `train`, let a network learn from attacked images alone.

    Madry et al. (2018), section 2, https://arxiv.org/abs/1706.06083: a network that is to be right about every image
    that is allowed learns from the worst of them, as projected gradient ascent finds it in `steps` of `step_size`, from
    a random start. The start is drawn for each image anew; those that are misclassified anyway are attacked too. The
    network that is attacked is the one in use, without dropout and with its stored statistics.

    `step_size` is 2.5 ε / steps unless given, and 1.25 ε for a single step: that is the cheap kind of Wong et al.
    (2020), algorithm 3, https://arxiv.org/abs/2001.03994, FGSM from a random start, at twice the price of training.
    During the first `ramp` steps of the training ε grows to its full size in equal parts, as in Gowal et al. (2018),
    https://arxiv.org/abs/1810.12715: a small network that meets the full ε at once may learn nothing at all.

    Raises TypeError for what is no threat, ValueError for the norm 0, fewer than one step, a step that is not positive,
    and a negative ramp; when called, TypeError or ValueError for images that are no floats (N, C, H, W) in the box,
    labels that are no int64 (N,), and a model that is elsewhere, of another dtype, or has no logits for them. Without a
    generator every call draws the same.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    >>> with torch.no_grad():
    ...     _ = model[1].weight.copy_(torch.tensor([[-1.0], [1.0]]))
    >>> x, y = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1), torch.tensor([0, 1])
    >>> worst = Adversary(Threat(torch.inf, 0.125), steps=3)
    >>> worst(model, x, y, torch.Generator().manual_seed(0), step=0).flatten()  # as near to the other class as may be
    tensor([0.3750, 0.6250])
    """

    threat: Threat
    steps: int = 7
    step_size: float | None = None
    ramp: int = 0

    def __post_init__(self) -> None:
        as_int("steps", self.steps, 1)
        as_int("ramp", self.ramp, 0)
        if not isinstance(self.threat, Threat):
            raise TypeError(f"threat is {self.threat!r}; expected a Threat")
        if self.threat.norm == 0:
            raise ValueError("threat has the norm 0; expected 2 or inf, in which a step is as long as it looks")
        if self.step_size is not None and number("step_size", self.step_size) <= 0:
            raise ValueError(f"step_size is {self.step_size!r}; expected a positive number")

    def __call__(
        self, model: nn.Module, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator | None, step: int
    ) -> torch.Tensor:
        """Return the worst images found around x (N, C, H, W) with the labels y (N,), in a `step` of the training."""
        check_images(x, self.threat)
        check_classes("y", y, x)
        check_model(model, x)
        grown = min(1.0, (step + 1) / max(1, self.ramp))
        threat, size = replace(self.threat, eps=self.threat.eps * grown), self.step_size
        if size is None:
            size = (1.25 if self.steps == 1 else 2.5 / self.steps) * threat.eps

        def objective(images: torch.Tensor) -> torch.Tensor:
            logits = model(images.clone())  # it may work in place
            check_logits(logits, images, y, None)
            return cross_entropy(logits, y, None)

        with frozen(model):
            return ascend(
                threat.somewhere(x, draws(generator), count=len(x)),
                objective,
                step_rule=steepest(threat.norm, size),
                project=threat.around(x),
                steps=self.steps,
            ).x
