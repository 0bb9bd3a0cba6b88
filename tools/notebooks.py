"""Turn the chapters of book/chapters into executed notebooks, the same bytes on every run.

``python -m tools.notebooks [NAME …]`` executes the named chapters, all of them by default; with ``--check`` it executes
nothing and says where a notebook is not that of its source.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools import notebook_checks

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "book" / "chapters"
NOTEBOOKS = ROOT / "notebooks"

TIMEOUT = 300  # seconds a cell
SKIP = "skip-execution"
METADATA: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NotebookError(Exception):
    """A notebook that could not be made; the message names the chapter and the cell."""


def read_source(path: Path) -> NotebookNode:
    """Read a MyST text notebook; a cell tagged skip-execution is tagged for nbval as well."""
    nb = jupytext.read(path, fmt="md:myst")
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if SKIP in tags and "nbval-skip" not in tags:
            cell.metadata["tags"] = [*tags, "nbval-skip"]
    return normalise(nb)


def environment() -> dict[str, str]:
    """Variables of the kernel: one thread, no GPU, no data folder, nothing of the user's settings."""
    dropped = {"CNNLIB_DATA", "MPLBACKEND", "OPENBLAS_CORETYPE", "PYTHONWARNINGS", "IPYTHONDIR"}
    variables = {name: value for name, value in os.environ.items() if name not in dropped}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return (
        variables
        | threads
        | {
            "CNNLIB_STATIC": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(ROOT),
            "MATPLOTLIBRC": os.devnull,
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
    )


def execute(nb: NotebookNode, cwd: Path) -> NotebookNode:
    """Execute a notebook in place, in the folder `cwd`, and return it normalised.

    Raises NotebookError, with the cell and the traceback, where a cell raises, hangs or kills its kernel.
    """
    importlib.import_module("matplotlib.font_manager")  # its first import may print; better here than in a cell
    started: list[int] = []
    client = NotebookClient(
        nb,
        timeout=TIMEOUT,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=40"],  # or it warns that it speaks over TCP
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": str(cwd)}},
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    with tempfile.TemporaryDirectory() as profile:
        try:
            client.execute(env=environment() | {"IPYTHONDIR": profile})
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise NotebookError(_failure(nb, started, error)) from None
    return normalise(nb)


def _failure(nb: NotebookNode, started: list[int], error: Exception) -> str:
    if not started:
        return f"the kernel did not start: {error}"
    stopped = notebook_checks.label(nb, started[-1])
    for output in nb.cells[started[-1]].get("outputs", []):
        if output.output_type == "error":
            return f"{stopped} raised:\n" + ANSI.sub("", "\n".join(output.traceback))
    return f"{stopped} did not finish: {ANSI.sub('', str(error))}"


def normalise(nb: NotebookNode) -> NotebookNode:
    """Give a notebook, in place, the form in which it is stored: what varies from run to run is removed."""
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata = nbformat.from_dict(METADATA)
    seen: dict[str, int] = {}
    for cell in nb.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs = _joined([_stored(output) for output in cell.get("outputs", [])])
            cell.setdefault("execution_count", None)
    return nb


def _stored(output: NotebookNode) -> NotebookNode:
    data = output.get("data", {})
    if "text/html" in data:  # the static page shows the HTML; a view without its model breaks renderers
        data.pop(WIDGET_VIEW, None)
    return output


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where the kernel cuts it depends on timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def serialise(nb: NotebookNode) -> bytes:
    """Return the bytes of a notebook: sorted keys, LF, one newline at the end; an invalid notebook raises."""
    nbformat.validate(nb)
    return (nbformat.writes(nb, version=nbformat.NO_CONVERT).rstrip("\n") + "\n").encode()


def write(nb: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all."""
    content = serialise(nb)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def generate(source: Path, target: Path) -> None:
    """Execute the chapter `source` in an empty folder and write it to `target`; NotebookError leaves `target` alone."""
    nb = read_source(source)
    _refuse(source, notebook_checks.source_problems(nb))
    with tempfile.TemporaryDirectory() as cwd:
        try:
            execute(nb, Path(cwd))
        except NotebookError as error:
            raise NotebookError(f"{source.stem}: {error}") from None
        _refuse(source, notebook_checks.output_problems(nb, machine=(cwd, str(ROOT), sys.prefix)))
    write(nb, target)


def _refuse(source: Path, problems: list[str]) -> None:
    if problems:
        raise NotebookError("\n".join(f"{source.stem}: {problem}" for problem in problems))


def check(source: Path, target: Path) -> list[str]:
    """Return where the notebook `target` is not that of its `source`, without executing anything."""
    name = target.stem
    if not source.exists():
        return [f"{name}: the notebook has no source in book/chapters"]
    if not target.exists():
        return [f"{name}: the source has no notebook"]
    nb = nbformat.read(target, as_version=nbformat.NO_CONVERT)
    expected = read_source(source)
    problems = notebook_checks.source_problems(expected)
    problems += notebook_checks.drift(nb, expected)
    problems += notebook_checks.order_problems(nb)
    problems += notebook_checks.output_problems(nb, machine=(str(ROOT), sys.prefix))
    if not problems and serialise(normalise(nb)) != target.read_bytes():
        problems = ["saved by something else than tools.notebooks"]
    return [f"{name}: {problem}" for problem in problems]


def _names(wanted: list[str]) -> list[str]:
    known = sorted({path.stem for path in [*SOURCES.glob("*.md"), *NOTEBOOKS.glob("*.ipynb")]})
    names = [Path(name).stem for name in wanted] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no chapter named {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    return names


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 1 where any chapter has a problem."""
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="chapters, such as 04_convolution_arithmetic")
    parser.add_argument("--check", action="store_true", help="execute nothing; say which notebooks are out of date")
    options = parser.parse_args(arguments)
    failures = 0
    for name in _names(options.names):
        source, target = SOURCES / f"{name}.md", NOTEBOOKS / f"{name}.ipynb"
        if options.check:
            problems = check(source, target)
            failures += bool(problems)
            print("\n".join(problems) if problems else f"{name}: up to date", flush=True)
            continue
        started = time.perf_counter()
        try:
            generate(source, target)
        except NotebookError as error:
            failures += 1
            print(error, file=sys.stderr, flush=True)
        else:
            print(f"{name}: executed in {time.perf_counter() - started:.1f} s", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
