"""Read a submission: a notebook or a Python file that anyone may have sent, as the text of its code cells."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_BYTES = 20_000_000  # a notebook with many figures has a few million
SOURCE_CHARACTERS = 500_000
SUFFIXES = (".ipynb", ".py")


@dataclass(frozen=True)
class Submission:
    """The code of a submission, cell by cell; or the problem that made it unreadable."""

    name: str
    cells: tuple[str, ...] = ()
    problem: str = ""


class UnreadableError(ValueError):
    """The file cannot be taken for a submission; the message completes "the file …"."""


def find(folder: Path, leave_out: Path) -> list[Path]:
    """Return what lies in the folder, sorted by name: every entry is a submission, readable or not.

    Left out are the folder that is written to and hidden files that are neither notebooks nor Python files. A path to
    a single file is a submission by itself. Raises ValueError where there is nothing.
    """
    if not folder.is_dir():
        if not folder.exists():
            raise ValueError(f"SUBMISSIONS is {str(folder)!r}; expected a folder or a file, and there is none")
        return [folder]
    entries = [
        path
        for path in folder.iterdir()
        if not (path.name.startswith(".") and path.suffix.lower() not in SUFFIXES)
        and os.path.realpath(path) != os.path.realpath(leave_out)
    ]
    if not entries:
        raise ValueError(f"SUBMISSIONS is {str(folder)!r}; expected .ipynb or .py files in it, and it is empty")
    return sorted(entries, key=lambda path: os.fsencode(path.name))


def read(path: Path) -> Submission:
    """Return the submission in a file; whatever is wrong with it is told in `problem`, never raised."""
    name = os.fsencode(path.name).decode(errors="replace")
    try:
        text = _read_text(path)
        cells = [text] if path.suffix.lower() == ".py" else _code_cells(text)
        if sum(map(len, cells)) > SOURCE_CHARACTERS:
            raise UnreadableError(f"holds more than {SOURCE_CHARACTERS:,} characters of code")
        if not any(cell.strip() for cell in cells):
            raise UnreadableError("holds no code")
    except UnreadableError as error:
        return Submission(name, problem=f"The file {error}.")
    except OSError as error:
        return Submission(name, problem=f"The file cannot be opened: {error.strerror}.")
    return Submission(name, tuple(cells))


def _read_text(path: Path) -> str:
    if path.is_symlink():
        raise UnreadableError("is a link: hand in the file itself")
    if path.is_dir():
        raise UnreadableError("is a folder: hand in one notebook")
    if path.suffix.lower() not in SUFFIXES:
        raise UnreadableError("is neither a notebook (.ipynb) nor a Python file (.py)")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a pipe would never end
            raise UnreadableError("is not a plain file")
        data = file.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise UnreadableError(f"is larger than {FILE_BYTES // 1_000_000} MB: clear the outputs and save it again")
    if not data.strip():
        raise UnreadableError("is empty")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 text (byte {error.start})") from error


def _code_cells(text: str) -> list[str]:
    try:
        notebook = json.loads(text)
    except RecursionError as error:
        raise UnreadableError("is nested too deeply to be a notebook") from error
    except ValueError as error:
        raise UnreadableError("is not a notebook: its JSON is broken") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("is not a notebook of version 4: it has no list of cells")
    return [_source(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if isinstance(source, str):
        return source
    raise UnreadableError("is not a notebook: the source of a cell is not text")
