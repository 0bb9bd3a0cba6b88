"""Measure what importing costs beside ``import numpy``: ``python -m benchmarks.imports [--json FILE] [--runs 5]``.

Each import takes place in a fresh interpreter; its processor time includes that of starting Python, in both terms.
Results: ``benchmarks/results/imports.csv``.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import Row, main

MODULES = ("cnnlib", "cnnlib.ops_numpy", "cnnlib.fast", "cnnlib.nn_numpy")


def child_seconds(module: str) -> float:
    """Return the processor time of a fresh interpreter that imports a module."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(runs: int) -> Iterator[Row]:
    """Yield one row for each module; interleaved with numpy, medians."""
    for module in MODULES:
        child_seconds(module)  # compiles what was never imported
        pairs = [(child_seconds(module), child_seconds("numpy")) for _ in range(runs)]
        yield {
            "module": module,
            "over_numpy": round(statistics.median(ours / numpy for ours, numpy in pairs), 3),
            "milliseconds": round(1000 * statistics.median(ours for ours, _ in pairs), 1),
        }


if __name__ == "__main__":
    main(__doc__, "imports", measure)
