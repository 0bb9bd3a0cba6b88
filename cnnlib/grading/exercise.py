"""The student's side: check a function on freshly drawn inputs, and say what is wrong without saying what is right."""

from __future__ import annotations

import copy
import html
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnnlib.grading.compare import PartMark, mark_part
from cnnlib.grading.runner import to_arrays
from cnnlib.grading.spec import Arguments, Arrays, Question, load


@dataclass(frozen=True)
class Report:
    """What a check found. It shows itself; `arguments` are those of the first call that went wrong."""

    question: Question
    parts: tuple[PartMark, ...]
    seed: int

    @property
    def passed(self) -> bool:
        """Whether every part is right."""
        return all(part.passed for part in self.parts)

    @property
    def arguments(self) -> Arguments | None:
        """The arguments of the first call that went wrong, or None; pass them on to look at it step by step."""
        return next((part.arguments for part in self.parts if not part.passed), None)

    @property
    def diagnosis(self) -> str:
        """The first mistake that was recognised, or an empty string."""
        return next((part.diagnosis for part in self.parts if part.diagnosis), "")

    def __str__(self) -> str:
        lines = [f"{self.question.name} · {self.question.title}"]
        lines += [f"  {'right' if part.passed else 'WRONG'}  {part.title}" for part in self.parts]
        failed = [part for part in self.parts if not part.passed]
        if not failed:
            return "\n".join([*lines, "All parts are right on these inputs; run it again for others."])
        lines += ["", f"First to go wrong, in “{failed[0].title}”:", f"  {failed[0].call}", f"  {failed[0].message}"]
        if failed[0].diagnosis:
            lines += ["", failed[0].diagnosis]
        lines += [
            "",
            f"The same inputs again: seed={self.seed}. The arguments of that call: .arguments of this report.",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<pre style="white-space: pre-wrap">{html.escape(str(self))}</pre>'


class Exercise:
    """An assignment, to check answers against.

    >>> exercise = Exercise("04_convolution_arithmetic")
    >>> exercise.check("q4", lambda kernels: kernels[:, 0, 0] > 0).passed
    False

    Raises ValueError, listing the known ones, where there is no exercise of that name.
    """

    def __init__(self, name: str):
        self.assignment = load(name)

    def __repr__(self) -> str:
        questions = ", ".join(f"{q.name} {q.function}" for q in self.assignment.questions)
        return f"Exercise({self.assignment.name!r}): {questions}"

    def check(self, question: str, function: Callable[..., object], *, seed: int | None = None) -> Report:
        """Call `function` on inputs drawn afresh and report the first place where it goes wrong.

        `seed` draws the inputs of an earlier report again. Nothing that the function raises escapes, but Ctrl-C does.
        Raises ValueError where there is no such question, or `function` cannot be called.

        >>> Exercise("04_convolution_arithmetic").check("q1", lambda *_: (1, 0), seed=1).parts[0].earned
        0
        """
        asked = self.assignment.question(question)
        if not callable(function):
            raise ValueError(f"function is {function!r}; expected the function {asked.function}, without brackets")
        if seed is None:
            seed = int(np.random.default_rng().integers(1_000_000))
        rng = np.random.default_rng(seed)
        parts = []
        for part in asked.parts:
            calls = part.draw(rng)
            answers = [_answer(function, call, len(asked.outputs)) for call in calls]
            parts.append(mark_part(asked, part, calls, answers))
        return Report(asked, tuple(parts), seed)


def _answer(function: Callable[..., object], call: Arguments, outputs: int) -> Arrays | str:
    try:
        value = function(*copy.deepcopy(list(call.values())))
    except Exception as error:
        return f"it raised {type(error).__name__}: {error}"
    try:
        return to_arrays(value, outputs)
    except ValueError as error:
        return str(error)
