"""Layers made of layers: a chain, a sum with a shortcut, branches side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnlib.nn_numpy.base import Layer, once_each


class Sequential(Layer):
    """Layers one after the other; parameter k of layer i is called "i.k".

    >>> from cnnlib.nn_numpy import Flatten, Linear
    >>> model = Sequential(Flatten(), Linear(4, 2, generator=np.random.default_rng(0)))
    >>> model.forward(np.ones((3, 1, 2, 2))).shape, list(model.parameters)
    ((3, 2), ['1.weight', '1.bias'])
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers = layers
        once_each(self)

    @property
    def children(self) -> Mapping[str, Layer]:  # noqa: D102
        return {str(i): layer for i, layer in enumerate(self.layers)}

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output

    def backward_parameters(self, grad_output: np.ndarray) -> None:  # noqa: D102
        for layer in reversed(self.layers[1:]):
            grad_output = layer.backward(grad_output)
        if self.layers:
            self.layers[0].backward_parameters(grad_output)


class Residual(Layer):
    """main(x) + shortcut(x), where the shortcut is x itself unless a layer is given.

    Their parameters are "main.…" and "shortcut.…". The gradient of a sum is the sum of both gradients, so part of it
    reaches x unchanged, however deep `main` is. Raises ValueError where the two shapes differ. He et al. (2016),
    section 3.2, https://arxiv.org/abs/1512.03385.

    >>> from cnnlib.nn_numpy import ReLU
    >>> block = Residual(ReLU())
    >>> block.forward(np.array([[-1.0, 2.0]])), block.backward(np.ones((1, 2)))
    (array([[-1.,  4.]]), array([[1., 2.]]))
    """

    def __init__(self, main: Layer, shortcut: Layer | None = None) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut
        once_each(self)

    @property
    def children(self) -> Mapping[str, Layer]:  # noqa: D102
        return {"main": self.main} | ({} if self.shortcut is None else {"shortcut": self.shortcut})

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        y, skipped = self.main.forward(x), x if self.shortcut is None else self.shortcut.forward(x)
        if y.shape != skipped.shape:
            raise ValueError(f"main returns {y.shape}; expected {skipped.shape}, the shape of the shortcut")
        return y + skipped

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        skipped = grad_output if self.shortcut is None else self.shortcut.backward(grad_output)
        return self.main.backward(grad_output) + skipped


class Parallel(Layer):
    """Branches that all see x; their outputs are laid one behind the other along the channels.

    Parameter k of branch i is called "i.k". Raises ValueError where the branches return other sizes than the first.
    Szegedy et al. (2015), section 4, https://arxiv.org/abs/1409.4842.

    >>> from cnnlib.nn_numpy import MaxPool2d, ReLU
    >>> Parallel(ReLU(), MaxPool2d(3, stride=1, padding=1)).forward(np.ones((2, 3, 4, 4))).shape
    (2, 6, 4, 4)
    """

    def __init__(self, *branches: Layer) -> None:
        super().__init__()
        if not branches:
            raise ValueError("branches is empty; expected at least one layer")
        self.branches = branches
        once_each(self)

    @property
    def children(self) -> Mapping[str, Layer]:  # noqa: D102
        return {str(i): branch for i, branch in enumerate(self.branches)}

    def forward(self, x: np.ndarray) -> np.ndarray:  # noqa: D102
        outputs = [branch.forward(x) for branch in self.branches]
        for i, y in enumerate(outputs):
            if (len(y), *y.shape[2:]) != (len(outputs[0]), *outputs[0].shape[2:]):
                raise ValueError(f"branch {i} returns {y.shape}; expected {outputs[0].shape} but for the channels")
        self.ends = np.cumsum([y.shape[1] for y in outputs])
        return np.concatenate(outputs, axis=1)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:  # noqa: D102
        parts = np.split(grad_output, self.ends[:-1], axis=1)
        return np.sum([b.backward(part) for b, part in zip(self.branches, parts, strict=True)], axis=0)
