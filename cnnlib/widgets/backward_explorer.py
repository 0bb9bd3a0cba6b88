"""The backward explorer: choose a cell of one convolution layer, and see which gradients flow through it."""

from pathlib import Path
from typing import Any

import traitlets
from numpy.typing import ArrayLike

from cnnlib.shapes import conv_output_size
from cnnlib.widgets.base import HybridWidget, Matrix, Whole

DECK_INPUT = ((1, 2, 0), (3, -1, 2), (0, 1, 1))
"""An input of the decks' case, 3 × 3 …"""

DECK_KERNEL = ((1, 2), (-1, 3))
"""… with a 2 × 2 kernel that is not its own 180° rotation."""


class Refused(traitlets.TraitError, ValueError):
    """A ValueError after which traitlets restores the values that it had."""


class BackwardExplorer(HybridWidget):
    """Back-propagation through one two-dimensional correlation layer of one channel, to be explored cell by cell.

    Takes `x` (H, W) with at most 8 rows and columns and `weight` (kh, kw) with at most 5; `grad_output` (H_out, W_out),
    the upstream gradient ∂L/∂y, by default 1, 2, 3 … in reading order, so that every term can be told from the others;
    `stride` 1–4, `padding` 0–3 zeros on every side, `dilation` 1–3. Every property may be set later, and follows what
    the reader edits; when the size of the output changes, `grad_output` keeps the cells that remain.

    Raises ValueError, naming the argument, its value and what was expected.

    >>> explorer = BackwardExplorer([[1, 2], [3, 4], [5, 6]], [[1, -1]])
    >>> explorer.grad_output
    [[1], [2], [3]]
    >>> explorer.padding = 1
    >>> explorer.grad_output[0], len(explorer.grad_output)
    ([1, 2, 3], 5)
    """

    _esm = Path(__file__).with_suffix(".js")
    _element = "cnn-backward-explorer"
    _props = ("x", "weight", "grad_output", "stride", "padding", "dilation")
    _fallback = (
        "Backward explorer: the input, kernel and output of a convolution layer and their gradients as grids of "
        "numbers. It runs on the course's site, and in a notebook when this cell is run."
    )

    x = Matrix(max_side=8, help="input (H, W)").tag(sync=True)
    weight = Matrix(max_side=5, help="kernel (kh, kw)").tag(sync=True)
    grad_output = Matrix(max_side=14, help="upstream gradient (H_out, W_out)").tag(sync=True)
    stride = Whole(1, 4).tag(sync=True)
    padding = Whole(0, 3).tag(sync=True)
    dilation = Whole(1, 3).tag(sync=True)

    def __init__(
        self,
        x: ArrayLike = DECK_INPUT,
        weight: ArrayLike = DECK_KERNEL,
        *,
        grad_output: ArrayLike | None = None,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
    ) -> None:
        given = {} if grad_output is None else {"grad_output": grad_output}
        super().__init__(x=x, weight=weight, stride=stride, padding=padding, dilation=dilation, **given)

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns of the output y, and so of `grad_output`."""
        sizes = zip((len(self.x), len(self.x[0])), (len(self.weight), len(self.weight[0])), strict=True)
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        rows, columns = (conv_output_size(size, kernel_size, **options) for size, kernel_size in sizes)
        return rows, columns

    @traitlets.default("grad_output")
    def _count(self) -> list[list[float]]:
        return _refit([], self.output_size)

    @traitlets.validate("x", "weight", "padding", "dilation")
    def _fits(self, proposal: dict[str, Any]) -> Any:
        """Refuse a layer without an output: a kernel, with its gaps, larger than the padded input."""
        layer: dict[str, Any] = {name: getattr(self, name) for name in ("x", "weight", "padding", "dilation")}
        layer[proposal["trait"].name] = proposal["value"]
        for size, kernel_size in zip(_shape(layer["x"]), _shape(layer["weight"]), strict=True):
            padded, span = size + 2 * layer["padding"], layer["dilation"] * (kernel_size - 1) + 1
            if span > padded:
                raise Refused(
                    f"weight is {layer['weight']!r}, which with dilation {layer['dilation']} spans {span}; "
                    f"expected at most {padded}, the size of x with padding {layer['padding']}"
                )
        return proposal["value"]

    @traitlets.validate("grad_output")
    def _has_output_size(self, proposal: dict[str, Any]) -> list[list[float]]:
        """Refuse an upstream gradient that does not have the output's shape."""
        value: list[list[float]] = proposal["value"]
        if _shape(value) != self.output_size:
            got, expected = (" × ".join(map(str, size)) for size in (_shape(value), self.output_size))
            raise Refused(f"grad_output is {value!r}, {got}; expected the size of the output, {expected}")
        return value

    @traitlets.observe("x", "weight", "stride", "padding", "dilation")
    def _follow_output_size(self, change: dict[str, Any]) -> None:
        """Give `grad_output` the size of the new output."""
        if _shape(self.grad_output) != self.output_size:
            self.grad_output = _refit(self.grad_output, self.output_size)


def _shape(matrix: list[list[float]]) -> tuple[int, int]:
    return len(matrix), len(matrix[0])


def _refit(old: list[list[float]], size: tuple[int, int]) -> list[list[float]]:
    """Return a matrix of `size` with the cells of `old` that fit, and elsewhere the cell's number in reading order."""
    rows, columns = size
    return [
        [old[i][j] if i < len(old) and j < len(old[i]) else i * columns + j + 1 for j in range(columns)]
        for i in range(rows)
    ]
