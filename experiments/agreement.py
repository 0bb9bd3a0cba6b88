"""Do plain loops, NumPy and PyTorch agree, on the CPU and on a GPU? The worst disagreement over drawn layers.

    python -m experiments.agreement --device cuda

writes experiments/results/agreement_DEVICE.csv. An error is the largest |difference| over the largest sum of |terms|,
so that it measures rounding and not cancellation; `eps` is the spacing of the dtype's numbers at 1, for comparison.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import platform
from pathlib import Path

import numpy as np
import torch

from cnnlib import ops_numpy, ops_torch
from cnnlib.testing import to_numpy

RESULTS = Path(__file__).parent / "results"
FIELDS = ("operator", "twins", "dtype", "draws", "worst_error", "eps")


def draw(generator: np.random.Generator, dtype: str) -> tuple[list[np.ndarray], dict]:
    """Return (x, weight, bias) and the options of one convolution."""
    groups = int(generator.integers(1, 4))
    kernel = generator.integers(1, 5, 2)
    dilation = tuple(map(int, generator.integers(1, 3, 2)))
    options = {
        "stride": tuple(map(int, generator.integers(1, 4, 2))),
        "padding": tuple(tuple(map(int, pair)) for pair in generator.integers(0, 4, (2, 2))),
        "dilation": dilation,
        "groups": groups,
    }
    size = [d * (k - 1) + 1 + generator.integers(0, 6) for k, d in zip(kernel, dilation, strict=True)]
    in_group, out_channels = int(generator.integers(1, 4)), groups * int(generator.integers(1, 4))
    shapes = ((2, groups * in_group, *size), (out_channels, in_group, *kernel), (out_channels,))
    return [generator.normal(size=shape).astype(dtype) for shape in shapes], options


def error(ours, theirs, magnitudes) -> float:
    """Return the largest difference over the largest sum of |terms|, over all arrays of a result."""
    gaps = (float(np.abs(to_numpy(a) - to_numpy(b)).max()) for a, b in zip(ours, theirs, strict=True))
    return max(gap and gap / float(np.abs(m).max()) for gap, m in zip(gaps, magnitudes, strict=True))


def compare(dtype: str, device: str, draws: int, seed: int) -> list[dict]:
    """Return one row per operator and pair of twins."""
    generator = np.random.default_rng(seed)
    worst: dict[tuple[str, str], float] = {}
    for _ in range(draws):
        arrays, options = draw(generator, dtype)
        x, weight, _ = arrays
        sizes = [np.abs(a) for a in arrays]
        tensors = [torch.from_numpy(a).to(device) for a in arrays]
        y = ops_numpy.conv2d(*arrays, **options)
        grad_output = generator.normal(size=y.shape).astype(dtype)
        grads = ops_numpy.conv2d_backward(grad_output, x, weight, **options)
        terms = ops_numpy.conv2d(*sizes, **options)
        slopes = ops_numpy.conv2d_backward(np.abs(grad_output), *sizes[:2], **options)
        upstream = torch.from_numpy(grad_output).to(device)
        backward = ops_torch.conv2d_backward(upstream, *tensors[:2], **options)
        pairs = {
            ("conv2d", "loops and NumPy"): error([ops_numpy.conv2d_naive(*arrays, **options)], [y], [terms]),
            ("conv2d", "NumPy and torch"): error([y], [ops_torch.conv2d(*tensors, **options)], [terms]),
            ("conv2d_backward", "NumPy and torch"): error(grads, backward, slopes),
        }
        worst = {key: max(value, worst.get(key, 0.0)) for key, value in pairs.items()}
    eps = f"{np.finfo(dtype).eps:.1e}"
    return [
        dict(zip(FIELDS, (operator, twins, dtype, draws, f"{value:.1e}", eps), strict=True))
        for (operator, twins), value in worst.items()
    ]


def main() -> None:
    """Compare, print, and write the table with what made it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="where torch computes: cpu, cuda or mps")
    parser.add_argument("--draws", type=int, default=200, help="how many layers are drawn for each dtype")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
    rows = [
        row for dtype in ("float64", "float32") for row in compare(dtype, options.device, options.draws, options.seed)
    ]
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    command = f"--device {options.device} --draws {options.draws} --seed {options.seed}"
    provenance = {
        "device": f"{options.device} ({name})",
        "versions": f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "command": f"python -m experiments.agreement {command}",
    }
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"agreement_{options.device}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*FIELDS, *provenance])
        writer.writeheader()
        writer.writerows(row | provenance for row in rows)
    for row in rows:
        print(*row.values(), sep="\t")


if __name__ == "__main__":
    main()
