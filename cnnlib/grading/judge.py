"""Mark a submission: draw inputs, have its functions called in the sandbox, compare what comes back.

Nothing of the submission runs in this process, and nothing of this process can be seen from the sandbox but the drawn
inputs.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnlib.grading import sandbox
from cnnlib.grading.compare import PartMark, mark_part
from cnnlib.grading.runner import SECONDS, pack
from cnnlib.grading.spec import Arguments, Arrays, Assignment, Question
from cnnlib.grading.submission import Submission
from cnnlib.grading.wire import WireError, printable, read_answers, read_frame

ALONE_SECONDS = 12.0  # for a question that is asked again by itself
Drawn = dict[str, list[list[Arguments]]]  # question → part → calls


@dataclass(frozen=True)
class QuestionMark:
    """The marks of one question, part by part."""

    question: Question
    parts: tuple[PartMark, ...]

    @property
    def earned(self) -> int:
        """The points earned."""
        return sum(part.earned for part in self.parts)


@dataclass(frozen=True)
class Mark:
    """The marks of one submission."""

    submission: str
    assignment: Assignment
    questions: tuple[QuestionMark, ...]
    notes: tuple[str, ...]  # what went wrong while its cells were read
    problem: str  # why nothing could be run, or ""
    graded: bool  # False where the fault is the judge's: no mark can be given
    seed: int
    seconds: float

    @property
    def earned(self) -> int:
        """The points earned."""
        return sum(question.earned for question in self.questions)


def mark(assignment: Assignment, submission: Submission, seed: int) -> Mark:
    """Mark one submission; `seed` and its name decide the inputs. Nothing that is wrong with it is raised.

    Where the sandbox fails, the mark says so and is not `graded`.
    """
    started = time.perf_counter()
    drawn = draw(assignment, submission.name, seed)
    answers: dict[str, list[list[Arrays | str]]] = {}
    notes: list[str] = []
    problem, graded = submission.problem, True
    if not problem:
        try:
            answers, notes = ask(assignment, submission.cells, drawn)
        except sandbox.SandboxError as error:
            problem, graded = f"Not marked: {error}", False
    questions = tuple(
        mark_question(question, drawn[question.name], answers.get(question.name), problem)
        for question in assignment.questions
    )
    seconds = time.perf_counter() - started
    return Mark(submission.name, assignment, questions, tuple(notes), problem, graded, seed, seconds)


def draw(assignment: Assignment, name: str, seed: int) -> Drawn:
    """Draw the inputs of a submission: its own, the same again for the same seed and name."""
    digest = hashlib.sha256(f"{assignment.name}\n{name}".encode(errors="replace")).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    return {question.name: [part.draw(rng) for part in question.parts] for question in assignment.questions}


def mark_question(
    question: Question, drawn: list[list[Arguments]], answers: list[list[Arrays | str]] | None, problem: str
) -> QuestionMark:
    """Mark the answers to one question; without answers it earns nothing."""
    if answers is None:
        reason = problem or f"{question.function} ended the process, or froze it: there is no answer."
        return QuestionMark(
            question, tuple(PartMark(part.title, 0, part.points, message=reason) for part in question.parts)
        )
    parts = zip(question.parts, drawn, answers, strict=True)
    return QuestionMark(question, tuple(mark_part(question, part, calls, given) for part, calls, given in parts))


def ask(
    assignment: Assignment, cells: tuple[str, ...], drawn: Drawn
) -> tuple[dict[str, list[list[Arrays | str]]], list[str]]:
    """Have all questions answered in one sandbox; what is missing then is asked again, each question by itself."""
    answers, notes, loaded = _ask(assignment.questions, cells, drawn, sandbox.WALL_SECONDS)
    if not loaded:
        return {}, ["The code ended the process, or froze it, while its cells were being read."]
    missing = [question for question in assignment.questions if question.name not in answers]
    for question in missing:
        again, _, _ = _ask((question,), cells, drawn, ALONE_SECONDS)
        answers.update(again)
    return answers, notes


def _ask(
    questions: tuple[Question, ...], cells: tuple[str, ...], drawn: Drawn, wall: float
) -> tuple[dict[str, list[list[Arrays | str]]], list[str], bool]:
    arrays: dict[str, np.ndarray] = {}
    request = {
        "cells": list(cells),
        "seconds": SECONDS,
        "questions": [_request(question, drawn[question.name], arrays) for question in questions],
    }
    answers: dict[str, list[list[Arrays | str]]] = {}
    notes: list[str] = []
    loaded = False
    for frame in sandbox.run(pack(request, arrays), wall=wall):
        try:
            message, returned = read_frame(frame)
            if isinstance(message.get("notes"), list):
                loaded = True
                notes = [printable(note) for note in message["notes"][:20] if isinstance(note, str)]
            for question in questions:
                if message.get("question") == question.name:
                    answers[question.name] = _by_part(question, drawn[question.name], message, returned)
        except WireError:  # forged: whoever forges answers has given none
            continue
    return answers, notes, loaded


def _request(question: Question, drawn: list[list[Arguments]], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the JSON of one question; its arrays are added to `arrays`."""
    calls = []
    for call in (call for calls in drawn for call in calls):
        arguments: list[Any] = []
        for value in call.values():
            if isinstance(value, np.ndarray):
                key = f"a{len(arrays)}"
                arrays[key] = value
                arguments.append({"array": key})
            else:
                arguments.append(value)
        calls.append(arguments)
    return {"name": question.name, "function": question.function, "outputs": len(question.outputs), "calls": calls}


def _by_part(
    question: Question, drawn: list[list[Arguments]], message: dict[str, Any], returned: dict[str, np.ndarray]
) -> list[list[Arrays | str]]:
    """Return the answers of one frame, part by part."""
    flat = iter(read_answers(message, returned, sum(map(len, drawn)), len(question.outputs)))
    return [[next(flat) for _ in calls] for calls in drawn]
