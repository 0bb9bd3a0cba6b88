"""A model under attack: what is asked of it is counted, and it is left as it was."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from math import inf

import torch
from torch import nn

from cnnlib.checks import function
from cnnlib.inputs.draws import draws
from cnnlib.inputs.freeze import frozen
from cnnlib.inputs.losses import Loss
from cnnlib.inputs.result import Result, predicted, version_of
from cnnlib.inputs.threat import NORMS, Threat, pick


@contextmanager
def attack_on(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    target: torch.Tensor | None,
    generator: torch.Generator | None,
    norms: Collection[float] = NORMS,
) -> Iterator[Victim]:
    """Check what an attack is given, and freeze the model while it is attacked; `norms` are those that it can do.

    Raises TypeError and ValueError, naming the argument: for a model that is no module or on another device, images
    that are no floats (N, C, H, W) in the threat's box, labels and targets that are no int64 (N,), or are the same, and
    a threat in another norm.
    """
    if not isinstance(threat, Threat):
        raise TypeError(f"threat is {threat!r}; expected a Threat")
    if threat.norm not in norms:
        expected = " or ".join(f"{norm:g}" for norm in norms)
        raise ValueError(f"threat has the norm {threat.norm:g}; expected {expected} for this attack")
    check_images(x, threat)
    check_aim(y, target, x)
    check_model(model, x)
    with frozen(model):
        yield Victim(model, x.detach(), y, target, draws(generator), threat)


class Victim:
    """A frozen model, and the images it is attacked with: all of them, or after `skip_mistaken` those it has right.

    The first question must be about x itself: the answer tells which images there is anything to attack in.
    """

    def __init__(
        self,
        model: nn.Module,
        x: torch.Tensor,
        y: torch.Tensor,
        target: torch.Tensor | None,
        generator: torch.Generator,
        threat: Threat,
    ) -> None:
        self.model, self.generator, self.threat = model, generator, threat
        self.all = x, y, target
        self.x, self.y, self.target = self.all
        self.rows = torch.arange(len(x), device=x.device)  # where the images stand among all
        self.counted, self.uncounted = torch.zeros_like(y), 0
        self.attacked: torch.Tensor | None = None
        self.classes = 4  # until an answer tells; an empty batch gets none, and every loss can take four

    @property
    def queries(self) -> torch.Tensor:
        """How often the model was asked about each of all the images, (N,)."""
        self._count()
        return self.counted

    def _count(self) -> None:
        self.counted[self.rows] += self.uncounted  # at once, not at every question
        self.uncounted = 0

    def ask(self, x: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Return the logits of images, each a version of one in x: `rows` tells of which, or there are K of each."""
        logits = self._first(x) if self.attacked is None else self._logits(x)
        if rows is None:
            self.uncounted += len(x) // max(1, len(self.x))
        else:
            self.counted.index_add_(0, self.rows[rows], torch.ones_like(rows))
        return logits

    def _first(self, x: torch.Tensor) -> torch.Tensor:
        """Ask about a copy, and on copies ever after if the model works in place on what it is given."""
        copy = x.clone()
        logits = self._logits(copy)
        if not copy.is_inference() and copy._version:
            self.model.register_forward_pre_hook(lambda model, inputs: inputs[0].clone())  # goes when the model thaws
        check_logits(logits, *self.all)
        self.attacked, self.classes = predicted(logits.detach()) == self.y, logits.shape[1]
        return logits

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x) if len(x) else x.new_zeros(0, self.classes)

    def skip_mistaken(self) -> torch.Tensor:
        """Keep only those images that the model has right; return its logits of them."""
        with torch.no_grad():
            logits = self.ask(self.x)
        assert self.attacked is not None
        self._count()
        self.rows = self.attacked.nonzero().flatten()
        x, y, target = self.all
        self.x, self.y = x[self.rows], y[self.rows]
        self.target = None if target is None else target[self.rows]
        return logits[self.rows]

    def objective(self, loss: Loss) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the function that an attack climbs: how wrong, by `loss`, the model is about versions of x."""
        function("loss", loss)

        def value(x: torch.Tensor) -> torch.Tensor:
            views = len(x) // max(1, len(self.y))
            y, target = self.y, self.target
            if views > 1:
                y, target = y.repeat(views), None if target is None else target.repeat(views)
            return loss(self.ask(x), y, target)

        return value

    def fooled(self, logits: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Tell from the logits of all the images which are misclassified, or as the target, (N,) of bool.

        With `rows` (R,), from those of K versions of each of these images, (R, K, classes): (R, K).
        """
        found = logits.argmax(-1)
        y, target = self.y, self.target
        if rows is not None:
            y, target = y[rows, None], None if target is None else target[rows, None]
        return found != y if target is None else found == target

    def result(self, adversarial: torch.Tensor, history: torch.Tensor) -> Result:
        """Return what was found for the images, and the others unchanged."""
        x, y, target = self.all
        attacked = torch.zeros_like(y, dtype=torch.bool) if self.attacked is None else self.attacked
        images = adversarial.detach()
        if len(self.rows) < len(x):
            images = x.index_copy(0, self.rows, images)
        elif not attacked.all():  # these were known too late to be left out
            images, history = pick(attacked, images, x), history[:, attacked]
        return Result(
            x=x,
            y=y,
            target=target,
            adversarial=images,
            attacked=attacked,
            queries=self.queries,
            history=history,
            threat=self.threat,
            model=self.model,
            version=version_of(self.model),
        )


