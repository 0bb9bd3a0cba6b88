"""Gradient descent and its refinements, in place, as in `torch.optim`."""

from __future__ import annotations

import numpy as np

from cnnlib.nn_numpy.base import Layer


class Optimiser:
    """What moves the parameters of a model; `lr`, the learning rate, may be set before any step."""

    def __init__(self, model: Layer, lr: float, weight_decay: float) -> None:
        _at_least_zero(lr=lr, weight_decay=weight_decay)
        self.model, self.lr, self.weight_decay = model, lr, weight_decay

    def step(self) -> None:
        """Move every parameter, in place, by the gradients of the last backward; ValueError where there was none."""
        gradients = self.model.gradients
        if gradients.keys() != self.model.parameters.keys():
            raise ValueError(f"gradients has {sorted(gradients)}; expected a backward before the step")
        for name, parameter in self.model.parameters.items():
            self.move(name, parameter, gradients[name])

    def move(self, name: str, parameter: np.ndarray, gradient: np.ndarray) -> None:
        """Move one parameter in place."""
        raise TypeError(f"{type(self).__name__} has no move")


class SGD(Optimiser):
    """Stochastic gradient descent: v ← momentum·v + gradient + weight_decay·p, p ← p − lr·v, as in `torch.optim.SGD`.

    With `nesterov` the step is lr·(gradient + momentum·v): the velocity is looked at one step ahead. Momentum: Polyak
    (1964), https://doi.org/10.1016/0041-5553(64)90137-5; this form of Nesterov's: Sutskever et al. (2013).

    >>> from cnnlib.nn_numpy import Linear
    >>> layer = Linear(1, 1, generator=np.random.default_rng(0))
    >>> _ = layer.forward(np.ones((1, 1))), layer.backward(np.ones((1, 1)))
    >>> SGD(layer, lr=0.5).step()
    >>> layer.parameters["bias"]
    array([-0.5])
    """

    def __init__(
        self, model: Layer, *, lr: float, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(model, lr, weight_decay)
        _at_least_zero(momentum=momentum)
        if nesterov and momentum == 0:
            raise ValueError("nesterov is True with momentum 0; expected a momentum above 0")
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity = {name: np.zeros_like(p) for name, p in model.parameters.items()}

    def move(self, name: str, parameter: np.ndarray, gradient: np.ndarray) -> None:  # noqa: D102
        gradient = gradient + self.weight_decay * parameter
        v = self.velocity[name]
        v *= self.momentum
        v += gradient
        direction = gradient + self.momentum * v if self.nesterov else v
        np.subtract(parameter, self.lr * direction, out=parameter)


class Adam(Optimiser):
    """Adam: each parameter's step is its mean gradient over the root of its mean squared gradient.

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²; both start at zero, so they are divided by 1 − β₁ᵗ and 1 − β₂ᵗ at
    step t; p ← p − lr · m̂ / (√v̂ + eps). `weight_decay` adds weight_decay·p to the gradient, as in `torch.optim.Adam`.
    Kingma and Ba (2015), algorithm 1, https://arxiv.org/abs/1412.6980.

    >>> from cnnlib.nn_numpy import Linear
    >>> layer = Linear(1, 1, generator=np.random.default_rng(0))
    >>> _ = layer.forward(np.ones((1, 1))), layer.backward(np.full((1, 1), 100.0))
    >>> Adam(layer, lr=0.5).step()
    >>> layer.parameters["bias"].round(6)  # the first step is lr, whatever the size of the gradient
    array([-0.5])
    """

    def __init__(
        self,
        model: Layer,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(model, lr, weight_decay)
        _at_least_zero(eps=eps)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas is {betas!r}; expected two numbers from 0 to below 1")
        self.betas, self.eps, self.t = betas, eps, 0
        self.mean = {name: np.zeros_like(p) for name, p in model.parameters.items()}
        self.square = {name: np.zeros_like(p) for name, p in model.parameters.items()}

    def step(self) -> None:  # noqa: D102
        super().step()
        self.t += 1

    def move(self, name: str, parameter: np.ndarray, gradient: np.ndarray) -> None:  # noqa: D102
        self.adapt(name, parameter, gradient + self.weight_decay * parameter)

    def adapt(self, name: str, parameter: np.ndarray, gradient: np.ndarray) -> None:
        """Take the step of Adam without weight decay."""
        (beta1, beta2), m, v, t = self.betas, self.mean[name], self.square[name], self.t + 1
        m += (1 - beta1) * (gradient - m)
        v += (1 - beta2) * (gradient**2 - v)
        scale = np.sqrt(v / (1 - beta2**t)) + self.eps
        np.subtract(parameter, self.lr / (1 - beta1**t) * m / scale, out=parameter)


class AdamW(Adam):
    """Adam whose weight decay, p ← (1 − lr·weight_decay) p, stays out of the means, as in `torch.optim.AdamW`.

    `weight_decay` is 0 here unless given, and 0.01 in torch. Loshchilov and Hutter (2019), algorithm 2,
    https://arxiv.org/abs/1711.05101.
    """

    def move(self, name: str, parameter: np.ndarray, gradient: np.ndarray) -> None:  # noqa: D102
        parameter *= 1 - self.lr * self.weight_decay
        self.adapt(name, parameter, gradient)


def _at_least_zero(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value!r}; expected a number of at least 0")
