"""Measure max pooling against torch: ``python -m benchmarks.pool [--json FILE] [--runs 5]``.

float32, one thread, no autograd: torch's forward, which always finds indices, and its backward given those. Ours lies
in memory with channels last, as in our networks; torch takes the faster of its two layouts. "values" routes the
gradient by looking the winner up again in x and y, "indices" is `max_pool2d` as `ops_numpy` defines it. Memory is what
one call in a fresh child needs above its inputs, y and grad_x; indices count. Results: ``benchmarks/results/pool.csv``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.harness import Row, main, peak_mib, ratio, run_child
from cnnlib import fast

SHAPES = {  # x, kernel size, stride
    "64x6x28x28 2x2": ((64, 6, 28, 28), 2, 2),
    "64x16x32x32 2x2": ((64, 16, 32, 32), 2, 2),
    "64x16x32x32 3x3/2": ((64, 16, 32, 32), 3, 2),
    "32x64x56x56 3x3/2": ((32, 64, 56, 56), 3, 2),
}
ALGORITHMS = ("values", "indices")
DIRECTIONS = ("forward", "forward+backward")
Call = Callable[[], int]  # returns the bytes of its results


def operands(shape: str) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return x and the gradient of the output, channels last in memory, the kernel size and the stride."""
    generator = np.random.default_rng(0)
    size, kernel_size, stride = SHAPES[shape]
    output = (*size[:2], *((s - kernel_size) // stride + 1 for s in size[2:]))
    x, grad_output = (
        generator.standard_normal((N, H, W, C), np.float32).transpose(0, 3, 1, 2) for N, C, H, W in (size, output)
    )
    return x, grad_output, kernel_size, stride


def our_call(shape: str, direction: str, algorithm: str) -> Call:
    """Return our pooling of a shape."""
    x, grad_output, k, stride = operands(shape)

    def values() -> int:
        y = fast.max_pool2d_values(x, k, stride=stride)
        if direction == "forward":
            return y.nbytes
        return y.nbytes + fast.max_pool2d_values_backward(grad_output, x, y, k, stride=stride).nbytes

    def indices() -> int:
        y, winners = fast.max_pool2d(x, k, stride=stride)
        if direction == "forward":
            return y.nbytes
        return y.nbytes + fast.max_pool2d_backward(grad_output, winners, input_size=x.shape[2:]).nbytes

    return {"values": values, "indices": indices}[algorithm]


def torch_call(shape: str, direction: str, layout: str) -> Call:
    """Return torch's own pooling of a shape."""
    import torch

    x, grad_output, k, stride = operands(shape)
    order = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}[layout]
    image, grad = (torch.from_numpy(a).contiguous(memory_format=order) for a in (x, grad_output))

    @torch.no_grad()
    def call() -> int:
        y, winners = torch.nn.functional.max_pool2d(image, k, stride, return_indices=True)
        if direction == "forward":
            return y.nbytes
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        return y.nbytes + backward(grad, image, [k, k], [stride, stride], [0, 0], [1, 1], False, winners).nbytes

    return call


def measure(runs: int) -> Iterator[Row]:
    """Yield one row for each shape, direction and algorithm."""
    for shape in SHAPES:
        for direction in DIRECTIONS:
            peers = [torch_call(shape, direction, layout) for layout in ("nchw", "nhwc")]
            theirs = min(peak(shape, direction, layout) for layout in ("nchw", "nhwc"))
            for algorithm in ALGORITHMS:
                faster, milliseconds = ratio(our_call(shape, direction, algorithm), peers, runs)
                yield {
                    "shape": shape,
                    "direction": direction,
                    "algorithm": f"{algorithm}, channels last",
                    "ratio": round(faster, 3),
                    "milliseconds": round(milliseconds, 3),
                    "peak_mib": round(peak(shape, direction, algorithm), 1),
                    "torch_peak_mib": round(theirs, 1),
                }


def peak(shape: str, direction: str, whose: str) -> float:
    """Return the memory that a call in a fresh child needs: ours by algorithm, torch's by layout."""
    return float(run_child("benchmarks.pool", "--peak", shape, direction, whose, capture=True))


def print_peak(shape: str, direction: str, whose: str) -> None:
    """Print the memory of one call, after one of the smallest shape has loaded what the libraries load."""
    make = our_call if whose in ALGORITHMS else torch_call
    make(next(iter(SHAPES)), direction, whose)()
    call = make(shape, direction, whose)
    print(peak_mib(lambda: [call()]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(*sys.argv[2:])
    else:
        main(__doc__, "pool", measure)
