"""The ledger of claims: ``book/claims.yml``, checked and rendered."""

import re
from collections import Counter
from pathlib import Path

import yaml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

MARK = "<!-- ledger -->"
DECKS = {"S0": "Fathian", "S1": "Kannala", "S2": "Liang", "S3": "Neumann", "S4": "Newson"}
FIELDS = {"id": str, "deck": str, "says": str, "verdict": str, "holds": str, "section": str, "tests": list}
VERDICTS = {"right": "right", "wrong": "wrong", "unclear": "unclear", "depends": "it depends"}


def problems(entry: object) -> list[str]:
    """Return what is wrong with one entry of the ledger, in words.

    >>> problems({"id": "E2"})[0]
    "entry 'E2' has no deck"
    """
    if not isinstance(entry, dict):
        return [f"entry {entry!r} is not a mapping with the keys {', '.join(FIELDS)}"]
    name = f"entry {entry.get('id')!r}"
    found = [f"{name} has no {field}" for field in FIELDS if not entry.get(field)]
    found += [f"{name} has an unknown key {key!r}" for key in entry if key not in FIELDS]
    for field, kind in FIELDS.items():
        if entry.get(field) and not isinstance(entry[field], kind):
            found.append(
                f"{name}: {field} is {entry[field]!r}; expected {'text' if kind is str else 'a list of tests'}"
            )
    if entry.get("verdict") and entry["verdict"] not in VERDICTS:
        found.append(f"{name}: verdict is {entry['verdict']!r}; expected one of {', '.join(VERDICTS)}")
    if isinstance(entry.get("section"), str) and entry["section"].count("#") != 1:
        found.append(f"{name}: section is {entry['section']!r}; expected NN_name#anchor, or page#anchor")
    for test in entry["tests"] if isinstance(entry.get("tests"), list) else ():
        if not isinstance(test, str) or not test.startswith("tests/") or "::" not in test:
            found.append(f"{name}: test is {test!r}; expected tests/test_x.py::test_y")
    return found


def read_ledger(path: Path) -> list[dict]:
    """Return the entries of the ledger at ``path``; raise ValueError that lists every fault."""
    try:
        entries = yaml.safe_load(path.read_text("utf-8")) or []
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is not YAML: {error}") from error
    if not isinstance(entries, list):
        raise ValueError(f"{path.name} holds a {type(entries).__name__}; expected a list of entries")
    found = [problem for entry in entries for problem in problems(entry)]
    ids = [entry["id"] for entry in entries if isinstance(entry, dict) and "id" in entry]
    found += [f"id {name!r} is used more than once" for name in sorted({n for n in ids if ids.count(n) > 1})]
    if found:
        raise ValueError("\n".join([f"{path.name} is not a ledger:", *found]))
    return entries


def entry_lines(entry: dict, repository: str, branch: str) -> list[str]:
    """Return one entry as Markdown."""
    page, anchor = entry["section"].split("#")
    file = f"../notebooks/{page}.ipynb" if page[:2].isdigit() else f"{page}.md"
    tests = ", ".join(
        f"[`{test.split('::')[-1]}`]({repository}/blob/{branch}/{test.split('::')[0]})" for test in entry["tests"]
    )
    decks = re.sub(r"S\d", lambda code: DECKS.get(code[0], code[0]), entry["deck"])
    return [
        f"(claim-{entry['id'].lower()})=",
        f"## {entry['id']} · {decks}",
        "",
        f'<span class="verdict verdict-{entry["verdict"]}">{VERDICTS[entry["verdict"]]}</span> '
        + " ".join(entry["says"].split()),
        "",
        f"**What holds.** {' '.join(entry['holds'].split())}",
        "",
        f"[Where it is computed]({file}#{anchor}). Held by {tests}.",
        "",
    ]


def ledger_lines(entries: list[dict], repository: str, branch: str) -> list[str]:
    """Return the whole ledger as Markdown: how the verdicts fell, then the entries in the order of the file."""
    counts = Counter(entry["verdict"] for entry in entries)
    tally = ", ".join(f"{counts[verdict]} {word}" for verdict, word in VERDICTS.items() if counts[verdict])
    lines = [f"Entries so far: {len(entries)} ({tally})." if entries else "No entry so far.", ""]
    for entry in entries:
        lines += entry_lines(entry, repository, branch)
    return lines


def insert_ledger(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the ledger beside a page where the page has the line ``<!-- ledger -->``; stop the build if it is faulty."""
    if MARK not in source[0]:
        return
    path = Path(app.env.doc2path(docname)).with_name("claims.yml")
    app.env.note_dependency(str(path))
    options = app.config.html_theme_options
    try:
        lines = ledger_lines(read_ledger(path), options["repository_url"], options["repository_branch"])
    except (OSError, ValueError) as error:
        raise ExtensionError(str(error)) from error
    source[0] = source[0].replace(MARK, "\n".join(lines))
