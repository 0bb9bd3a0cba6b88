"""Shared by the tests of grading: batches of submissions, run through the command line."""

import csv
import json
from pathlib import Path

from cnnlib.grading.__main__ import main
from cnnlib.grading.spec import load
from tools.exercises import EXERCISES, solution

NAME = "04_convolution_arithmetic"
ASSIGNMENT = load(NAME)
SOURCE = EXERCISES / NAME / "exercise.md"
WRONG = sorted((EXERCISES / NAME / "wrong").glob("*.py"))


def header(path: Path) -> dict[str, str]:
    """Return the `# name: value` lines at the top of a wrong answer or a cheat."""
    lines = path.read_text().splitlines()
    return dict(line[2:].split(": ", 1) for line in lines[:3] if line.startswith("# ") and ": " in line)


def notebook(cells: list[str]) -> str:
    """Return the JSON of a notebook with these code cells."""
    code = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": []} for source in cells]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": code})


def solved() -> list[str]:
    """Return the code cells of the solution."""
    return solution(SOURCE)


def grade(submissions: Path, out: Path, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run the command line; return its exit status and the rows of grades.csv by submission."""
    status = main([str(submissions), "--exercise", NAME, "--out", str(out), "--jobs", "4", *options])
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["submission"] for row in rows}) == len(rows)
    return status, {row["submission"]: row for row in rows}
