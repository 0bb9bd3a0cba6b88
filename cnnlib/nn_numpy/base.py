"""What every layer is: a forward, a backward, and parameters by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NoReturn

import numpy as np


class Layer:
    """A function with parameters.

    `backward` belongs to the last `forward`, whose x must not have been changed since, and sets `gradients`. Parameters
    are changed in place. `buffers` are arrays that training changes without a gradient, such as running means.
    `training` says whether the layer acts as in training (the default) or as in use. A layer may stand only once in a
    network; containers refuse it otherwise.
    """

    def __init__(self) -> None:
        self._parameters: dict[str, np.ndarray] = {}
        self._buffers: dict[str, np.ndarray] = {}
        self._gradients: dict[str, np.ndarray] = {}
        self.training = True

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} has no {name!r}; expected a forward before the backward")

    @property
    def children(self) -> Mapping[str, Layer]:
        """The layers that this one is made of, by name."""
        return {}

    @property
    def parameters(self) -> Mapping[str, np.ndarray]:
        """The layer's own arrays by name, its children's as "child.name": to be changed in place, not replaced."""
        return MappingProxyType({**self._parameters, **dict(self._of_children("parameters"))})

    @property
    def buffers(self) -> Mapping[str, np.ndarray]:
        """The arrays that are no parameters, named as `parameters` are."""
        return MappingProxyType({**self._buffers, **dict(self._of_children("buffers"))})

    @property
    def gradients(self) -> Mapping[str, np.ndarray]:
        """The gradients of the last backward, named as `parameters` are."""
        return MappingProxyType({**self._gradients, **dict(self._of_children("gradients"))})

    def _of_children(self, what: str) -> Iterator[tuple[str, np.ndarray]]:
        for child, layer in self.children.items():
            for name, value in getattr(layer, what).items():
                yield f"{child}.{name}", value

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the layer's output for x."""
        raise TypeError(f"{type(self).__name__} has no forward")

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Set `gradients` and return the gradient of the last input."""
        raise TypeError(f"{type(self).__name__} has no backward")

    def backward_parameters(self, grad_output: np.ndarray) -> None:
        """Set `gradients` as `backward` does, where nobody asks for the gradient of the input: in a first layer."""
        self.backward(grad_output)

    def train(self, training: bool = True) -> Layer:
        """Let this layer and its children act as in training, or, with False, as in use; return it."""
        self.training = training
        for layer in self.children.values():
            layer.train(training)
        return self

    def eval(self) -> Layer:
        """Let this layer and its children act as in use, as `torch.nn.Module.eval` does; return it."""
        return self.train(False)

    def astype(self, dtype: str) -> Layer:
        """Turn parameters and buffers into "float32" or "float64"; return the layer.

        Optimisers keep arrays of their own: make them afterwards. Raises ValueError for another dtype.
        """
        if str(np.dtype(dtype)) not in ("float32", "float64"):
            raise ValueError(f"dtype is {dtype!r}; expected 'float32' or 'float64'")
        for own in (self._parameters, self._buffers):
            own.update({name: value.astype(dtype) for name, value in own.items()})
        self._gradients = {}
        for layer in self.children.values():
            layer.astype(dtype)
        return self


def layers_of(model: Layer) -> Iterator[Layer]:
    """Yield a model and all layers that it is made of."""
    yield model
    for child in model.children.values():
        yield from layers_of(child)


def once_each(model: Layer) -> None:
    """Raise ValueError where a layer stands twice in a model: its second forward would overwrite what it kept."""
    met: set[int] = set()
    for layer in layers_of(model):
        if id(layer) in met:
            raise ValueError(f"{type(layer).__name__} stands twice in {type(model).__name__}; expected each layer once")
        met.add(id(layer))


def state(model: Layer) -> dict[str, np.ndarray]:
    """Return copies of all parameters and buffers by name, as `cnnlib.nn_torch.load` and `load` take them."""
    return {name: value.copy() for name, value in {**model.parameters, **model.buffers}.items()}


def load(model: Layer, arrays: Mapping[str, np.ndarray]) -> None:
    """Copy parameters and buffers into a model, by name; values take the model's dtype.

    Raises ValueError where a name is missing or too many, or a shape differs, and TypeError for what is no real number;
    then nothing has changed.
    """
    own = {**model.parameters, **model.buffers}
    if own.keys() != arrays.keys():
        missing, unknown = sorted(own.keys() - arrays.keys()), sorted(arrays.keys() - own.keys())
        raise ValueError(f"arrays lacks {missing} and has {unknown} too many; expected the names of the model")
    for name, value in arrays.items():
        if own[name].shape != np.shape(value):
            raise ValueError(f"arrays[{name!r}] has shape {np.shape(value)}; expected {own[name].shape}")
    values = {name: np.asarray(value).astype(own[name].dtype, casting="same_kind") for name, value in arrays.items()}
    for name, value in values.items():
        own[name][...] = value