class Kept:
    """An objective that keeps of each image the last version that fools, or until one does the worst for the model."""

    def __init__(self, victim: Victim, loss: Loss) -> None:
        function("loss", loss)
        self.victim, self.loss, self.images = victim, loss, victim.x
        self.values = victim.x.new_full((len(victim.x),), -inf)
        self.fooled = torch.zeros_like(victim.y, dtype=torch.bool)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        logits = self.victim.ask(x)
        values = self.loss(logits, self.victim.y, self.victim.target)
        with torch.no_grad():
            fools = self.victim.fooled(logits)
            better = fools | (~self.fooled & (values > self.values))
            self.images = pick(better, x.detach(), self.images)
            self.values, self.fooled = torch.where(better, values, self.values), self.fooled | fools
        return values


def check_images(x: torch.Tensor, threat: Threat, *, name: str = "x") -> None:
    """Raise TypeError or ValueError unless x is floats (N, C, H, W) in the threat's box."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{name} is {type(x).__name__}; expected a torch.Tensor")
    if x.dtype not in (torch.float32, torch.float64) or x.ndim != 4:
        raise ValueError(f"{name} is {x.dtype} {tuple(x.shape)}; expected float32 or float64 (N, C, H, W)")
    low, high = threat.box
    if x.numel():
        least, largest = (float(end) for end in x.detach().aminmax())
        if not (least >= low and largest <= high):  # NaN is neither
            raise ValueError(f"{name} runs from {least:g} to {largest:g}; expected pixels from {low:g} to {high:g}")


def check_logits(logits: torch.Tensor, x: torch.Tensor, y: torch.Tensor, target: torch.Tensor | None) -> None:
    """Raise ValueError unless a model gave logits (N, classes), with a column for every label and target."""
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(x):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"model returns {found}; expected logits ({len(x)}, classes)")
    for name, classes in (("y", y), ("target", target)):
        if classes is None or not len(classes):
            continue
        least, largest = (int(end) for end in classes.aminmax())
        if not 0 <= least <= largest < logits.shape[1]:
            last = logits.shape[1] - 1
            raise ValueError(f"{name} runs from {least} to {largest}; expected classes from 0 to {last}")


def check_model(model: nn.Module, x: torch.Tensor) -> None:
    """Raise TypeError or ValueError unless model is a module, on the device of x and of its dtype."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module")
    for parameter in model.parameters():
        if parameter.device != x.device:
            raise ValueError(f"model is on {parameter.device}; expected {x.device}, where x is")
        if parameter.is_floating_point() and parameter.dtype != x.dtype:
            raise ValueError(f"model has parameters of {parameter.dtype}; expected {x.dtype}, as x has")


def check_aim(y: torch.Tensor, target: torch.Tensor | None, x: torch.Tensor) -> None:
    """Raise TypeError or ValueError unless y is a class for each image of x, and `target`, if any, is another."""
    check_classes("y", y, x)
    if target is not None:
        check_classes("target", target, x)
        if (same := target == y).any():
            row = int(same.nonzero()[0])
            raise ValueError(f"target is {target[row]} for image {row}, its label; expected another class")


def check_classes(name: str, classes: torch.Tensor, x: torch.Tensor) -> None:
    """Raise TypeError or ValueError unless there is an int64 for each image of x, on its device."""
    if not isinstance(classes, torch.Tensor):
        raise TypeError(f"{name} is {type(classes).__name__}; expected a torch.Tensor")
    if classes.dtype != torch.int64 or classes.shape != x.shape[:1]:
        found = f"{classes.dtype} {tuple(classes.shape)}"
        raise ValueError(f"{name} is {found}; expected int64 of shape ({len(x)},), one class for each image")
    if classes.device != x.device:
        raise ValueError(f"{name} is on {classes.device}; expected {x.device}, where x is")
