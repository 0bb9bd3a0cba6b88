"""What an assignment is made of: questions, the parts that earn their points, drawn calls, known mistakes, laws."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arguments = dict[str, Any]  # name → array or int, in the order of the function's parameters
Arrays = list[np.ndarray]  # one for each value that a function returns


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that is recognised: `answer` takes what the question's function takes and makes the mistake."""

    says: str  # to the student, as a sentence
    answer: Callable[..., object]


@dataclass(frozen=True)
class Law:
    """A property of right answers that can be named without giving them away."""

    says: str
    holds: Callable[[Arguments, Arrays], bool]
    output: int = 0  # the returned value that the law is about


@dataclass(frozen=True)
class Part:
    """Points given when one returned value (`output`; all where it is None) is right on every drawn call."""

    title: str
    points: int
    draw: Callable[[np.random.Generator], list[Arguments]]
    output: int | None = None


@dataclass(frozen=True)
class Question:
    """One function to write. `outputs` names what it returns."""

    name: str
    title: str
    function: str
    outputs: tuple[str, ...]
    reference: Callable[..., object]
    parts: tuple[Part, ...]
    mistakes: tuple[Mistake, ...] = ()
    laws: tuple[Law, ...] = ()

    @property
    def points(self) -> int:
        """The points of all parts."""
        return sum(part.points for part in self.parts)


@dataclass(frozen=True)
class Assignment:
    """A named list of questions."""

    name: str
    title: str
    questions: tuple[Question, ...]

    @property
    def points(self) -> int:
        """The points of all questions."""
        return sum(question.points for question in self.questions)

    def question(self, name: str) -> Question:
        """Return the question of that name, or raise a ValueError that lists the names there are."""
        for question in self.questions:
            if question.name == name:
                return question
        raise ValueError(f"question is {name!r}; expected one of {', '.join(q.name for q in self.questions)}")


def known() -> list[str]:
    """Return the names of all assignments.

    >>> "04_convolution_arithmetic" in known()
    True
    """
    from cnnlib.grading import exercises

    return sorted(module.name for module in pkgutil.iter_modules(exercises.__path__) if module.name[0].isdigit())


def load(name: str) -> Assignment:
    """Return the assignment of that name, or raise a ValueError that lists the names there are.

    >>> load("04_convolution_arithmetic").points
    20
    """
    if name not in known():
        raise ValueError(f"exercise is {name!r}; expected one of {', '.join(known())}")
    module = importlib.import_module(f"cnnlib.grading.exercises.{name}")  # starts with a digit: no import statement
    assignment: Assignment = module.ASSIGNMENT
    return assignment
