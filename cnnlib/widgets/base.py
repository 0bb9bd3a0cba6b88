"""What every widget shares: checked traits, and one output that is alive in a notebook and still works on a page.

A widget is a pair of files, ``name.py`` and ``name.js``. In Jupyter, VS Code and Colab the Python object talks to the
script through anywidget. Where there is no kernel (the published site) the same script defines a custom element, and
the stored output of the cell is that element with its properties in an attribute.
"""

import html
import json
import math
import os
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets

MAX_SIDE = 12
"""Rows or columns of the largest matrix a widget draws: more cells than this are too small to touch on a telephone."""


def is_static() -> bool:
    """Whether outputs are made for a page without a kernel: the environment variable ``CNNLIB_STATIC`` is ``1``."""
    return os.environ.get("CNNLIB_STATIC") == "1"


class Matrix(traitlets.TraitType[list[list[float]], Any]):
    """A rectangular list of rows of finite numbers, ``1…max_side`` rows and columns; arrays (H, W) are taken too.

    Numbers without a fractional part become ints, so that 1.0 and 1 print and travel alike.
    """

    def __init__(self, *, max_side: int = MAX_SIDE, help: str = "") -> None:
        super().__init__(default_value=None, help=help)
        self.max_side = max_side

    def make_dynamic_default(self) -> list[list[float]]:
        """Return a single zero; a widget sets its matrices when it is made."""
        return [[0]]

    def validate(self, obj: Any, value: Any) -> list[list[float]]:
        """Return `value` as lists of numbers, or raise ValueError saying what was expected."""
        expected = f"a rectangular matrix of finite numbers with 1 to {self.max_side} rows and columns"
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{self.name} is {value!r}; expected {expected}") from None
        if array.ndim != 2:
            raise ValueError(f"{self.name} has {array.ndim} dimension(s); expected {expected}")
        if not all(1 <= side <= self.max_side for side in array.shape):
            raise ValueError(f"{self.name} is {array.shape[0]} × {array.shape[1]}; expected {expected}")
        if not np.isfinite(array).all():
            raise ValueError(f"{self.name} holds a NaN or an infinity; expected {expected}")
        return [[_tidy(number) for number in row] for row in array.tolist()]


class Whole(traitlets.TraitType[int, Any]):
    """A whole number between `low` and `high`, both included; `low` is the default."""

    def __init__(self, low: int, high: int, *, help: str = "") -> None:
        super().__init__(default_value=low, help=help)
        self.low, self.high = low, high

    def validate(self, obj: Any, value: Any) -> int:
        """Return `value` as an int, or raise ValueError saying which numbers are allowed."""
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not self.low <= value <= self.high:
            raise ValueError(f"{self.name} is {value!r}; expected a whole number from {self.low} to {self.high}")
        return int(value)


class Choice(traitlets.TraitType[str, Any]):
    """One of a few words; the first is the default."""

    def __init__(self, *options: str, help: str = "") -> None:
        super().__init__(default_value=options[0], help=help)
        self.options = options

    def validate(self, obj: Any, value: Any) -> str:
        """Return `value`, or raise ValueError listing the options."""
        if value not in self.options:
            raise ValueError(f"{self.name} is {value!r}; expected one of {', '.join(map(repr, self.options))}")
        return str(value)


class HybridWidget(anywidget.AnyWidget):
    """A widget with a kernel, a custom element without one.

    A subclass sets `_element` (the name of the custom element that its script defines), `_props` (the traits which are
    the element's properties, in order), `_fallback` (what a reader sees where no script runs), and
    ``_esm = Path(__file__).with_suffix(".js")``. Its ``__init__`` names the properties with their defaults.
    """

    _element: ClassVar[str]
    _props: ClassVar[tuple[str, ...]]
    _fallback: ClassVar[str]

    def props(self) -> dict[str, Any]:
        """Return the present properties, name → value, as JSON can hold them."""
        return {name: getattr(self, name) for name in self._props}

    def open(self) -> None:
        """Open the connection to the front end; a static output needs none, and must leave no widget state."""
        if not is_static():
            super().open()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.props().items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if is_static():
            return {"text/plain": repr(self), "text/html": self.to_html()}, {}
        return super()._repr_mimebundle_(**kwargs)

    def to_html(self) -> str:
        """Return the custom element, with its properties as JSON and the fallback text inside."""
        props = html.escape(json.dumps(self.props()), quote=False).replace("'", "&#x27;")
        return f"<{self._element} props='{props}'>{html.escape(self._fallback)}</{self._element}>"


def _tidy(number: float) -> float:
    """Return an int where `number` is whole and exactly representable."""
    return int(number) if math.floor(number) == number and abs(number) < 2**53 else number
