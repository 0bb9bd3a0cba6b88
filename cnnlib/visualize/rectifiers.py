"""Back-propagation with other rules for the rectifiers.

A ReLU that was off stops a gradient. The deconvnet stops it where it is negative instead, and guided back-propagation
in either case. Both replace one operation of the backward pass, which is caught where torch computes it: whether the
ReLU is a module or a function, works in place, or is used twice, makes no difference, and nothing of the model is
touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cnnlib.inputs.ascend import value_and_gradient

Score = Callable[[torch.Tensor], torch.Tensor]  # images (N, …) → a number of each (N,), from that image alone
Rule = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # gradient above a ReLU, where it was on → gradient below

# Other rectifiers have no such "on", or pass gradients where they are off: the rules have no meaning there.
_OTHERS = {
    f"{name}_backward": known
    for name, known in {
        "leaky_relu": "a leaky ReLU",
        "rrelu_with_noise": "a randomised leaky ReLU",
        "_prelu_kernel": "a PReLU",
        "elu": "an ELU, SELU or CELU",
        "gelu": "a GELU",
        "silu": "a SiLU",
        "mish": "a Mish",
        "softplus": "a softplus",
        "hardtanh": "a ReLU6 or hard tanh",
        "hardswish": "a hard swish",
        "glu": "a gated linear unit",
    }.items()
}


def guided(above: torch.Tensor, on: torch.Tensor) -> torch.Tensor:
    """Let what is positive pass, where the ReLU was on: Springenberg et al. (2015)."""
    return above.clamp(min=0).where(on, 0)


def deconvolved(above: torch.Tensor, on: torch.Tensor) -> torch.Tensor:
    """Let what is positive pass, wherever the ReLU was on: a ReLU on the way back, Zeiler and Fergus (2014)."""
    return above.clamp(min=0)


def input_gradient(x: torch.Tensor, score: Score, rule: Rule | None = None) -> torch.Tensor:
    """Return the gradient of each image's score with respect to the image, by the chain rule or with a rule for ReLUs.

    Raises ValueError where the score does not depend on the images and, with a rule, where there is a rectifier of
    another kind than ReLU. One written with `clamp`, `maximum` or an autograd function of one's own cannot be told from
    other arithmetic: it keeps its gradient.

    >>> x = torch.tensor([[1.0, -1.0]])
    >>> weighted = lambda x: (x.relu() * torch.tensor([-3.0, 2.0])).sum(1)
    >>> [input_gradient(x, weighted, rule).tolist() for rule in (None, guided, deconvolved)]
    [[[-3.0, 0.0]], [[0.0, 0.0]], [[0.0, 2.0]]]
    """
    if not len(x):
        return torch.zeros_like(x)
    _, gradient = value_and_gradient(x, score, name="model", back=None if rule is None else _Rectifiers(rule))
    if not gradient.isfinite().all():
        raise ValueError("model has a gradient of inf or nan; expected finite numbers")
    return gradient


class _Rectifiers(TorchDispatchMode):
    """Puts a rule in the place of ReLU's backward pass."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in _OTHERS:
            raise ValueError(f"model has {_OTHERS[name]}; expected only ReLUs, as the rule has a meaning for no other")
        if name != "threshold_backward":
            return func(*args, **(kwargs or {}))
        above, below, threshold = args
        if threshold:
            raise ValueError(f"model has a threshold of {threshold:g}; expected only ReLUs, whose threshold is 0")
        return self.rule(above, below > 0)
