"""Measure convolution in Triton against cuDNN: ``python -m benchmarks.gpu [--json FILE] [--runs 5]``, on a CUDA GPU.

Layers of VGG-16 and ResNet-50 on 64 images, all in channels_last, cuDNN with its own benchmarking on; forward and each
gradient alone, numbers compared before they are timed. A ratio is cuDNN's time over ours: above 1 we are faster; times
are the GPU's, medians. Peaks are what a call allocates beyond its operands and results. The first run of a layer tries
its tiles, so expect ten minutes. Results: ``benchmarks/results/gpu.csv``.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.harness import Row, main
from cnnlib.geometry import conv_geometry

BATCH = 64
LAYERS = {  # channels, size of the image, filters, kernel, stride
    "VGG 3×3": (
        (64, 224, 64, 3, 1),
        (128, 112, 128, 3, 1),
        (256, 56, 256, 3, 1),
        (512, 28, 512, 3, 1),
        (512, 14, 512, 3, 1),
    ),
    "ResNet 3×3": (
        (64, 56, 64, 3, 1),
        (128, 28, 128, 3, 1),
        (256, 14, 256, 3, 1),
        (512, 7, 512, 3, 1),
        (128, 56, 128, 3, 2),
    ),
    "ResNet 1×1": (
        (64, 56, 256, 1, 1),
        (256, 56, 64, 1, 1),
        (1024, 14, 256, 1, 1),
        (512, 7, 2048, 1, 1),
        (256, 56, 512, 1, 2),
    ),
}
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "tf32": torch.float32}
ALLOWED = {"bf16": 1e-2, "fp16": 2e-3, "tf32": 2e-3}  # of the largest entry, between two roundings of the same sum
Call = Callable[[], torch.Tensor]


def calls(layer: tuple[int, ...], dtype: torch.dtype) -> Iterator[tuple[str, Any, Call, Call]]:
    """Yield (direction, the tuned program, our call, cuDNN's) on random operands of one layer."""
    from cnnlib.kernels import _correlation

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device="cuda").to(dtype=dtype, memory_format=torch.channels_last)

    channels, size, filters, kernel, stride = layer
    pad = kernel // 2
    geometry = conv_geometry((size, size), (kernel, kernel), stride=stride, padding=pad)
    x, weight = random(BATCH, channels, size, size), random(filters, channels, kernel, kernel)
    grad = random(BATCH, filters, *geometry.output_size)

    def cudnn_gradient(which: int) -> torch.Tensor:
        options = (None, (stride,) * 2, (pad,) * 2, (1, 1), False, (0, 0), 1)
        wanted = [which == 0, which == 1, False]
        return torch.ops.aten.convolution_backward(grad, x, weight, *options, wanted)[which]

    yield (
        "forward",
        _correlation.CORRELATE,
        lambda: _correlation.correlate(x, weight, None, geometry, 1),
        lambda: F.conv2d(x, weight, None, stride, pad),
    )
    yield (
        "grad_x",
        _correlation.ADJOINT,
        lambda: _correlation.correlate_adjoint(grad, weight, geometry, 1, (size, size)),
        lambda: cudnn_gradient(0),
    )
    yield (
        "grad_weight",
        _correlation.WEIGHT,
        lambda: _correlation.correlate_weight(grad, x, geometry, 1, tuple(weight.shape)),
        lambda: cudnn_gradient(1),
    )


def peak_mib(call: Call) -> float:
    """Return how many MiB of the GPU a call takes beyond what there was and its result."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before - result.nbytes) / 2**20


def compare(ours: Call, theirs: Call, runs: int) -> tuple[float, float]:
    """Return (cuDNN's time over ours, our milliseconds), medians of interleaved runs."""
    from triton.testing import do_bench

    rounds = [tuple(do_bench(call, return_mode="median") for call in (ours, theirs)) for _ in range(runs)]
    return statistics.median(b / a for a, b in rounds), statistics.median(a for a, _ in rounds)


def device() -> Row:
    """Return on what GPU, and with what, a row was measured."""
    import triton

    properties = torch.cuda.get_device_properties(0)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    return {
        "gpu": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "driver": subprocess.run(query, check=True, text=True, stdout=subprocess.PIPE).stdout.strip(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "triton": triton.__version__,
    }


def row(precision: str, family: str, layer: tuple[int, ...], which: int, runs: int) -> Row:
    """Compare and time one direction of one layer; RuntimeError where the numbers differ."""
    channels, size, filters, kernel, stride = layer
    direction, program, ours, theirs = list(calls(layer, PRECISIONS[precision]))[which]
    expected = theirs().float()
    error = float((ours().float() - expected).abs().max() / expected.abs().max())
    del expected
    if not error <= ALLOWED[precision]:
        raise RuntimeError(f"{family} {layer}, {direction}, {precision}: off by {error:.2g}; nothing is timed")
    ratio, milliseconds = compare(ours, theirs, runs)
    work = 2 * BATCH * channels * filters * kernel**2 * ((size - 1) // stride + 1) ** 2
    return {
        "shape": f"{family} ({BATCH}, {channels}, {size}, {size}) → {filters}, stride {stride}",
        "direction": direction,
        "precision": precision,
        "algorithm": f"implicit GEMM, {program.best_config}",
        "ratio": round(ratio, 3),
        "milliseconds": round(milliseconds, 4),
        "tflops": round(work / milliseconds / 1e9, 1),
        "error": float(f"{error:.2g}"),
        "peak_mib": round(peak_mib(ours), 2),
        "torch_peak_mib": round(peak_mib(theirs), 2),
    }


def measure(runs: int) -> Iterator[Row]:
    """Yield one row for each precision, layer and direction."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(0)
    gpu = device()
    for precision in PRECISIONS:
        for family, layers in LAYERS.items():
            for layer, which in itertools.product(layers, range(3)):
                yield {**row(precision, family, layer, which, runs), **gpu}


if __name__ == "__main__":
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks.gpu needs a CUDA GPU, and torch sees none; nothing was measured")
    main(__doc__, "gpu", measure)
