"""The convolutions that the benchmarks measure, and how each side computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cnnlib import fast, ops_numpy
from cnnlib.fast.dispatch import choose
from cnnlib.geometry import conv_geometry


class Case(NamedTuple):
    """A convolution, and the ratios, forward and forward with backward, that it is to reach."""

    x: tuple[int, int, int, int]
    filters: int
    kernel: int
    stride: int
    padding: int
    bars: tuple[float, float]

    @property
    def shape(self) -> str:
        """Return (N,C,H,W; F,k,s,p)."""
        return f"({','.join(map(str, self.x))}; {self.filters},{self.kernel},{self.stride},{self.padding})"


CASES = {
    "LeNet c1": Case((64, 1, 28, 28), 6, 5, 1, 2, (1.0, 1.1)),
    "LeNet c2": Case((64, 6, 14, 14), 16, 5, 1, 0, (0.65, 0.8)),
    "CIFAR s1": Case((64, 16, 32, 32), 16, 3, 1, 1, (0.45, 0.7)),
    "CIFAR s3": Case((64, 64, 8, 8), 64, 3, 1, 1, (0.85, 1.0)),
    "VGG": Case((8, 64, 56, 56), 64, 3, 1, 1, (1.1, 1.4)),
    "AlexNet c1": Case((8, 3, 224, 224), 64, 11, 4, 2, (0.6, 1.2)),
    "1×1": Case((32, 256, 14, 14), 64, 1, 1, 0, (1.0, 1.0)),
    "7×7/2, 3": Case((16, 3, 64, 64), 32, 7, 2, 3, (0.5, 0.6)),
    "7×7/2, 3, large": Case((8, 3, 224, 224), 64, 7, 2, 3, (0.5, 0.6)),
    "7×7/2, 32": Case((16, 32, 32, 32), 64, 7, 2, 3, (0.5, 0.6)),
    "7×7/2, 128": Case((8, 128, 16, 16), 128, 7, 2, 3, (0.5, 0.6)),
    "5×5/2, 3": Case((32, 3, 32, 32), 32, 5, 2, 2, (0.5, 0.6)),
    "5×5/2, 32": Case((16, 32, 32, 32), 64, 5, 2, 2, (0.5, 0.6)),
    "5×5/2, 128": Case((16, 128, 16, 16), 128, 5, 2, 2, (0.5, 0.6)),
    "3×3/2, 3": Case((64, 3, 32, 32), 16, 3, 2, 1, (0.5, 0.6)),
    "3×3/2, 16": Case((64, 16, 32, 32), 32, 3, 2, 1, (0.5, 0.6)),
    "3×3/2, 64": Case((16, 64, 32, 32), 128, 3, 2, 1, (0.5, 0.6)),
    "3×3/2, 128": Case((16, 128, 16, 16), 128, 3, 2, 1, (0.5, 0.6)),
}
READABLE = {"VGG": 0.3, "1×1": 0.3}  # the ratio that `ops_numpy.conv2d` is to reach, forward
LAYOUTS = ("channels_last", "nchw")
DIRECTIONS = ("forward", "forward+backward")
Call = Callable[[], list[Any]]


def algorithms(case: Case, direction: str) -> str:
    """Return the algorithms that the dispatch takes, in the order in which they run."""
    geometry = conv_geometry(case.x[2:], (case.kernel,) * 2, stride=case.stride, padding=case.padding)
    chosen = choose(case.x[0], case.x[1], case.filters, case.x[2:], geometry, 1)
    return chosen.forward if direction == "forward" else ", ".join(dict.fromkeys(chosen))


def operands(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, weight, bias and grad_output, drawn, as float32 in NumPy's own layout."""
    N, C, H, W = case.x
    size = [(n + 2 * case.padding - case.kernel) // case.stride + 1 for n in (H, W)]
    shapes = (case.x, (case.filters, C, case.kernel, case.kernel), (case.filters,), (N, case.filters, *size))
    rng = np.random.default_rng(0)
    x, weight, bias, grad_output = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return x, weight, bias, grad_output


def laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    """Return the values (N, C, H, W), for "channels_last" with their channels together in memory."""
    if layout == "nchw":
        return np.ascontiguousarray(values)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def ours(case: Case, direction: str, layout: str, ops: Any = fast) -> Call:
    """Return a call of our convolution, which returns all that it computes."""
    x, weight, bias, grad_output = operands(case)
    x, grad_output = laid_out(x, layout), laid_out(grad_output, layout)
    options = {"stride": case.stride, "padding": case.padding}

    def forward() -> list[Any]:
        return [ops.conv2d(x, weight, bias, **options)]

    def both() -> list[Any]:
        return [*forward(), *ops.conv2d_backward(grad_output, x, weight, **options)]

    return forward if direction == "forward" else both


def readable(case: Case) -> Call:
    """Return a call of `ops_numpy.conv2d`."""
    return ours(case, "forward", "nchw", ops_numpy)


def torchs(case: Case, direction: str, layout: str) -> Call:
    """Return a call of torch's convolution, without autograd."""
    import torch

    torch.set_num_threads(1)
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    x, weight, bias, grad_output = (torch.from_numpy(v) for v in operands(case))
    x, weight, grad_output = (v.contiguous(memory_format=memory) for v in (x, weight, grad_output))
    stride, padding = [case.stride] * 2, [case.padding] * 2

    def forward() -> list[Any]:
        with torch.no_grad():
            return [torch.nn.functional.conv2d(x, weight, bias, stride, padding)]

    def both() -> list[Any]:
        layer = (grad_output, x, weight, [case.filters], stride, padding, [1, 1], False, [0, 0], 1)
        return [*forward(), *torch.ops.aten.convolution_backward(*layer, [True, True, True])]

    return forward if direction == "forward" else both
