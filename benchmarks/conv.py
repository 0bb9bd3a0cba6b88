"""Measure the fast convolutions against torch's: ``python -m benchmarks.conv [--json FILE] [--runs 5]``.

One row for each shape, direction and layout of ours; torch's time is that of its faster layout. The ratio is torch's
processor time over ours; the peaks are those of `benchmarks.memory`. The last rows are of the readable convolution.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from benchmarks import harness, memory
from benchmarks.convolutions import CASES, DIRECTIONS, LAYOUTS, READABLE, algorithms, ours, readable, torchs


def measure(runs: int) -> Iterable[harness.Row]:
    """Yield the rows."""
    for (name, case), direction in itertools.product(CASES.items(), DIRECTIONS):
        peers = [torchs(case, direction, layout) for layout in LAYOUTS]
        torch_peak = memory.torch_peak(name, direction)
        for layout in LAYOUTS:
            ratio, milliseconds = harness.ratio(ours(case, direction, layout), peers, runs)
            yield {
                "name": name,
                "shape": case.shape,
                "direction": direction,
                "algorithm": algorithms(case, direction),
                "layout": layout,
                "ratio": round(ratio, 3),
                "bar": case.bars[DIRECTIONS.index(direction)],
                "ms": round(milliseconds, 3),
                "peak_mib": memory.peak(name, direction, "ours", layout),
                "torch_peak_mib": torch_peak,
            }
    for name, bar in READABLE.items():
        case = CASES[name]
        peers = [torchs(case, "forward", layout) for layout in LAYOUTS]
        ratio, milliseconds = harness.ratio(readable(case), peers, runs)
        yield {
            "name": name,
            "shape": case.shape,
            "direction": "forward",
            "algorithm": "ops_numpy",
            "layout": "nchw",
            "ratio": round(ratio, 3),
            "bar": bar,
            "ms": round(milliseconds, 3),
            "peak_mib": memory.peak(name, "forward", "readable", "nchw"),
            "torch_peak_mib": memory.torch_peak(name, "forward"),
        }


if __name__ == "__main__":
    harness.main(__doc__, "conv", measure)
