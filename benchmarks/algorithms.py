"""Measure the algorithms against each other: ``python -m benchmarks.algorithms [--json FILE] [--runs 5]``.

Winograd and the Fourier transform against the lowered rows, forward and all gradients, at sizes between which the
dispatch decides, with the error of the forward relative to the largest value in float64; and the textbook's im2col
(windows and one matrix product, through `numpy.tensordot`) against torch's faster layout, forward. The ratio is the
time of the peer over that of the algorithm. Results: ``benchmarks/results/algorithms.csv``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.convolutions import CASES, LAYOUTS, laid_out, operands, torchs
from benchmarks.harness import Row, main, ratio
from cnnlib import ops_numpy
from cnnlib.fast.conv import ALGORITHMS
from cnnlib.geometry import conv_geometry
from cnnlib.testing import relative_error

WINOGRAD_CHANNELS = (8, 16, 32, 64)
FFT_KERNELS = (15, 19, 23)


def textbook(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve with padding 1 as textbooks do: cut every window out, and multiply."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    y = np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3)))  # (N, H, W, F)
    return y.transpose(0, 3, 1, 2) + bias[:, None, None]


def duel(name: str, channels: int, kernel: int, size: int, runs: int) -> Row:
    """Return the row of an algorithm against the lowered rows, at as many filters as channels, "same" padding."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, channels, size, size)).astype(np.float32)
    weight = rng.normal(size=(channels, channels, kernel, kernel)).astype(np.float32)
    geometry = conv_geometry((size, size), kernel, padding=kernel // 2)
    grad_output = laid_out(rng.normal(size=x.shape).astype(np.float32), "channels_last")
    images = laid_out(x, "channels_last")

    def all_of(algorithm: str) -> Callable[[], object]:
        forward, grad_x, grad_weight = ALGORITHMS[algorithm]
        return lambda: (
            forward(images, weight, None, geometry),
            grad_x(grad_output, weight, geometry, (size, size)),
            grad_weight(grad_output, images, geometry, weight.shape),
        )

    faster, milliseconds = ratio(all_of(name), [all_of("toeplitz")], runs)
    expected = ops_numpy.conv2d(x.astype(float), weight.astype(float), padding=kernel // 2)
    errors = [
        relative_error(ALGORITHMS[a].forward(images, weight, None, geometry), expected) for a in (name, "toeplitz")
    ]
    return {
        "algorithm": name,
        "peer": "toeplitz",
        "channels": channels,
        "kernel": kernel,
        "size": size,
        "ratio": round(faster, 3),
        "milliseconds": round(milliseconds, 3),
        "error": f"{errors[0]:.1e}",
        "peer_error": f"{errors[1]:.1e}",
    }


def measure(runs: int) -> Iterator[Row]:
    """Yield the rows."""
    for channels in WINOGRAD_CHANNELS:
        yield duel("winograd4", channels, 3, 32, runs)
    for kernel in FFT_KERNELS:
        for channels in (1, 4, 16):
            yield duel("fft", channels, kernel, 32, runs)
    case = CASES["VGG"]
    x, weight, bias, _ = operands(case)
    peers = [torchs(case, "forward", layout) for layout in LAYOUTS]
    slower, milliseconds = ratio(lambda: textbook(x, weight, bias), peers, runs)
    sizes: Row = {"channels": case.x[1], "kernel": case.kernel, "size": case.x[2]}
    times: Row = {"ratio": round(slower, 3), "milliseconds": round(milliseconds, 3)}
    yield {"algorithm": "textbook", "peer": "torch", **sizes, **times, "error": "", "peer_error": ""}


if __name__ == "__main__":
    main(__doc__, "algorithms", measure)
