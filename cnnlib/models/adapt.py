"""What torch's modules and functions are among the layers of `cnnlib.shapes`, for `cnnlib.models.trace`.

`MODULES` holds, for each class, a function from a module to its layer; `FUNCTIONS`, for each name of a function or
method, one from its arguments to its layer, where tensors are rows of the table. None stands for a call that hands its
tensor on. Either raises TypeError for options that the table does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from torch import nn

from cnnlib import nn_torch, shapes
from cnnlib.models.lenet import BitmapDistances, ScaledTanh, Subsampling, TableConv2d
from cnnlib.models.vit import Attention
from cnnlib.shapes import Row

Builder = Callable[..., shapes.Layer | None]


def module_builder(module: nn.Module) -> Callable[[Any], shapes.Layer] | None:
    """Return what makes a layer of `module`, by its class or the nearest one above; None where there is nothing."""
    return next((MODULES[kind] for kind in type(module).__mro__ if kind in MODULES), None)


def _refuse_unless(fits: bool, told: str) -> None:
    if not fits:
        raise TypeError(told)


def _conv(module: nn.Conv2d) -> shapes.Layer:
    _refuse_unless(module.padding_mode == "zeros", f"padding_mode is {module.padding_mode!r}; expected 'zeros'")
    options = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups)
    return shapes.Conv(module.out_channels, *options, bias=module.bias is not None)


def _course_conv(module: nn_torch.Conv2d) -> shapes.Layer:
    out_channels, _, *kernel = module.weight.shape
    return shapes.Conv(out_channels, tuple(kernel), *module.options, bias=module.bias is not None)


def _table_conv(module: TableConv2d) -> shapes.Layer:
    pairs, *kernel = module.weight.shape
    return shapes.TableConv(len(module.bias), tuple(kernel), pairs)


def _course_pool(of: str, module: nn_torch.MaxPool2d | nn_torch.AvgPool2d) -> shapes.Layer:
    kernel_size, stride, padding = module.options
    return shapes.Pool(kernel_size, stride, padding, of=of)


def _layer_norm(module: nn.LayerNorm) -> shapes.Layer:
    _refuse_unless(
        len(module.normalized_shape) == 1, f"normalized_shape is {module.normalized_shape}; expected one size"
    )
    return shapes.LayerNorm(module.elementwise_affine)


def _attention(module: Attention) -> shapes.Layer:
    positions = sum(p.numel() for p in module.parameters(recurse=False))
    return shapes.Attention(module.out.out_features, heads=module.heads, positions=positions)


def _max_pool(module: nn.MaxPool2d) -> shapes.Layer:
    return shapes.Pool(module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)


def _average_pool(module: nn.AvgPool2d) -> shapes.Layer:
    return shapes.Pool(module.kernel_size, module.stride, module.padding, 1, module.ceil_mode, of="average")


def _named(module: nn.Module) -> shapes.Layer:
    return shapes.Activation(type(module).__name__)


MODULES: Mapping[type[nn.Module], Callable[[Any], shapes.Layer]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda module: shapes.Linear(module.out_features, module.bias is not None),
    nn.BatchNorm2d: lambda module: shapes.BatchNorm(module.affine),
    nn.GroupNorm: lambda module: shapes.GroupNorm(module.affine),
    nn.LayerNorm: _layer_norm,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: lambda module: shapes.AdaptivePool(module.output_size),
    nn.AdaptiveMaxPool2d: lambda module: shapes.AdaptivePool(module.output_size, of="max"),
    nn.Flatten: lambda module: _flat(module.start_dim, module.end_dim),
    nn_torch.Conv2d: _course_conv,
    nn_torch.Linear: lambda module: shapes.Linear(module.weight.shape[0]),
    nn_torch.BatchNorm2d: lambda module: shapes.BatchNorm(),
    nn_torch.MaxPool2d: partial(_course_pool, "max"),
    nn_torch.AvgPool2d: partial(_course_pool, "average"),
    Subsampling: lambda module: shapes.Subsampling(2),
    TableConv2d: _table_conv,
    BitmapDistances: lambda module: shapes.Rbf(len(module.codes)),
    Attention: _attention,
    **dict.fromkeys((nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus), _named),
    **dict.fromkeys(
        (nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softmax, nn.LogSoftmax), _named
    ),
    **dict.fromkeys((nn.Identity, nn.LocalResponseNorm, nn.Dropout, nn.Dropout2d, ScaledTanh), _named),
    **dict.fromkeys((nn_torch.ReLU, nn_torch.Dropout), _named),
}


def _flat(start_dim: int, end_dim: int) -> shapes.Layer:
    _refuse_unless(start_dim in {1, 2} and end_dim in {-1, 3}, f"it flattens {start_dim} to {end_dim}")
    return shapes.Flatten(keep_channels=start_dim == 2)


def _flatten(x: Row, start_dim: int = 0, end_dim: int = -1) -> shapes.Layer:
    return _flat(start_dim, end_dim)


def _reshape(x: Row, *sizes: Any) -> shapes.Layer:
    """Take sizes (N, …) for what they do to a row: flatten it or its planes, or lay out its planes again."""
    size = tuple(sizes[0] if len(sizes) == 1 else sizes)
    known = -prod(size)  # one of them may be −1
    shape = tuple(prod(x.shape) // known if n == -1 else n for n in size)[1:]
    if shape == (prod(x.shape),):
        return shapes.Flatten()
    if len(x.shape) == 3 and shape == (x.shape[0], prod(x.shape[1:])):
        return shapes.Flatten(keep_channels=True)
    _refuse_unless(shape == (x.shape[0], *(axis.count for axis in x.axes)), f"it makes {size} of {x.shape}")
    return shapes.Unflatten()


def _unflatten(x: Row, dim: int, sizes: Any) -> shapes.Layer:
    _refuse_unless(dim in {2, -1} and len(x.shape) == 2, f"it unflattens size {dim} of {x.shape}")
    return _reshape(x, (1, x.shape[0], *sizes))


def _permute(x: Row, *dims: Any) -> shapes.Layer:
    order = [dim % (len(x.shape) + 1) for dim in (dims[0] if len(dims) == 1 else dims)]
    _refuse_unless(order[0] == 0, f"it moves the batch: {order}")
    return shapes.Permute(tuple(dim - 1 for dim in order[1:]))


def _transpose(x: Row, dim0: int, dim1: int) -> shapes.Layer:
    order = list(range(len(x.shape) + 1))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permute(x, order)


def _movedim(x: Row, source: int, destination: int) -> shapes.Layer:
    order = list(range(len(x.shape) + 1))
    order.insert(destination % len(order), order.pop(source))
    return _permute(x, order)


def _mean(x: Row, dim: Any = None, keepdim: bool = False) -> shapes.Layer:
    over = {d % (len(x.shape) + 1) for d in ([dim] if isinstance(dim, int) else dim or [0])}
    if len(x.shape) == 3 and over == {2, 3}:
        return shapes.AdaptivePool() if keepdim else shapes.GlobalPool()
    _refuse_unless(len(x.shape) == 2 and over == {1} and not keepdim, f"it averages {x.shape} over {dim}")
    return shapes.Select()


def _getitem(x: Row, index: Any) -> shapes.Layer:
    """Take x[:, 0], a token; x[:, a:b], channels; x[:, :, ::s, ::t], pixels; x[:, :, None, None], new axes."""
    batch, first, *rest = index if isinstance(index, tuple) and len(index) > 1 else (None, None)
    whole = slice(None)
    _refuse_unless(batch == whole, f"its index is {index}")
    if rest == [None, None] and first == whole:
        return shapes.Unflatten()
    if not rest and isinstance(first, int):
        return shapes.Select()
    if not rest and isinstance(first, slice):
        start, stop, step = first.indices(x.shape[0])
        _refuse_unless(step == 1, f"its index is {index}")
        return shapes.Channels(start, stop)
    pixels = len(rest) == 2 and all(isinstance(i, slice) and i.start in {None, 0} and i.stop is None for i in rest)
    _refuse_unless(pixels and first == whole, f"its index is {index}")
    return shapes.Subsample(1, tuple(i.step or 1 for i in rest))


def _pad(x: Row, pad: Sequence[int], mode: str = "constant", value: float = 0) -> shapes.Layer:
    _refuse_unless(len(pad) <= 6 and mode == "constant", f"it pads {pad} in mode {mode!r}")
    left, right, top, bottom, before, after = (*pad, *(0,) * (6 - len(pad)))
    return shapes.Pad(((top, bottom), (left, right)), (before, after))


def _cat(tensors: list[Row], dim: int = 0) -> shapes.Layer:
    _refuse_unless(dim in {1, -len(tensors[0].shape)}, f"it joins along {dim}; expected 1")
    return shapes.Concat()


def _expand(x: Row, *sizes: Any) -> None:
    size = tuple(sizes[0] if len(sizes) == 1 else sizes)
    _refuse_unless(all(n in {-1, m} for n, m in zip(size[1:], x.shape, strict=True)), f"it expands {x.shape} to {size}")


def _with_number(name: str, a: Any, b: Any) -> shapes.Layer:
    """Take a row and a number or a buffer."""
    _refuse_unless(not (isinstance(a, Row) and isinstance(b, Row)), "both operands are outputs of layers")
    return shapes.Activation(name)


def _sum(a: Any, b: Any) -> shapes.Layer:
    return shapes.Add() if isinstance(a, Row) and isinstance(b, Row) else shapes.Activation("add")


def _product(a: Any, b: Any) -> shapes.Layer:
    return shapes.Multiply() if isinstance(a, Row) and isinstance(b, Row) else shapes.Activation("mul")


def _pointwise(name: str, x: Row, *args: Any, **kwargs: Any) -> shapes.Layer:
    return shapes.Activation(name)


def _hand_on(x: Row, *args: Any, **kwargs: Any) -> None:
    pass


POINTWISE = [
    "relu",
    "relu_",
    "relu6",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "softmax",
    "log_softmax",
    "dropout",
    "local_response_norm",
    "square",
    "neg",
    "abs",
    "sqrt",
    "exp",
    "clamp",
]

FUNCTIONS: Mapping[str, Builder] = {
    "flatten": _flatten,
    **dict.fromkeys(("reshape", "view"), _reshape),
    "unflatten": _unflatten,
    "permute": _permute,
    "transpose": _transpose,
    "movedim": _movedim,
    "mean": _mean,
    "getitem": _getitem,
    "pad": _pad,
    **dict.fromkeys(("cat", "concat"), _cat),
    "expand": _expand,
    **dict.fromkeys(("add", "iadd"), _sum),
    **dict.fromkeys(("mul", "imul"), _product),
    **{name: partial(_with_number, name) for name in ("sub", "truediv", "div")},
    **{name: partial(_pointwise, name) for name in POINTWISE},
    **dict.fromkeys(("contiguous", "clone", "detach"), _hand_on),
}
