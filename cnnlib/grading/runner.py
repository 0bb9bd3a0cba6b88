"""Run a submission inside the sandbox: arrays in, arrays out.

This file is the only part of cnnlib that a submission can see. It holds no expected answer and is imported by
nobody but the judge's packer: in the sandbox it is started as a script, with the standard library and NumPy beside it.
It reads one `.npz` from standard input (a JSON request and the drawn arrays) and writes frames to standard
output: eight bytes of length, then a `.npz` of the same form.
"""

from __future__ import annotations

import ast
import io
import json
import os
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

import numpy as np

SECONDS = {"load": 8.0, "call": 3.0, "question": 5.0}  # for all cells, for one call, for all calls of a question
NOBODY = 65534
JSON_KEY = "json"
TEXT_LIMIT = 300  # characters of an error message
NUMBERS = "biuf"  # dtype kinds that a returned array may have


class OutOfTimeError(BaseException):
    """Raised by the alarm. Not an Exception, so that `except Exception` in a submission lets it through."""


def pack(message: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Return a `.npz` that holds `message` as JSON beside the arrays."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(message).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **{JSON_KEY: text}, **arrays)
    return buffer.getvalue()


def to_arrays(value: object, outputs: int) -> list[np.ndarray]:
    """Return what a function returned as `outputs` plain numeric arrays.

    Raises ValueError, in words for a student, where it is something else.

    >>> to_arrays((3, 1), 2)
    [array(3), array(1)]
    """
    values: list[Any] = [value]
    if outputs > 1:
        if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != outputs:
            count = f" of {len(value)}" if isinstance(value, (tuple, list, np.ndarray)) else ""
            raise ValueError(f"it returned a {type(value).__name__}{count} where {outputs} values are expected")
        values = list(value)
    arrays = []
    for one in values:
        if one is None:
            raise ValueError("it returned None: is a return statement missing?")
        array = np.array(one, subok=False, order="C")
        if array.dtype.kind not in NUMBERS or array.dtype.itemsize > 8:
            raise ValueError(f"it returned a {type(one).__name__} of dtype {array.dtype} where numbers are expected")
        arrays.append(array)
    return arrays


def describe_error(error: BaseException) -> str:
    """Return one line: the kind of error, its message, and the last line of the submission that was reached."""
    if isinstance(error, OutOfTimeError):
        return "it took too long and was stopped"
    try:
        message = str(error)
    except BaseException:  # a submission may define its own exceptions, with a broken __str__
        message = "(no readable message)"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("cell ")]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message}"[:TEXT_LIMIT] + where


def without_magics(source: str) -> str:
    """Return the source with notebook magics (`%pip`, `!ls`) taken out; it must not parse as it stands."""
    lines = source.lstrip("\n").splitlines()
    if lines and lines[0].startswith("%%"):
        if not lines[0].startswith(("%%time", "%%capture", "%%prun")):
            return ""  # a cell in another language
        lines[0] = "pass"
    plain = []
    for line in lines:
        bare = line.lstrip()
        plain.append(line[: len(line) - len(bare)] + "pass" if bare.startswith(("%", "!")) else line)
    return "\n".join(plain)


def parse_cell(source: str, name: str) -> ast.Module:
    """Parse a cell, taking magics out where it is not Python as it stands."""
    try:
        return ast.parse(source, name)
    except SyntaxError:
        return ast.parse(without_magics(source), name)


def load(cells: list[str], namespace: dict[str, Any], seconds: float) -> list[str]:
    """Run the cells statement by statement, so that one that fails costs only itself; return what went wrong."""
    notes: list[str] = []
    try:
        alarm(seconds)
        for number, source in enumerate(cells, 1):
            name = f"cell {number}"
            try:
                tree = parse_cell(source, name)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
                notes.append(f"{name}{line}: not Python ({str(error)[:TEXT_LIMIT]})")
                continue
            for statement in tree.body:
                try:
                    exec(compile(ast.Module([statement], []), name, "exec"), namespace)
                except OutOfTimeError:
                    raise
                except BaseException as error:  # SystemExit and KeyboardInterrupt included
                    notes.append(describe_error(error))
    except OutOfTimeError:
        notes.append(f"the cells took more than {seconds:g} s: reading stopped")
    alarm(0)
    return notes[:20]


