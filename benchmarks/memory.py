"""Measure the peak memory of the convolutions: ``python -m benchmarks.memory [--json FILE]``.

Each number is from a fresh child: by how many MiB one call raises the resident memory above what there was before it,
inputs and outputs outside. A tiny convolution before it loads the libraries. Torch's is that of its leaner layout; the
ratio is torch's peak over ours.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Iterable

from benchmarks import harness
from benchmarks.convolutions import CASES, DIRECTIONS, LAYOUTS, Case, algorithms, ours, readable, torchs

TINY = Case((1, 3, 8, 8), 4, 3, 1, 1, (0, 0))


def one(name: str, direction: str, who: str, layout: str) -> float:
    """Measure in this process, which should be fresh."""
    calls = []
    for case in (TINY, CASES[name]):
        if who == "readable":
            calls.append(readable(case))
        else:
            calls.append((ours if who == "ours" else torchs)(case, direction, layout))
    calls[0]()
    return harness.peak_mib(lambda: (result.nbytes for result in calls[1]()))


@functools.cache
def peak(name: str, direction: str, who: str, layout: str) -> float:
    """Measure in a child; `who` is "ours", "readable" or "torch"."""
    printed = harness.run_child("benchmarks.memory", "--one", name, direction, who, layout, capture=True)
    return round(float(printed), 1)


def torch_peak(name: str, direction: str) -> float:
    """Return the peak of torch's leaner layout."""
    return min(peak(name, direction, "torch", layout) for layout in LAYOUTS)


def measure(_: int) -> Iterable[harness.Row]:
    """Yield the rows."""
    for (name, case), direction, layout in itertools.product(CASES.items(), DIRECTIONS, LAYOUTS):
        ours_peak, torchs_peak = peak(name, direction, "ours", layout), torch_peak(name, direction)
        yield {
            "name": name,
            "shape": case.shape,
            "direction": direction,
            "algorithm": algorithms(case, direction),
            "layout": layout,
            "ratio": round(torchs_peak / max(ours_peak, 0.1), 2),
            "peak_mib": ours_peak,
            "torch_peak_mib": torchs_peak,
        }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(one(*sys.argv[2:]))
    else:
        harness.main(__doc__, "memory", measure)
