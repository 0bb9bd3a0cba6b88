"""Layers as a few numbers each: every one knows its own row of the layer table from the rows that it reads.

Options mean what they mean in `cnnlib.ops_numpy`; those of every layer, `name` and `inputs`, are for
`cnnlib.shapes.trace`. Layers that only move or join what others computed are in `cnnlib.shapes.wiring`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar

from cnnlib.geometry import (
    Geometry,
    IntOrTuple,
    Padding,
    as_groups,
    as_int,
    as_ints,
    conv_geometry,
    pool_geometry,
)
from cnnlib.shapes.sizes import conv_macs, conv_parameters
from cnnlib.shapes.table import Axis, Row


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What all layers share: a name, and the names of the layers that this one reads, or none for the one before."""

    name: str = ""
    inputs: tuple[str, ...] = ()
    joins: ClassVar[bool] = False
    row: ClassVar[Callable[..., Row]]  # from the rows that are read; a ValueError where they do not fit

    @property
    def kind(self) -> str:
        """What the table calls this layer."""
        return type(self).__name__

    def _row(self, shape: Sequence[int], axes: Iterable[Axis], *counts: int) -> Row:
        return Row(self.name, self.kind, tuple(shape), tuple(axes), *counts)


def planes(x: Row) -> tuple[int, int, int]:
    """Return the shape of x, or raise a ValueError unless it is (C, H, W)."""
    if len(x.shape) != 3 or x.shape[1:] != tuple(axis.count for axis in x.axes):
        raise ValueError(f"the input is of shape {x.shape}; expected (C, H, W)")
    C, H, W = x.shape
    return C, H, W


def windows(x: Row, geometry: Geometry) -> list[Axis]:
    """Return what the outputs see of a layer whose windows slide over x."""
    return [
        axis.windows(count, span=span, stride=stride, before=before)
        for axis, count, span, stride, (before, _) in zip(
            x.axes, geometry.output_size, geometry.span, geometry.stride, geometry.padding, strict=True
        )
    ]


@dataclass(frozen=True)
class Conv(Layer):
    """A 2-D convolution, depthwise where `groups` is the number of channels."""

    out_channels: int
    kernel_size: IntOrTuple
    stride: IntOrTuple = 1
    padding: Padding = 0
    dilation: IntOrTuple = 1
    groups: int = 1
    bias: bool = True

    def row(self, x: Row) -> Row:  # noqa: D102
        C, H, W = planes(x)
        out_channels = as_groups(C, self.out_channels, self.groups)[1]
        geometry = conv_geometry(
            (H, W), self.kernel_size, stride=self.stride, padding=self.padding, dilation=self.dilation
        )
        counted = (C, out_channels, geometry.kernel_size)
        parameters = conv_parameters(*counted, groups=self.groups, bias=self.bias)
        macs = conv_macs(*counted, geometry.output_size, groups=self.groups)
        shape = (out_channels, *geometry.output_size)
        return self._row(shape, windows(x, geometry), parameters, macs, parameters * prod(geometry.output_size))


@dataclass(frozen=True)
class TableConv(Layer):
    """A convolution whose output maps each read some of the input maps: LeCun et al. (1998), table I.

    `pairs` is how many crosses that table has, each a kernel; every output map has a bias.
    """

    out_channels: int
    kernel_size: IntOrTuple
    pairs: int

    def row(self, x: Row) -> Row:  # noqa: D102
        C, H, W = planes(x)
        out_channels = as_int("out_channels", self.out_channels, 1)
        if as_int("pairs", self.pairs, 1) > C * out_channels:
            raise ValueError(f"pairs is {self.pairs}; expected at most the {C * out_channels} that there are")
        geometry = conv_geometry((H, W), self.kernel_size)
        weights, positions = self.pairs * prod(geometry.kernel_size), prod(geometry.output_size)
        parameters, shape = weights + out_channels, (out_channels, *geometry.output_size)
        return self._row(shape, windows(x, geometry), parameters, weights * positions, parameters * positions)


