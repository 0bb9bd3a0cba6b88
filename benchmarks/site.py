"""Measure the built site with Lighthouse and axe: ``python -m benchmarks.site [PAGE …] [--runs 3]``.

Pages are paths under ``_build/html``; without any, every page is measured. Lighthouse comes from the npm registry into
``_build/lighthouse``, with the node of the wheel in requirements-book.txt; Chromium is the system's. Results, with
where they come from, go to ``benchmarks/results/site.csv``.
"""

import argparse
import csv
import datetime
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

from cnnlib.files import write_csv
from tools.book import ROOT, node_directory
from tools.browser import axe_violations, launch, lay_out
from tools.serve import serve
from tools.system import chromium
from tools.vendor import npm

SITE = ROOT / "_build" / "html"
RESULTS = ROOT / "benchmarks" / "results" / "site.csv"
LIGHTHOUSE_VERSION = "13.5.0"
CHROMIUM_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
METRICS = {
    "lcp_ms": "largest-contentful-paint",
    "fcp_ms": "first-contentful-paint",
    "tbt_ms": "total-blocking-time",
    "cls": "cumulative-layout-shift",
    "bytes": "total-byte-weight",
}


def environment() -> dict[str, str]:
    """Return the environment in which node, npm and Chromium are found."""
    return {**os.environ, "PATH": f"{node_directory()}{os.pathsep}{os.environ['PATH']}", "CHROME_PATH": chromium()}


def install_lighthouse() -> Path:
    """Return the script of Lighthouse, installed by npm where it is not there yet."""
    folder = ROOT / "_build" / "lighthouse"
    script = folder / "node_modules" / "lighthouse" / "cli" / "index.js"
    if not script.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            *npm(),
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
            f"lighthouse@{LIGHTHOUSE_VERSION}",
        ]
        subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
    return script


def lighthouse(script: Path, address: str, preset: str) -> dict[str, float]:
    """Return the scores (0 to 100) and metrics of one Lighthouse run, for ``preset`` mobile or desktop."""
    command = ["node", str(script), address, "--quiet", "--output=json", f"--chrome-flags={CHROMIUM_FLAGS}"]
    command += ["--only-categories=performance,accessibility,best-practices"]
    command += ["--preset=desktop"] if preset == "desktop" else []
    run = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    report = json.loads(run.stdout)
    if report.get("runtimeError"):
        raise RuntimeError(f"Lighthouse could not measure {address}: {report['runtimeError']['message']}")
    scores = {name: 100 * category["score"] for name, category in report["categories"].items()}
    return scores | {name: report["audits"][audit]["numericValue"] for name, audit in METRICS.items()}


def count_violations(addresses: list[str]) -> dict[str, int]:
    """Return the number of axe violations of each page, light and dark, wide and narrow together."""
    counts = dict.fromkeys(addresses, 0)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for scheme, width in itertools.product(schemes, (1280, 390)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            for address in addresses:
                page.goto(address, wait_until="load")
                lay_out(page)
                counts[address] += len(axe_violations(page))
        browser.close()
    return counts


def median_row(page: str, preset: str, runs: list[dict[str, float]]) -> dict[str, object]:
    """Return the median of each measurement over ``runs``."""
    medians = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    return {"page": page, "preset": preset, "runs": len(runs), **medians}


def processor() -> str:
    """Return the model of the processor, as Linux names it."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def provenance() -> dict[str, str]:
    """Return where and with what the measurements were made."""
    version = subprocess.run([chromium(), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "chromium": version.split()[1],
        "lighthouse": LIGHTHOUSE_VERSION,
        "date": datetime.date.today().isoformat(),
        "command": "python -m benchmarks.site " + " ".join(sys.argv[1:]),
    }


def measure(pages: list[str], runs: int) -> Iterator[dict[str, object]]:
    """Yield one row for each page and preset."""
    script = install_lighthouse()
    with serve(SITE) as address:
        violations = count_violations([address + page for page in pages])
        for page, preset in itertools.product(pages, ("mobile", "desktop")):
            row = median_row(page, preset, [lighthouse(script, address + page, preset) for _ in range(runs)])
            yield {**row, "axe_violations": violations[address + page], **provenance()}


def record(row: dict[str, object]) -> None:
    """Write a row to the results, in place of what an earlier run measured of the same page and preset."""
    rows: list[dict[str, object]] = [row]
    if RESULTS.is_file():
        with RESULTS.open(encoding="utf-8", newline="") as file:
            rows += [
                old for old in csv.DictReader(file) if (old["page"], old["preset"]) != (row["page"], row["preset"])
            ]
    write_csv(RESULTS, list(row), sorted(rows, key=lambda entry: (str(entry["page"]), str(entry["preset"]))))


def main() -> None:
    """Measure the pages named on the command line, or all of them, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", help="paths under _build/html; all pages if none is given")
    parser.add_argument("--runs", type=int, default=3, help="Lighthouse runs of which the median counts")
    arguments = parser.parse_args()
    found = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    if not found:
        parser.error("there is no site in _build/html: run 'python -m tools.book' first")
    unknown = set(arguments.pages) - set(found)
    if unknown:
        parser.error(f"no such page: {', '.join(sorted(unknown))}; pages are {', '.join(found)}")
    for row in measure(arguments.pages or found, arguments.runs):
        record(row)
        print(*list(row.values())[:12], flush=True)


if __name__ == "__main__":
    main()
