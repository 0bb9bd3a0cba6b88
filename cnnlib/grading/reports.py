"""Write marks down: grades.csv for all, and for each submission feedback to read and two JSON files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnlib.grading.compare import PartMark
from cnnlib.grading.judge import Mark, QuestionMark
from cnnlib.grading.spec import Assignment
from cnnlib.grading.wire import printable

FOLDERS = {"feedback": ".md", "json": ".json", "gradescope": ".json"}


def stems(names: list[str]) -> list[str]:
    """Return a file name without suffix for each submission: plain ASCII, short, and each another.

    >>> stems(["ann.ipynb", "ANN.py", "../=x?.py", ".py"])
    ['ann', 'ANN-2', 'x', 'py']
    """
    taken: set[str] = set()
    chosen = []
    for name in names:
        base = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).stem)[:80].strip("._-") or "submission"
        stem, number = base, 2
        while stem.lower() in taken:  # some file systems do not tell case apart
            stem, number = f"{base}-{number}", number + 1
        taken.add(stem.lower())
        chosen.append(stem)
    return chosen


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
        os.chmod(partial, 0o644)  # mkstemp's files are private
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def write_submission(out: Path, stem: str, mark: Mark) -> None:
    """Write the three files of one submission."""
    texts = {"feedback": feedback(mark), "json": _json(own_form(mark)), "gradescope": _json(gradescope_form(mark))}
    for folder, suffix in FOLDERS.items():
        write_atomically(out / folder / f"{stem}{suffix}", texts[folder])


def write_grades(out: Path, assignment: Assignment, rows: list[tuple[str, Mark]]) -> None:
    """Write grades.csv, one row for each (stem, mark). It comes last: where it is, everything it names is."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    questions = [question.name for question in assignment.questions]
    table.writerow(["submission", "points", "of", "percent", *questions, "status", "feedback"])
    for stem, mark in rows:
        numbers: list[object] = [mark.earned, assignment.points, f"{100 * mark.earned / assignment.points:g}"]
        numbers += [question.earned for question in mark.questions]
        if not mark.graded:
            numbers = ["", assignment.points, "", *("" for _ in questions)]
        status = safe_cell(mark.problem or "marked")
        table.writerow([safe_cell(mark.submission), *numbers, status, f"feedback/{stem}.md"])
    write_atomically(out / "grades.csv", buffer.getvalue())


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula.

    >>> safe_cell("=1+1"), safe_cell("ann.py")
    ("'=1+1", 'ann.py')
    """
    line = printable(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def feedback(mark: Mark) -> str:
    """Return the feedback to read, in Markdown."""
    lines = [f"# {mark.assignment.title}: {_code(mark.submission)}", ""]
    if mark.graded:
        lines += [f"**{mark.earned} of {mark.assignment.points} points**", ""]
    if mark.problem:
        return "\n".join([*lines, _plain(mark.problem), ""])
    for question in mark.questions:
        lines += [*_question_lines(question), ""]
    if mark.notes:
        lines += ["## While the cells were read", ""]
        lines += ["Only the standard library and NumPy are there when an answer is marked.", ""]
        lines += [f"- {_code(note)}" for note in mark.notes] + [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _question_lines(mark: QuestionMark) -> list[str]:
    question = mark.question
    lines = [f"## {question.name} · {question.title}: {mark.earned} of {question.points}", ""]
    if mark.earned == 0 and len({(part.message, part.diagnosis) for part in mark.parts}) == 1:
        return [*lines, *_explanation(mark.parts[0])]  # the same everywhere: said once
    told = ""
    for part in mark.parts:
        lines.append(f"- **{'right' if part.passed else 'wrong'}** · {part.title} ({part.earned} of {part.points})")
        again = part.diagnosis and part.diagnosis == told
        shown = replace(part, diagnosis="The same mistake again.") if again else part
        lines += [f"  {line}".rstrip() for line in _explanation(shown)]
        told = part.diagnosis or told
    return lines


def _explanation(part: PartMark) -> list[str]:
    """Return what is said of a part that is not right: the mistake, then the call where it shows."""
    if part.passed:
        return []
    shown = [_code(part.call) + ":"] if part.call else []
    return ["", *([part.diagnosis, ""] if part.diagnosis else []), *shown, _code(part.message), ""]


def _code(text: str) -> str:
    """Return text as a code span: what a submission says is shown, never rendered."""
    return f"`{printable(text).replace('`', chr(39)) or ' '}`"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", printable(text))


def own_form(mark: Mark) -> dict[str, Any]:
    """Return the mark as JSON of our own form: everything that is known."""
    return {
        "exercise": mark.assignment.name,
        "submission": mark.submission,
        "graded": mark.graded,
        "points": mark.earned if mark.graded else None,
        "of": mark.assignment.points,
        "problem": mark.problem,
        "notes": list(mark.notes),
        "seed": mark.seed,
        "seconds": round(mark.seconds, 3),
        "questions": [
            {
                "name": one.question.name,
                "title": one.question.title,
                "points": one.earned,
                "of": one.question.points,
                "parts": [
                    {
                        "title": part.title,
                        "points": part.earned,
                        "of": part.points,
                        "call": part.call,
                        "message": part.message,
                        "diagnosis": part.diagnosis,
                    }
                    for part in one.parts
                ],
            }
            for one in mark.questions
        ],
    }


def gradescope_form(mark: Mark) -> dict[str, Any]:
    """Return the mark as Gradescope's results.json: https://gradescope-autograders.readthedocs.io/en/latest/specs/."""
    tests = [
        {
            "name": f"{one.question.name} · {part.title}",
            "score": part.earned,
            "max_score": part.points,
            "status": "passed" if part.passed else "failed",
            "output": "\n".join(_explanation(part)),
            "output_format": "md",
        }
        for one in mark.questions
        for part in one.parts
    ]
    notes = "\n".join(f"- {_code(note)}" for note in mark.notes)
    return {
        "score": mark.earned,
        "execution_time": round(mark.seconds, 3),
        "output": _plain(mark.problem) if mark.problem else notes,
        "output_format": "md",
        "tests": tests,
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
