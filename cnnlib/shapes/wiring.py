"""Layers that move or join what others computed, without a multiply–add."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from cnnlib.geometry import Padding, as_int, as_ints, as_padding
from cnnlib.shapes.layers import Layer, Pool, planes
from cnnlib.shapes.table import Row, source, union


@dataclass(frozen=True)
class Flatten(Layer):
    """All values in one row, (features,); with `keep_channels`, each channel's: (C, H, W) → (C, H · W)."""

    keep_channels: bool = False

    def row(self, x: Row) -> Row:  # noqa: D102
        if self.keep_channels:
            C, H, W = planes(x)
            return self._row((C, H * W), x.axes)
        return self._row((prod(x.shape),), [axis.everywhere() for axis in x.axes])


@dataclass(frozen=True)
class Permute(Layer):
    """The sizes in another `order`: (1, 0) swaps two, (1, 2, 0) puts the channels of a plane last, (2, 0, 1) first."""

    order: tuple[int, ...]

    def row(self, x: Row) -> Row:  # noqa: D102
        grid, order = tuple(axis.count for axis in x.axes), tuple(self.order)
        swaps = len(x.shape) == 2 and order == (1, 0)
        if not (swaps or (order == (1, 2, 0) and x.shape[1:] == grid) or (order == (2, 0, 1) and x.shape[:2] == grid)):
            raise ValueError(
                f"order is {self.order!r}; expected that it swaps two sizes or moves channels last or first"
            )
        return self._row([x.shape[i] for i in order], x.axes)


@dataclass(frozen=True)
class Unflatten(Layer):
    """(C, H · W) → (C, H, W), which undoes `Flatten(keep_channels=True)`; and (C,) → (C, 1, 1)."""

    def row(self, x: Row) -> Row:  # noqa: D102
        grid = [axis.count for axis in x.axes]
        if len(x.shape) > 2 or len(grid) != 2 or prod(x.shape[1:]) != prod(grid):
            raise ValueError(f"the input is of shape {x.shape}; expected (C, H · W) of a plane")
        return self._row((x.shape[0], *grid), x.axes)


@dataclass(frozen=True)
class Select(Layer):
    """One token of (tokens, dim), or the mean of all: (dim,). The table says that it sees what all of them see."""

    def row(self, x: Row) -> Row:  # noqa: D102
        if len(x.shape) != 2:
            raise ValueError(f"the input is of shape {x.shape}; expected (tokens, dim)")
        return self._row(x.shape[1:], [axis.everywhere() for axis in x.axes])


@dataclass(frozen=True)
class GlobalPool(Layer):
    """The mean over each plane: (C, H, W) → (C,)."""

    of: str = "average"

    @property
    def kind(self) -> str:  # noqa: D102
        return f"global {self.of} pool"

    def row(self, x: Row) -> Row:  # noqa: D102
        return self._row(planes(x)[:1], [axis.everywhere() for axis in x.axes])


@dataclass(frozen=True)
class Pad(Layer):
    """Rows and columns around each plane, and channels (before, after) those that there are."""

    padding: Padding = 0
    channels: tuple[int, int] = (0, 0)

    def row(self, x: Row) -> Row:  # noqa: D102
        C, H, W = planes(x)
        padding = as_padding(self.padding, (1, 1), (1, 1), (1, 1))
        sizes = [size + sum(ends) for size, ends in zip((H, W), padding, strict=True)]
        axes = [
            axis.windows(size, before=before) for axis, size, (before, _) in zip(x.axes, sizes, padding, strict=True)
        ]
        return self._row((C + sum(as_ints("channels", self.channels, 2, 0)), *sizes), axes)


@dataclass(frozen=True)
class Subsample(Pool):
    """Every `stride`-th row and column: x[:, ::stride, ::stride]."""

    @property
    def kind(self) -> str:  # noqa: D102
        return "Subsample"


@dataclass(frozen=True)
class Channels(Layer):
    """The channels from `start` to `stop`, as one of two towers takes them."""

    start: int
    stop: int

    def row(self, x: Row) -> Row:  # noqa: D102
        start, stop = as_int("start", self.start, 0), as_int("stop", self.stop, 1)
        if not start < stop <= x.shape[0]:
            raise ValueError(f"start and stop are {start} and {stop}; expected a part of {x.shape[0]} channels")
        return self._row((stop - start, *x.shape[1:]), x.axes)


@dataclass(frozen=True)
class Learned(Layer):
    """Parameters that take part like an output, as a class token or an embedding of positions; it reads nothing."""

    shape: tuple[int, ...]

    def row(self, *inputs: Row) -> Row:  # noqa: D102
        shape = source(self.shape).shape
        return self._row(shape, (), prod(shape))


@dataclass(frozen=True)
class Add(Layer):
    """The sum of several layers of one shape; a size of 1, or one missing before what is learned, stands for all."""

    joins: ClassVar[bool] = True

    def row(self, *inputs: Row) -> Row:  # noqa: D102
        _several(inputs)
        rank = max(len(x.shape) for x in inputs)
        if any(len(x.shape) < rank and x.kind != "Learned" for x in inputs):
            raise ValueError(f"the inputs are of shapes {[x.shape for x in inputs]}; expected as many sizes of each")
        shapes = [(1,) * (rank - len(x.shape)) + x.shape for x in inputs]
        shape = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
        if any(size not in {1, full} for sizes in shapes for size, full in zip(sizes, shape, strict=True)):
            raise ValueError(f"the inputs are of shapes {[x.shape for x in inputs]}; expected one shape")
        learned = sum(x.kind == "Learned" for x in inputs)
        return replace(_joined(self, inputs, shape), connections=learned * prod(shape))


@dataclass(frozen=True)
class Multiply(Add):
    """The product of several layers, as of a plane and the gate of each channel; no multiply–add."""


@dataclass(frozen=True)
class Concat(Layer):
    """Several layers side by side: channels of one plane, tokens of one length, or features."""

    joins: ClassVar[bool] = True

    def row(self, *inputs: Row) -> Row:  # noqa: D102
        _several(inputs)
        if len({x.shape[1:] for x in inputs}) > 1:
            raise ValueError(
                f"the inputs are of shapes {[x.shape for x in inputs]}; expected shapes that differ in the first size"
            )
        return _joined(self, inputs, (sum(x.shape[0] for x in inputs), *inputs[0].shape[1:]))


def _several(inputs: tuple[Row, ...]) -> None:
    if len(inputs) < 2:
        raise ValueError(f"inputs names {len(inputs)} layers; expected two or more")


def _joined(layer: Layer, inputs: tuple[Row, ...], shape: tuple[int, ...]) -> Row:
    """Return the row of a join: on each axis of the image the union of what the inputs see, if they see any of it."""
    axes = [x.axes for x in inputs if x.axes]
    return Row(layer.name, layer.kind, shape, tuple(union(along) for along in zip(*axes, strict=True)))
