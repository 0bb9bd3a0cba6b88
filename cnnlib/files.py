"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when all of it is on the disk.

    Until then a file of the old contents stays as it was, whatever stops the process; an exception inside leaves
    nothing behind.

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
