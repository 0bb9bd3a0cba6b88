"""Layers with a forward and a backward, a chain of them, and gradient descent: a network in NumPy alone.

A layer keeps in `forward` what its `backward` needs. Parameters and gradients are dictionaries by name; the names,
such as "0.weight", are those of `cnnlib.nn_torch`, so that weights move between the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from cnnlib import ops_numpy as ops
from cnnlib.geometry import IntOrTuple, Padding, as_groups, as_int, as_ints


class Layer:
    """A function with parameters.

    `backward` belongs to the last `forward`, whose x must not have been changed since, and sets `gradients`. Parameters
    are changed in place. A layer may stand only once in a network.
    """

    def __init__(self) -> None:
        self.parameters: Mapping[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the layer's output for x."""
        raise TypeError(f"{type(self).__name__} has no forward")

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Set `gradients` and return the gradient of the last input."""
        raise TypeError(f"{type(self).__name__} has no backward")


class Conv2d(Layer):
    """`ops_numpy.conv2d` with a weight (out_channels, in_channels // groups, kh, kw) and a bias.

    Weights are drawn from N(0, 2 / fan-in), biases are zero: He et al. (2015), https://arxiv.org/abs/1502.01852.

    >>> Conv2d(1, 4, 3, padding=1, generator=np.random.default_rng(0)).forward(np.zeros((2, 1, 8, 8))).shape
    (2, 4, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        *,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        generator: np.random.Generator,
    ) -> None:
        super().__init__()
        as_groups(in_channels, out_channels, groups)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        shape = (out_channels, in_channels // groups, *as_ints("kernel_size", kernel_size, 2, 1))
        self.parameters = {"weight": he_normal(shape, generator), "bias": np.zeros(out_channels)}

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        return ops.conv2d(
            x,
            **self.parameters,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        grad_x, grad_weight, grad_bias = ops.conv2d_backward(
            grad_output,
            self.x,
            self.parameters["weight"],
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        self.gradients = {"weight": grad_weight, "bias": grad_bias}
        return grad_x


class Linear(Layer):
    """`ops_numpy.linear` with a weight (out_features, in_features), drawn as in `Conv2d`, and a bias.

    >>> Linear(64, 10, generator=np.random.default_rng(0)).forward(np.zeros((2, 64))).shape
    (2, 10)
    """

    def __init__(self, in_features: int, out_features: int, *, generator: np.random.Generator) -> None:
        super().__init__()
        shape = (as_int("out_features", out_features, 1), as_int("in_features", in_features, 1))
        self.parameters = {"weight": he_normal(shape, generator), "bias": np.zeros(out_features)}

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        return ops.linear(x, **self.parameters)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        grad_x, grad_weight, grad_bias = ops.linear_backward(grad_output, self.x, self.parameters["weight"])
        self.gradients = {"weight": grad_weight, "bias": grad_bias}
        return grad_x


class ReLU(Layer):
    """`ops_numpy.relu`."""

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.x = x
        return ops.relu(x)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return ops.relu_backward(grad_output, self.x)


class MaxPool2d(Layer):
    """`ops_numpy.max_pool2d`, without its indices."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.input_size = x.shape[2:]
        y, self.indices = ops.max_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return ops.max_pool2d_backward(grad_output, self.indices, input_size=self.input_size)


class AvgPool2d(Layer):
    """`ops_numpy.avg_pool2d`."""

    def __init__(self, kernel_size: IntOrTuple, *, stride: IntOrTuple | None = None, padding: Padding = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.input_size = x.shape[2:]
        return ops.avg_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return ops.avg_pool2d_backward(
            grad_output, self.kernel_size, input_size=self.input_size, stride=self.stride, padding=self.padding
        )


class Flatten(Layer):
    """(N, C, H, W) → (N, C·H·W)."""

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        self.shape = x.shape
        return x.reshape(len(x), math.prod(x.shape[1:]))  # also for an empty batch

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        return grad_output.reshape(self.shape)


class Sequential(Layer):
    """Layers one after the other; parameter k of layer i is called "i.k".

    >>> generator = np.random.default_rng(0)
    >>> model = Sequential(Flatten(), Linear(4, 2, generator=generator))
    >>> model.forward(np.ones((3, 1, 2, 2))).shape, list(model.parameters)
    ((3, 2), ['1.weight', '1.bias'])
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers = layers
        named = {f"{i}.{name}": value for i, name, value in self._named("parameters")}
        self.parameters = MappingProxyType(named)  # the layers' own arrays: to replace one here would change nothing

    def _named(self, what: str) -> Iterator[tuple[int, str, np.ndarray]]:
        for i, layer in enumerate(self.layers):
            for name, value in getattr(layer, what).items():
                yield i, name, value

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        self.gradients = {f"{i}.{name}": value for i, name, value in self._named("gradients")}
        return grad_output


class SGD:
    """Stochastic gradient descent: v ← momentum·v + gradient + weight_decay·p, p ← p − lr·v, as in `torch.optim.SGD`.

    >>> layer = Linear(1, 1, generator=np.random.default_rng(0))
    >>> layer.gradients = {"weight": np.ones((1, 1)), "bias": np.ones(1)}
    >>> SGD(layer, lr=0.5).step()
    >>> layer.parameters["bias"]
    array([-0.5])
    """

    def __init__(self, model: Layer, *, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"{name} is {value!r}; expected a number of at least 0")
        self.model, self.lr, self.momentum, self.weight_decay = model, lr, momentum, weight_decay
        self.velocity = {name: np.zeros_like(p) for name, p in model.parameters.items()}

    def step(self) -> None:
        """Move every parameter, in place, by the gradients of the last backward; ValueError where there was none."""
        if self.model.gradients.keys() != self.model.parameters.keys():
            raise ValueError(f"gradients has {sorted(self.model.gradients)}; expected a backward before the step")
        for name, p in self.model.parameters.items():
            v = self.velocity[name]
            v *= self.momentum
            v += self.model.gradients[name] + self.weight_decay * p
            np.subtract(p, self.lr * v, out=p)


def he_normal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (fan_out, …) from N(0, 2 / fan-in)."""
    return generator.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)


def train_step(model: Layer, optimiser: SGD, x: np.ndarray, target: np.ndarray) -> float:
    """Take one step of gradient descent on the cross-entropy of a batch; return the loss before it."""
    logits = model.forward(x)
    model.backward(ops.cross_entropy_backward(1.0, logits, target))
    optimiser.step()
    return float(ops.cross_entropy(logits, target))


def batches(n: int, batch_size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the indices 0 … n − 1 in a random order, `batch_size` at a time; the last batch may be smaller.

    >>> [len(b) for b in batches(5, 2, np.random.default_rng(0))]
    [2, 2, 1]
    """
    order = generator.permutation(n)
    for start in range(0, n, as_int("batch_size", batch_size, 1)):
        yield order[start : start + batch_size]


def accuracy(model: Layer, x: np.ndarray, target: np.ndarray) -> float:
    """Return the fraction of the images x (N, C, H, W) whose largest logit is that of their class, target (N,)."""
    if target.shape != (len(x),):
        raise ValueError(f"target has shape {target.shape}; expected {(len(x),)}")
    return float((model.forward(x).argmax(axis=1) == target).mean())


def digits_cnn(generator: np.random.Generator) -> Sequential:
    """Return a small network for 8 × 8 digits: two convolutions, two poolings, one linear layer; 6,090 parameters.

    >>> model = digits_cnn(np.random.default_rng(0))
    >>> sum(p.size for p in model.parameters.values())
    6090
    """
    return Sequential(
        Conv2d(1, 16, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(128, 10, generator=generator),
    )