def alarm(seconds: float) -> None:
    """Raise OutOfTimeError after so many seconds, and again and again if it is swallowed; 0 stops the clock."""

    def ring(_number: int, _frame: object) -> NoReturn:
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2 if seconds else 0.0)


def call(function: Callable[..., object], arguments: list[Any], outputs: int, seconds: float) -> list[np.ndarray] | str:
    """Call the function; return its arrays, or in words why there are none."""
    try:
        try:
            alarm(seconds)
            return to_arrays(function(*arguments), outputs)
        finally:
            alarm(0)
    except BaseException as error:
        alarm(0)  # it may have rung once more while it was being stopped
        returned = isinstance(error, ValueError) and str(error).startswith("it returned")
        return str(error) if returned else f"it raised {describe_error(error)}".replace("it raised it took", "it took")


def answer_question(
    question: dict[str, Any], drawn: dict[str, np.ndarray], namespace: dict[str, Any], seconds: dict[str, float]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Call the function of one question on all its drawn arguments."""
    answers: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    function = namespace.get(question["function"])
    end = time.monotonic() + seconds["question"]
    for i, arguments in enumerate(question["calls"]):
        values = [drawn[a["array"]].copy() if isinstance(a, dict) else a for a in arguments]
        left = end - time.monotonic()
        if not callable(function):
            answers.append({"error": f"there is no function named {question['function']}"})
        elif left <= 0:
            answers.append({"error": "it was not called: earlier calls had used up the time"})
        else:
            result = call(function, values, question["outputs"], min(left, seconds["call"]))
            if isinstance(result, str):
                answers.append({"error": result})
                continue
            keys = [f"{i}_{j}" for j in range(len(result))]
            arrays.update(zip(keys, result, strict=True))
            answers.append({"arrays": keys})
    return {"question": question["name"], "answers": answers}, arrays


def send(out: BinaryIO, message: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
    """Write one frame."""
    frame = pack(message, arrays or {})
    out.write(len(frame).to_bytes(8, "big") + frame)
    out.flush()


def lock_down() -> None:
    """Give up making processes and threads, and root where we are root: no kernel limits its processes."""
    import resource

    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def pretend_cnnlib() -> None:
    """Let `from cnnlib.grading import Exercise` and `exercise.check(…)` of a notebook pass, doing nothing."""

    class Exercise:
        def __init__(self, *_names: object) -> None: ...

        def check(self, *_arguments: object, **_options: object) -> None: ...

    package, grading = types.ModuleType("cnnlib"), types.ModuleType("cnnlib.grading")
    grading.Exercise = package.Exercise = Exercise  # type: ignore[attr-defined]
    package.grading = grading  # type: ignore[attr-defined]
    sys.modules.update({"cnnlib": package, "cnnlib.grading": grading})


def main() -> None:
    """Serve one request and end without running anything that a submission may have left behind."""
    out = os.fdopen(os.dup(1), "wb")
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as archive:
        drawn = {key: archive[key] for key in archive.files}
    request = json.loads(drawn.pop(JSON_KEY).tobytes())
    lock_down()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):  # nothing left to read; what a submission prints goes nowhere
        os.dup2(null, standard)
    send(out, {"ready": True})
    pretend_cnnlib()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    send(out, {"notes": load(request["cells"], namespace, request["seconds"]["load"])})
    for question in request["questions"]:
        send(out, *answer_question(question, drawn, namespace, request["seconds"]))
    os._exit(0)


if __name__ == "__main__":
    main()
