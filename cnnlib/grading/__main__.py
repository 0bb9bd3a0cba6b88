"""Mark submissions.

Every file in SUBMISSIONS, a notebook (.ipynb) or a Python file (.py), is one submission; its functions are called in a
sandbox on inputs drawn for it alone. DIR receives grades.csv and, for each submission, feedback/NAME.md to read,
json/NAME.json, and gradescope/NAME.json in the form of Gradescope's results.json. Whatever a submission is or does,
it gets a row and its feedback. Linux only; needs bubblewrap.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cnnlib.grading import sandbox
from cnnlib.grading.judge import Mark, mark
from cnnlib.grading.reports import FOLDERS, stems, write_grades, write_submission
from cnnlib.grading.spec import Assignment, known, load
from cnnlib.grading.submission import Submission, find, read
from cnnlib.grading.wire import printable


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cnnlib.grading", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submissions", metavar="SUBMISSIONS", type=Path, help="folder of submissions, or a single one")
    parser.add_argument(
        "--exercise", required=True, metavar="NAME", help=f"what was set: {', '.join(known())}", choices=known()
    )
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="folder to write to; made if missing")
    parser.add_argument(
        "--seed", type=natural, help="draw the inputs of an earlier run again; its number is in each json/NAME.json"
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=min(4, os.cpu_count() or 1),
        help=f"submissions marked at once, each with up to {sandbox.MEMORY_BYTES / 1e9:g} GB (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def natural(text: str) -> int:
    """Return an integer of at least 0, or raise the error that argparse shows."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a whole number of at least 0")
    return int(text)


def positive(text: str) -> int:
    """Return an integer of at least 1, or raise the error that argparse shows."""
    if natural(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a whole number of at least 1")
    return int(text)


def prepare(out: Path) -> None:
    """Make the folders to write to, and find out now whether they can be written."""
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out / folder):
            pass


def mark_file(path: Path, assignment: Assignment, seed: int) -> Mark:
    """Mark one file. A failure of the judge itself becomes a mark that is not `graded`: it stops no batch."""
    submission = Submission(printable(path.name))
    try:
        submission = read(path)
        return mark(assignment, submission, seed)
    except Exception as error:
        problem = f"Not marked: the judge failed ({type(error).__name__}: {error})"
        return Mark(submission.name, assignment, (), (), problem, False, seed, 0.0)


def mark_all(paths: list[Path], assignment: Assignment, out: Path, seed: int, jobs: int) -> list[Mark]:
    """Mark all files, several at once, and write the files of each as soon as it is marked; grades.csv comes last."""
    names = stems([os.fsencode(path.name).decode(errors="replace") for path in paths])
    marks: dict[int, Mark] = {}
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(mark_file, path, assignment, seed): i for i, path in enumerate(paths)}
        try:
            for future in tqdm(as_completed(waiting), total=len(paths), unit="submission", desc=assignment.name):
                i = waiting[future]
                marks[i] = future.result()
                write_submission(out, names[i], marks[i])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    ordered = [marks[i] for i in range(len(paths))]
    write_grades(out, assignment, list(zip(names, ordered, strict=True)))
    return ordered


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 1 where a submission could not be marked, for no fault of its own, 2 on misuse."""
    options = parse(arguments)
    assignment = load(options.exercise)
    seed = options.seed if options.seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
    try:
        paths = find(options.submissions, options.out)
        sandbox.require()
        prepare(options.out)
        marks = mark_all(paths, assignment, options.out, seed, options.jobs)
    except (ValueError, sandbox.SandboxError, OSError) as error:
        print(f"python -m cnnlib.grading: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("python -m cnnlib.grading: stopped; grades.csv was not written", file=sys.stderr)
        return 130
    graded = [one for one in marks if one.graded]
    mean = sum(one.earned for one in graded) / max(1, len(graded))
    print(f"{len(graded)} marked, on average {mean:.3g} of {assignment.points} points: {options.out / 'grades.csv'}")
    if len(graded) < len(marks):
        print(f"{len(marks) - len(graded)} could not be marked: see the column “status”", file=sys.stderr)
    return 0 if len(graded) == len(marks) else 1


if __name__ == "__main__":
    sys.exit(main())
