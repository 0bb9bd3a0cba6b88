"""What the benchmarks share: a clean child process, interleaved timing, peak memory, provenance, and files of results.

A benchmark is a module with a function that yields rows; it ends in ``harness.main(__doc__, "conv", measure)``. Run as
``python -m benchmarks.conv [--json FILE] [--runs 5]`` it starts itself again in a child whose OPENBLAS_CORETYPE is
unset, since a shell may export one that halves NumPy's speed, and whose BLAS and OpenMP have one thread: on shared
cores only the processor time of one thread can be trusted. Ratios are torch's time over ours: above 1 we are faster.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cnnlib.files import write_csv

RESULTS = Path(__file__).parent / "results"
CHILD = "CNNLIB_BENCHMARK_CHILD"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CNNLIB_THREADS"), "1")
Row = dict[str, Any]


def clean_environment() -> dict[str, str]:
    """Return the environment of a child that measures: one thread, and the BLAS kernels meant for this processor."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    return {**kept, **ONE_THREAD, CHILD: "1"}


def run_child(module: str, *arguments: str, capture: bool = False) -> str:
    """Run ``python -m module`` in a clean child; return what it printed where `capture` asks for it."""
    command = [sys.executable, "-m", module, *arguments]
    run = subprocess.run(
        command, env=clean_environment(), check=True, text=True, stdout=subprocess.PIPE if capture else None
    )
    return run.stdout if capture else ""


def cpu_seconds(call: Callable[[], object], least: float = 0.05) -> float:
    """Return the processor time of one call: the mean over as many as take `least` seconds."""
    calls, start = 0, time.process_time()
    while True:
        call()
        calls += 1
        elapsed = time.process_time() - start
        if elapsed >= least:
            return elapsed / calls


def ratio(ours: Callable[[], object], peers: Sequence[Callable[[], object]], runs: int = 5) -> tuple[float, float]:
    """Return (the time of the fastest peer over ours, our milliseconds), medians of interleaved runs.

    Every run times ours and each peer in turn, so that what slows the machine slows both.
    """
    for call in (ours, *peers):
        call()
        call()
    rounds = [(cpu_seconds(ours), *(cpu_seconds(peer) for peer in peers)) for _ in range(runs)]
    ratios = [min(theirs) / mine for mine, *theirs in rounds]
    return statistics.median(ratios), 1000 * statistics.median(mine for mine, *_ in rounds)


def resident_kib(field: str) -> int:
    """Return VmRSS, the memory resident now, or VmHWM, the most there was, as Linux counts it."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}; expected Linux")


def peak_mib(call: Callable[[], Iterable[int]]) -> float:
    """Return by how many MiB one call raised the resident memory, less the bytes of its results, which it returns.

    To be called once, in a fresh child, after the inputs are made and the libraries are loaded and used. What was
    freed before is given back to the system first, or the call would take its memory from there.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # forget the highest so far
    baseline = resident_kib("VmRSS")
    results = sum(call())
    return max(0.0, (resident_kib("VmHWM") - baseline) / 1024 - results / 2**20)


def core_type() -> str:
    """Return the processor whose kernels NumPy's BLAS has chosen."""
    import numpy as np  # noqa: F401 — brings its BLAS
    from threadpoolctl import threadpool_info

    found = [pool.get("architecture", "unknown") for pool in threadpool_info() if pool["user_api"] == "blas"]
    return "+".join(sorted(set(found)))


def processor() -> str:
    """Return the model of the processor, as Linux names it."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def provenance(command: str) -> Row:
    """Return where, when and with what a row was measured."""
    return {
        "threads": 1,
        "processor": processor(),
        "cores": os.cpu_count(),
        "blas_core": core_type(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "torch": version("torch"),
        "date": datetime.date.today().isoformat(),
        "command": command,
    }


def main(doc: str, name: str, measure: Callable[[int], Iterable[Row]]) -> None:
    """Measure in a clean child, print each row, and write ``results/NAME.csv``, or the file that --json names.

    `measure(runs)` yields rows; rows of one benchmark have the same fields.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, and leave the CSV alone")
    parser.add_argument("--runs", type=int, default=5, help="of which the median counts")
    arguments = parser.parse_args()
    if CHILD not in os.environ:
        run_child(f"benchmarks.{name}", *sys.argv[1:])
        return
    origin = provenance(" ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]]))
    rows = []
    for row in measure(arguments.runs):
        print(*row.values(), flush=True)
        rows.append({**row, **origin})
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    else:
        write_csv(RESULTS / f"{name}.csv", list(rows[0]), rows)
