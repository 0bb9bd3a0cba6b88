"""The layer table: what each layer of a network puts out, holds, costs and sees, in integers alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from cnnlib.geometry import as_int

if TYPE_CHECKING:
    from cnnlib.shapes.layers import Layer


@dataclass(frozen=True)
class Axis:
    """What a row of outputs sees along one axis of the image.

    There are `count` outputs. Output i sees `field` positions of the image, from `start + i · jump` on; a negative
    start lies in the padding. A jump of 0 says that all outputs see the same.
    """

    count: int
    start: int = 0
    field: int = 1
    jump: int = 1

    def windows(self, count: int, *, span: int = 1, stride: int = 1, before: int = 0) -> Axis:
        """Return what `count` windows see, each of `span` of these outputs; the first begins `before` the first.

        >>> Axis(9).windows(4, span=3, stride=2).windows(4, span=3, before=1)
        Axis(count=4, start=-2, field=7, jump=2)
        """
        return Axis(count, self.start - before * self.jump, self.field + (span - 1) * self.jump, self.jump * stride)

    def everywhere(self, count: int = 1) -> Axis:
        """Return what `count` outputs see that each see all of these.

        >>> Axis(4, start=-2, field=7, jump=2).everywhere()
        Axis(count=1, start=-2, field=13, jump=0)
        """
        return Axis(count, self.start, self.field + (self.count - 1) * self.jump, 0)


def union(axes: Sequence[Axis]) -> Axis:
    """Return what outputs see that join those of several branches: from the first position to the last of any.

    Raises ValueError where the branches step over the image differently, as there is then no one field.

    >>> union([Axis(8), Axis(8, start=-3, field=5)])
    Axis(count=8, start=-3, field=5, jump=1)
    """
    count, jumps = max(axis.count for axis in axes), {axis.jump for axis in axes}
    if len(jumps) > 1 and (count == 1 or 0 in jumps):
        axes, jumps = [axis.everywhere(count) for axis in axes], {0}
    if len(jumps) > 1:
        raise ValueError(f"inputs step over the image by {sorted(jumps)}; expected one jump")
    start = min(axis.start for axis in axes)
    return Axis(count, start, max(axis.start + axis.field for axis in axes) - start, jumps.pop())


@dataclass(frozen=True)
class Row:
    """One layer of the table. Counts are for one image.

    `shape` is (C, H, W), (tokens, dim) or (features,); `axes` say what is seen along the image's height and width.
    `macs` are multiply–adds; a connection is one use of a weight or of a bias.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    parameters: int = 0
    macs: int = 0
    connections: int = 0

    @property
    def memory(self) -> int:
        """Bytes of the output in float32; none of what is learned and no image decides."""
        return 0 if self.kind == "Learned" else 4 * prod(self.shape)

    @property
    def field(self) -> int | tuple[int, ...]:
        """Positions of the image that one output sees, padding included: (rows, columns), or one int if equal."""
        return _one(axis.field for axis in self.axes)

    @property
    def jump(self) -> int | tuple[int, ...]:
        """Positions of the image between what two neighbours see, the product of strides; 0 where all see the same."""
        return _one(axis.jump for axis in self.axes)

    @property
    def start(self) -> int | tuple[int, ...]:
        """Where in the image the field of the first output begins; negative in the padding."""
        return _one(axis.start for axis in self.axes)


def _one(numbers: Iterable[int]) -> int | tuple[int, ...]:
    values = tuple(numbers)
    return values[0] if len(set(values)) == 1 else values


class Table(list[Row]):
    """The rows of a network, in order; printed, they stand in aligned columns above their totals."""

    def row(self, name: str) -> Row:
        """Return the row of that name, or raise a ValueError."""
        for row in self:
            if row.name == name:
                return row
        raise ValueError(f"name is {name!r}; expected one of {', '.join(row.name for row in self)}")

    @property
    def parameters(self) -> int:
        """Weights and biases of all layers."""
        return sum(row.parameters for row in self)

    @property
    def macs(self) -> int:
        """Multiply–adds of all layers on one image."""
        return sum(row.macs for row in self)

    @property
    def connections(self) -> int:
        """Uses of weights and biases on one image."""
        return sum(row.connections for row in self)

    @property
    def memory(self) -> int:
        """Bytes of all outputs in float32: what back-propagation would keep of one image if it kept them all."""
        return sum(row.memory for row in self)

    def cells(self) -> list[tuple[str, ...]]:
        """Return what is printed: the head, a line for each row, the totals."""
        head = ("name", "kind", "output", "parameters", "multiply–adds", "bytes", "field", "jump")
        lines = [
            (
                *(row.name, row.kind, _times(row.shape)),
                *(f"{count:,}" for count in (row.parameters, row.macs, row.memory)),
                *(_times(row.field), _times(row.jump)),
            )
            for row in self
        ]
        total = ("total", "", "", f"{self.parameters:,}", f"{self.macs:,}", f"{self.memory:,}", "", "")
        return [head, *lines, total]

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        )

    def markdown(self) -> str:
        """Return the table in Markdown, for a notebook: `IPython.display.Markdown(table.markdown())`."""
        head, *lines = self.cells()
        rule = (":--", ":--", *["--:"] * (len(head) - 2))
        return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))


