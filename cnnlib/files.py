"""Files that are there whole, or not at all."""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when all of it is on the disk.

    Until then a file of the old contents stays as it was, whatever stops the process; an exception inside leaves
    nothing behind. A process that is killed leaves its part under another name.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new"
    >>> with whole(path) as file:
    ...     _ = file.write(b"abc")
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'abc', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, all or nothing; raises OSError, naming the file, where that cannot be done.

    What processes that were killed have left of it is removed: nobody else may be writing it.

    >>> write_whole(Path(__file__) / "new", b"abc")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    FileExistsError: [Errno 17] cannot write ...new: File exists
    """
    try:
        with whole(path) as file:
            file.write(content)
        _clear_partials(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error


def write_csv(path: Path, fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file of rows that all have these fields, all or nothing; raises OSError as `write_whole`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.csv"
    >>> write_csv(path, ["epoch", "loss"], [{"epoch": 1, "loss": 0.5}])
    >>> path.read_text().split()
    ['epoch,loss', '1,0.5']
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def _clear_partials(path: Path) -> None:
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        partial.unlink(missing_ok=True)
