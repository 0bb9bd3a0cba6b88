"""The layer table of a torch module: what `cnnlib.shapes.trace` works out, for the layers that its forward calls.

The forward is traced by `torch.fx` and nothing is computed, so a network on the meta device will do, and a large one
takes no longer than its layers are many. While it is traced, a tensor's shape is known, with a batch of one: a forward
may check its input, but not decide on values. What is no layer that the table knows is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import fx, nn

from cnnlib import shapes
from cnnlib.models import adapt
from cnnlib.shapes.table import Row, place, source


def trace(model: nn.Module, input_shape: Sequence[int]) -> shapes.Table:
    """Return the table of `model` for one image of `input_shape`, (C, H, W), or (features,).

    The rows are `model`'s layers and functions in the order in which its forward calls them, as it is: in training mode
    or not. A row has the name of its module, or of the function, after that of the module which calls it. Dropout and
    other layers that compute nothing have rows too; parameters that take part like an output have rows named after
    them. What the columns mean stands at `cnnlib.shapes.trace`.

    Raises TypeError, with its name, for a layer or function that the table does not know, or a model of several inputs;
    ValueError where shapes do not fit, and where weights are used twice, by one layer or by two.

    >>> print(trace(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)), (1, 8, 8)))
    name   kind     output  parameters  multiply–adds  bytes  field  jump
    0      Conv      8×6×6          80          2,592  1,152      3     1
    1      ReLU      8×6×6           0              0  1,152      3     1
    2      Flatten     288           0              0  1,152      8     0
    3      Linear       10       2,890          2,880     40      8     0
    total                        2,970          5,472  3,496
    """
    tracer = _Tracer(input_shape)
    tracer.trace(nn.Sequential(model) if tracer.is_leaf_module(model, "") else model)
    return tracer.table


class _Proxy(fx.Proxy):
    """A tensor that is not there, of known shape."""

    tracer: _Tracer

    @property
    def shape(self) -> torch.Size:
        parameter = self.tracer.parameter(self.node)
        return torch.Size((1, *self.tracer.rows[self.node].shape)) if parameter is None else parameter.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def mT(self) -> fx.Proxy:
        return self.tracer.create_proxy("call_method", "transpose", (self, -2, -1), {})

    def __len__(self) -> int:
        return self.shape[0]

    def dim(self) -> int:
        return self.ndim

    def size(self, dim: int | None = None) -> torch.Size | int:
        return self.shape if dim is None else self.shape[dim]


class _Tracer(fx.Tracer):
    """Puts a row in the table for each node that fx records."""

    root: nn.Module

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.image = source(input_shape)
        self.rows: dict[fx.Node, Row] = {}  # what each node holds
        self.table = shapes.Table()
        self.counted: set[nn.Parameter] = set()  # those that a module's row has

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return adapt.module_builder(module) is not None or super().is_leaf_module(module, name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return the proxy of a new node, whose row is added to the table."""
        if node.op == "placeholder" and self.image in self.rows.values():
            raise TypeError(f"model takes {node.target!r} beside its first input; expected a model of one input")
        if node.op == "placeholder":
            self.rows[node] = self.image
        elif node.op in {"call_module", "call_function", "call_method"}:
            self.rows[node] = self._called(node)
        return _Proxy(node, self)

    def create_arg(self, a: Any) -> Any:
        """Return what fx makes of an argument; a tensor that belongs to no module would be left in the model."""
        held = (
            (*self.root.parameters(), *self.root.buffers(), *self.tensor_attrs) if isinstance(a, torch.Tensor) else ()
        )
        if isinstance(a, torch.Tensor) and not any(a is tensor for tensor in held):
            raise TypeError(f"{self.scope.module_path or 'model'} makes a tensor {tuple(a.shape)}; expected a buffer")
        return super().create_arg(a)

    def parameter(self, node: fx.Node) -> nn.Parameter | None:
        """Return the parameter that a node gets; None where it gets a buffer, or calls something."""
        return dict(self.root.named_parameters()).get(str(node.target)) if node.op == "get_attr" else None

    def read(self, node: fx.Node) -> Row | None:
        """Return the row that a node holds; a parameter gets its row where it is first read, and a buffer none."""
        parameter = None if node in self.rows else self.parameter(node)
        if parameter is not None:
            shape = tuple(parameter.shape) or (1,)
            shape = shape[1:] if shape[0] == 1 < len(shape) else shape  # without the batch
            self.rows[node] = self._add(shapes.Learned(shape, name=str(node.target)), [])
        return self.rows.get(node)

    def _called(self, node: fx.Node) -> Row:
        """Return the row of a call, in the table where it is a layer's, or of what the call hands on."""
        inputs: list[Row] = []

        def read(argument: fx.Node) -> Row | None:
            row = self.read(argument)
            inputs.extend([row] if row else [])
            return row

        args, kwargs = fx.node.map_arg((node.args, node.kwargs), cast(Any, read))
        if node.op == "call_module":
            return self._module(str(node.target), inputs)
        function = str(getattr(node.target, "__name__", node.target))
        name = f"{self.scope.module_path}.{function}".lstrip(".")
        if function not in adapt.FUNCTIONS or not inputs:
            raise TypeError(f"{name} is a call of {node.target}, which is no layer of the table")
        try:
            layer = adapt.FUNCTIONS[function](*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name} is a call of {function} as the table does not know it: {error}") from error
        return inputs[0] if layer is None else self._add(replace(layer, name=self._free(name)), inputs)

    def _module(self, name: str, inputs: list[Row]) -> Row:
        module = self.root.get_submodule(name)
        build, parameters = adapt.module_builder(module), set(module.parameters())
        if build is None:
            raise TypeError(f"{name} is a {type(module).__name__}, which is no layer of the table")
        if parameters & self.counted:
            raise ValueError(f"{name} is called with weights that have a row already; expected that they are used once")
        self.counted |= parameters
        try:
            layer = build(module)
        except TypeError as error:
            raise TypeError(f"{name} is a {type(module).__name__} as the table does not know it: {error}") from error
        row, held = self._add(replace(layer, name=self._free(name)), inputs), sum(p.numel() for p in parameters)
        if row.parameters != held:
            raise ValueError(
                f"{name} is a {type(module).__name__} of {held:,} parameters, where an input of shape "
                f"{inputs[0].shape} asks for {row.parameters:,}"
            )
        return row

    def _add(self, layer: shapes.Layer, inputs: list[Row]) -> Row:
        row = place(replace(layer, inputs=tuple(x.name for x in inputs)), inputs)
        self.table.append(row)
        return row

    def _free(self, name: str) -> str:
        """Return `name`, or where a row has it the first free one of name_2, name_3 …."""
        taken, free, number = {row.name for row in self.table}, name, 1
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        return free