def _times(value: int | tuple[int, ...]) -> str:
    """Write sizes as people do: 64×56×56.

    >>> _times((64, 56, 56)), _times(7)
    ('64×56×56', '7')
    """
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def source(input_shape: Sequence[int]) -> Row:
    """Return the image itself as the row that the first layer reads: (C, H, W), (tokens, dim) or (features,)."""
    if not isinstance(input_shape, Sequence) or len(input_shape) not in {1, 2, 3}:
        raise ValueError(f"input_shape is {input_shape!r}; expected (C, H, W), (tokens, dim) or (features,)")
    shape = tuple(as_int("input_shape", size, 1) for size in input_shape)
    positions = {1: (), 2: shape[:1], 3: shape[1:]}[len(shape)]
    return Row("input", "Input", shape, tuple(Axis(size) for size in positions))


def trace(layers: Sequence[Layer], input_shape: Sequence[int]) -> Table:
    """Return the table of a network on one image of shape (C, H, W), worked out from its layers' options alone.

    A layer reads the layer before it, or the `inputs` that it names: "input" is the image, a layer without a name is
    called by its position, "0", "1", … Joins name several.

    What is counted: *multiply–adds* of convolutions, linear layers, attention's two products and distances to
    prototypes, taps on padding included; biases, normalisation, activations and pooling not. *Bytes* of each output in
    float32. *Connections*, which are in the rows but not printed, as LeCun et al. (1998) count them,
    https://doi.org/10.1109/5.726791: each use of a weight and of a bias, those of normalisation too.

    The *receptive field* is theoretical and not clipped at the image's border: Araujo et al. (2019),
    https://doi.org/10.23915/distill.00021. A join sees from the first position to the last that any input sees. What is
    flattened, averaged over the plane or attended to sees the union over the whole plane, and its jump is 0.

    Raises ValueError, naming the layer, where an option or a shape does not fit.

    >>> from cnnlib.shapes import Conv, Flatten, Linear, Pool
    >>> print(trace([Conv(6, 5, padding=2), Pool(2), Conv(16, 5), Pool(2), Flatten(), Linear(120)], (1, 28, 28)))
    name   kind        output  parameters  multiply–adds   bytes  field  jump
    0      Conv       6×28×28         156        117,600  18,816      5     1
    1      max pool   6×14×14           0              0   4,704      6     2
    2      Conv      16×10×10       2,416        240,000   6,400     14     2
    3      max pool    16×5×5           0              0   1,600     16     4
    4      Flatten        400           0              0   1,600     32     0
    5      Linear         120      48,120         48,000     480     32     0
    total                          50,692        405,600  33,600
    """
    rows = {"input": source(input_shape)}
    for index, layer in enumerate(layers):
        name = layer.name or str(index)
        if name in rows:
            raise ValueError(f"name is {name!r} twice; expected that each layer has a name of its own")
        if isinstance(layer.inputs, str) or not all(read in rows for read in layer.inputs):
            raise ValueError(f"layer {name}: inputs is {layer.inputs!r}; expected a tuple of names from {list(rows)}")
        inputs = [rows[read] for read in layer.inputs] or [list(rows.values())[-1]]
        rows[name] = place(replace(layer, name=name), inputs)
    return Table(list(rows.values())[1:])


def place(layer: Layer, inputs: Sequence[Row]) -> Row:
    """Return the row of a layer that reads `inputs`, or raise a ValueError that names the layer."""
    if len(inputs) > 1 and not layer.joins:
        raise ValueError(f"layer {layer.name}: inputs is {layer.inputs!r}; expected one, as {layer.kind} joins nothing")
    try:
        return layer.row(*inputs)
    except ValueError as error:
        raise ValueError(f"layer {layer.name} ({layer.kind}): {error}") from error
