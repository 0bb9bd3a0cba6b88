"""Transfer: what fools one network may fool another, which nobody has asked anything."""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import torch
from torch import nn

from cnnlib.checks import function
from cnnlib.inputs import Result, Threat, attack_on


def transfer(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    threat: Threat,
    *,
    surrogate: nn.Module,
    attack: Callable[..., Result],
    target: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Result:
    """Attack a `surrogate`, and return what the model makes of the images.

    Papernot et al. (2016), https://arxiv.org/abs/1605.07277. `attack` is any of the others, with options of its own by
    `functools.partial`. The model is asked once, about the image itself. Images that either network has wrong come back
    unchanged. The history is that of the surrogate, NaN for an image that it has wrong.

    >>> from cnnlib.attacks import fgsm
    >>> one, two = (nn.Sequential(nn.Flatten(), nn.Linear(2, 2)) for _ in range(2))
    >>> _ = one[1].weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]])), one[1].bias.data.zero_()
    >>> _ = two[1].weight.data.copy_(torch.tensor([[2.0, 0.5], [0.0, 1.0]])), two[1].bias.data.zero_()
    >>> x, y = torch.tensor([[[[0.6, 0.5]]]]), torch.tensor([0])
    >>> [transfer(one, x, y, Threat(2, eps), surrogate=two, attack=fgsm).success.item() for eps in (0.05, 0.2)]
    [False, True]
    """
    with attack_on(model, x, y, threat, target=target, generator=generator) as victim:
        function("attack", attack)
        if not isinstance(surrogate, nn.Module):
            raise TypeError(f"surrogate is {type(surrogate).__name__}; expected a torch.nn.Module")
        victim.ask(x)
        towards = {} if target is None else {"target": target}
        found = attack(surrogate, x, y, threat, generator=generator, **towards)
        history = found.history.new_full((len(found.history), len(x)), nan)
        history[:, found.attacked] = found.history
        return victim.result(found.adversarial, history)
