"""What tools write into the pages of the book: tables between marks, pictures that say what they were drawn with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """Return a table; its first `texts` columns are text, the others numbers.

    >>> print(markdown(["net", "layers"], [["VGG", "16"]]))
    | net | layers |
    | :-- | --: |
    | VGG | 16 |
    """
    ruler = [":--"] * texts + ["--:"] * (len(head) - texts)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *lines))


def fill(page: Path, contents: Mapping[str, str]) -> None:
    """Put each text between its marks on the page, ``<!-- name -->`` and ``<!-- end of name -->``."""
    text = page.read_text("utf-8")
    for name, content in contents.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{content}\n\n{end}{rest.split(end)[1]}"
    page.write_text(text, "utf-8")


def fingerprint(shown: object) -> str:
    """Return what a picture says of the numbers that it was drawn with: a mark may move by less than one sees."""
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
