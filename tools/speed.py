"""Draw what the benchmarks measured: ``python -m tools.speed`` writes the picture and the table of ``book/speed.md``.

They come from ``benchmarks/results``, which `benchmarks.conv`, `benchmarks.pool` and `benchmarks.nets` write.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from cnnlib.plotting.base import DPI
from cnnlib.plotting.speed import ratios
from tools.book import ROOT
from tools.tables import fill, fingerprint

RESULTS = ROOT / "benchmarks" / "results"
PICTURE = ROOT / "book" / "_static" / "speed.png"
PAGE = ROOT / "book" / "speed.md"
Row = dict[str, str]


def rows(name: str) -> list[Row]:
    """Return the rows of a benchmark that are of our fast operators, in the layout that networks carry."""
    with (RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    if name == "conv":
        found = [row for row in found if row["layout"] == "channels_last"]
    if name == "pool":
        found = [row for row in found if row["algorithm"].startswith("values")]
    return [{**row, "shape": label(row)} for row in found]


def label(row: Row) -> str:
    """Return the name of a shape as the picture and the table have it."""
    if "name" in row:
        return f"{row['name']}  {row['shape']}"
    shape = re.sub(r"(?<=\d)x(?=\d)", "×", row["shape"])
    return shape.replace("lenet5", "LeNet-5,").replace("resnet20", "ResNet-20,")


def table(found: Sequence[Row]) -> str:
    """Return the rows as a Markdown table: ratios forward and with backward, peak memory of both sides."""
    lines = ["| what | forward | and backward | MiB, ours | MiB, torch |", "|---|---|---|---|---|"]
    for shape in dict.fromkeys(row["shape"] for row in found):
        both = {row["direction"]: row for row in found if row["shape"] == shape}
        last = both.get("forward+backward") or both["step"]
        forward = both["forward"]["ratio"] if "forward" in both else "–"
        lines.append(f"| {shape} | {forward} | {last['ratio']} | {last['peak_mib']} | {last['torch_peak_mib']} |")
    return "\n".join(lines)


def write() -> None:
    """Write the picture, and the table into the page."""
    panels = {
        "Convolution": rows("conv"),
        "Max pooling": rows("pool"),
        "A training step": rows("nets"),
    }
    everything = table([row for found in panels.values() for row in found])
    ratios(panels).savefig(PICTURE, dpi=DPI, metadata={"Software": None, "Description": fingerprint(everything)})
    fill(PAGE, {"table": everything})


if __name__ == "__main__":
    write()
