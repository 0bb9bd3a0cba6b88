"""Compare what a function returned with what is right, and say where it differs; never what is right."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnlib.grading.runner import to_arrays
from cnnlib.grading.spec import Arguments, Arrays, Part, Question

TOLERANCE = 1e-6  # of the largest expected number: float32 passes, every mistake is far outside


@dataclass(frozen=True)
class PartMark:
    """What one part earned, and why it did not earn more."""

    title: str
    earned: int
    points: int
    call: str = ""  # the first call that went wrong
    message: str = ""  # where its answer differs
    diagnosis: str = ""  # the mistake, where it is recognised
    arguments: Arguments | None = None  # of that call

    @property
    def passed(self) -> bool:
        """Whether all its points were earned."""
        return self.earned == self.points


def mark_part(question: Question, part: Part, calls: list[Arguments], answers: list[Arrays | str]) -> PartMark:
    """Mark the answers (arrays, or in words why there are none) to the drawn calls of one part."""
    expected = [expected_arrays(question, question.reference, call) for call in calls]
    for call, answer, right in zip(calls, answers, expected, strict=True):
        if isinstance(answer, str):
            message = answer
        elif not (message := _first_difference(question, part, answer, right)):
            continue
        diagnosis = diagnose(question, part, calls, answers, expected)
        return PartMark(part.title, 0, part.points, show_call(question, call), message, diagnosis, call)
    return PartMark(part.title, part.points, part.points)


def expected_arrays(question: Question, function: Callable[..., object], call: Arguments) -> Arrays:
    """Return what the question's reference, or one of its mistakes, makes of the arguments."""
    values = [value.copy() if isinstance(value, np.ndarray) else value for value in call.values()]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return to_arrays(function(*values), len(question.outputs))


def _looked_at(question: Question, part: Part) -> range:
    return range(len(question.outputs)) if part.output is None else range(part.output, part.output + 1)


def _first_difference(question: Question, part: Part, answer: Arrays, right: Arrays) -> str:
    for i in _looked_at(question, part):
        if where := difference(question.outputs[i], answer[i], right[i]):
            return where
    return ""


def difference(name: str, actual: np.ndarray, expected: np.ndarray) -> str:
    """Return in words where two arrays differ first, or "" where they do not.

    >>> difference("y", np.zeros((2, 2)), np.zeros((2, 3)))
    'y has shape (2, 2); expected shape (2, 3)'
    >>> difference("y", np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    'y[1] differs: yours is 2 (1 of 2 numbers differ)'
    """
    if actual.shape != expected.shape:
        if not expected.shape:
            return f"{name} has shape {actual.shape}; expected one number"
        return f"{name} has shape {actual.shape}; expected shape {expected.shape}"
    wrong = ~close(actual, expected)
    if not wrong.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    yours = f"yours is {actual[index]:.6g}" if actual.dtype.kind != "b" else f"yours is {bool(actual[index])}"
    if not expected.shape:
        return f"{name} is wrong: {yours}"
    return f"{name}[{', '.join(map(str, index))}] differs: {yours} ({wrong.sum()} of {wrong.size} numbers differ)"


def close(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return, element by element, whether the numbers agree; a NaN agrees with nothing."""
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    scale = max(1.0, float(np.abs(b).max(initial=0.0)))
    with np.errstate(all="ignore"):  # inf − inf
        return np.abs(a - b) <= TOLERANCE * scale


def diagnose(
    question: Question, part: Part, calls: list[Arguments], answers: list[Arrays | str], expected: list[Arrays]
) -> str:
    """Return the mistake, or the broken law, that explains the answers to all calls; "" where none does."""
    answered = [(c, a, e) for c, a, e in zip(calls, answers, expected, strict=True) if not isinstance(a, str)]
    if not answered:
        return ""
    for mistake in question.mistakes:
        if _explains(question, part, mistake.answer, answered):
            return mistake.says
    for law in question.laws:
        if law.output not in _looked_at(question, part):
            continue
        for call, answer, right in answered:
            with np.errstate(all="ignore"):  # of infinite answers
                if answer[law.output].shape == right[law.output].shape and not law.holds(call, answer):
                    return law.says
    return ""


def _explains(
    question: Question,
    part: Part,
    mistaken: Callable[..., object],
    answered: list[tuple[Arguments, Arrays, Arrays]],
) -> bool:
    """Whether the mistake gives every one of these answers, at least one of which is wrong."""
    seen = False
    for call, answer, right in answered:
        try:
            wrong = expected_arrays(question, mistaken, call)
        except (ValueError, IndexError):  # this mistake cannot be made with these arguments
            return False
        if _first_difference(question, part, answer, wrong):
            return False
        seen = seen or bool(_first_difference(question, part, wrong, right))
    return seen


def show_call(question: Question, call: Arguments) -> str:
    """Write a call with its numbers, and the shapes of its arrays."""

    def show(name: str, value: Any) -> str:
        return f"{name} of shape {value.shape}" if isinstance(value, np.ndarray) else f"{name}={value}"

    return f"{question.function}({', '.join(show(name, value) for name, value in call.items())})"