@dataclass(frozen=True)
class Pool(Layer):
    """The maximum, the mean or another statistic of each window; `stride` defaults to `kernel_size`."""

    kernel_size: IntOrTuple
    stride: IntOrTuple | None = None
    padding: Padding = 0
    dilation: IntOrTuple = 1
    ceil_mode: bool = False
    of: str = "max"

    @property
    def kind(self) -> str:  # noqa: D102
        return f"{self.of} pool"

    def geometry(self, x: Row) -> Geometry:
        """Return where the windows lie on x."""
        return pool_geometry(
            planes(x)[1:],
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def row(self, x: Row) -> Row:  # noqa: D102
        geometry = self.geometry(x)
        return self._row((x.shape[0], *geometry.output_size), windows(x, geometry))


@dataclass(frozen=True)
class Subsampling(Pool):
    """The sum of each window, times a trainable coefficient, plus a trainable bias: LeCun et al. (1998), section II.B.

    As they count, every pixel of a window is a connection, and the bias one more. It is no multiply–add.
    """

    @property
    def kind(self) -> str:  # noqa: D102
        return "Subsampling"

    def row(self, x: Row) -> Row:  # noqa: D102
        geometry = self.geometry(x)
        shape = (x.shape[0], *geometry.output_size)
        uses = (prod(geometry.kernel_size) + 1) * prod(shape)
        return self._row(shape, windows(x, geometry), 2 * x.shape[0], 0, uses)


@dataclass(frozen=True)
class AdaptivePool(Layer):
    """The mean of windows that share a plane out among `output_size` outputs; over the whole plane, its mean.

    Raises ValueError where the windows are not equally large and equally far apart.
    """

    output_size: IntOrTuple = 1
    of: str = "average"

    @property
    def kind(self) -> str:  # noqa: D102
        return f"{self.of} pool"

    def row(self, x: Row) -> Row:  # noqa: D102
        C, H, W = planes(x)
        sizes = as_ints("output_size", self.output_size, 2, 1)
        return self._row((C, *sizes), [_shared(*pair) for pair in zip(x.axes, (H, W), sizes, strict=True)])


def _shared(axis: Axis, size: int, count: int) -> Axis:
    """Return what `count` windows see that share `size` positions: o has ⌊o·size / count⌋ to ⌈(o + 1)·size / count⌉."""
    if count == 1:
        return axis.everywhere()
    starts = [o * size // count for o in range(count)]
    spans = {-((o + 1) * -size // count) - start for o, start in enumerate(starts)}
    strides = {after - before for before, after in pairwise(starts)}
    if len(spans) > 1 or len(strides) > 1:
        raise ValueError(f"output_size is {count}; expected one that shares {size} positions out in equal windows")
    return axis.windows(count, span=spans.pop(), stride=strides.pop())


@dataclass(frozen=True)
class Linear(Layer):
    """A linear layer on (features,), or the same one on every token of (tokens, dim)."""

    out_features: int
    bias: bool = True

    def row(self, x: Row) -> Row:  # noqa: D102
        tokens, dim = _positions(x)
        out = as_int("out_features", self.out_features, 1)
        parameters = (dim + bool(self.bias)) * out
        return self._row((*x.shape[:-1], out), x.axes, parameters, tokens * dim * out, tokens * parameters)


@dataclass(frozen=True)
class Rbf(Layer):
    """Squared distances to fixed prototypes, one for each class: LeCun et al. (1998), section II.B.

    A prototype's number is used once, in one multiply–add; nothing is trained.
    """

    classes: int

    def row(self, x: Row) -> Row:  # noqa: D102
        if len(x.shape) != 1:
            raise ValueError(f"the input is of shape {x.shape}; expected (features,)")
        uses = x.shape[0] * as_int("classes", self.classes, 1)
        return self._row((self.classes,), x.axes, 0, uses, uses)


def _positions(x: Row) -> tuple[int, int]:
    """Return how many tokens x holds and of what length; features are one token."""
    if len(x.shape) > 2:
        raise ValueError(f"the input is of shape {x.shape}; expected (features,) or (tokens, dim): flatten it before")
    return prod(x.shape[:-1]), x.shape[-1]


@dataclass(frozen=True)
class Attention(Layer):
    """Self-attention with its four projections: (tokens, in_dim) → (tokens, dim), by any number of heads.

    The multiply–adds of Q Kᵀ and of weights × V count, tokens² · dim each. `positions` are parameters of a bias on the
    scores, each used once for each query and key that `heads` heads compare.
    """

    dim: int
    bias: bool = True
    heads: int = 1
    positions: int = 0

    def row(self, x: Row) -> Row:  # noqa: D102
        if len(x.shape) != 2:
            raise ValueError(f"the input is of shape {x.shape}; expected (tokens, dim)")
        tokens, in_dim = x.shape
        dim = as_int("dim", self.dim, 1)
        weights, biases = (3 * in_dim + dim) * dim, 4 * dim if self.bias else 0
        macs = tokens * weights + 2 * tokens**2 * dim
        uses = tokens * (weights + biases) + (self.heads * tokens**2 if self.positions else 0)
        axes = [axis.everywhere(axis.count) for axis in x.axes]
        return self._row((tokens, dim), axes, weights + biases + self.positions, macs, uses)


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer norm over the features of each position, which come last; a scale and a shift for each, if `affine`."""

    affine: bool = True

    def row(self, x: Row) -> Row:  # noqa: D102
        if len(x.shape) == 3 and x.shape[:2] != tuple(axis.count for axis in x.axes):
            raise ValueError(f"the input is of shape {x.shape}; expected (H, W, C), features last")
        return self._scaled(x, x.shape[-1], x.axes)

    def _scaled(self, x: Row, features: int, axes: Iterable[Axis]) -> Row:
        return self._row(x.shape, axes, *((2 * features, 0, 2 * prod(x.shape)) if self.affine else ()))


@dataclass(frozen=True)
class BatchNorm(LayerNorm):
    """Batch norm of (C, H, W) as it is once trained: a scale and a shift for each channel, if `affine`."""

    def row(self, x: Row) -> Row:  # noqa: D102
        return self._scaled(x, planes(x)[0], x.axes)


@dataclass(frozen=True)
class GroupNorm(LayerNorm):
    """Group norm of (C, H, W): its statistics see the whole plane, and so does every output."""

    def row(self, x: Row) -> Row:  # noqa: D102
        return self._scaled(x, planes(x)[0], [axis.everywhere(axis.count) for axis in x.axes])


@dataclass(frozen=True)
class Activation(Layer):
    """Whatever keeps the shape, has no weights and sees one position: the `function` ReLU, softmax, dropout, LRN …."""

    function: str = "ReLU"

    @property
    def kind(self) -> str:  # noqa: D102
        return self.function

    def row(self, x: Row) -> Row:  # noqa: D102
        return self._row(x.shape, x.axes)
