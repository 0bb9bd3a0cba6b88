"""Make the student notebooks of exercises/ from their one source each, `exercise.md`.

``python -m tools.exercises [--check]``: what stands between the markers of a code cell is the solution; students get
a line that raises NotImplementedError in its place. With ``--check`` nothing is written.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import normalise, read_source, serialise, write

ROOT = Path(__file__).resolve().parent.parent
EXERCISES = ROOT / "exercises"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
SOLUTION = re.compile(rf"^([ \t]*){BEGIN}\n.*?^[ \t]*{END}[ \t]*$", re.DOTALL | re.MULTILINE)


def stub(source: str) -> str:
    r"""Return the code of a cell with every solution taken out.

    Raises ValueError where a marker lacks its partner.

    >>> print(stub("def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"))
    def f():
        raise NotImplementedError("not written yet")
    """
    stripped = SOLUTION.sub(r'\1raise NotImplementedError("not written yet")', source)
    if BEGIN in stripped or END in stripped:
        raise ValueError(f"a marker lacks its partner; expected {BEGIN!r} and {END!r} in pairs, in:\n{source}")
    return stripped


def solution(source: Path) -> list[str]:
    """Return the code cells of an exercise with their solutions: a submission that earns every point."""
    return [cell.source for cell in read_source(source).cells if cell.cell_type == "code"]


def student_notebook(source: Path) -> NotebookNode:
    """Return the student notebook of an `exercise.md`: solutions taken out, nothing executed."""
    nb = read_source(source)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.source = stub(cell.source)
        elif BEGIN in cell.source or END in cell.source:
            raise ValueError(f"{source.parent.name}: a marker stands in the text; expected it in a code cell")
    return normalise(nb)


def main(arguments: list[str] | None = None) -> int:
    """Write every student notebook; or with --check return 1 where one is not that of its source."""
    parser = argparse.ArgumentParser(prog="python -m tools.exercises", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say which notebooks are out of date")
    options = parser.parse_args(arguments)
    stale = 0
    for source in sorted(EXERCISES.glob("*/exercise.md")):
        nb, target = student_notebook(source), source.with_name("student.ipynb")
        if not options.check:
            write(nb, target)
        elif not target.exists() or target.read_bytes() != serialise(nb):
            stale = 1
            print(f"{source.parent.name}: student.ipynb is not that of exercise.md; run python -m tools.exercises")
    return stale


if __name__ == "__main__":
    sys.exit(main())
