"""What a chapter and its notebook must satisfy, each as a list of problems that name the cell."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
LONGEST_CELL = 12  # lines

ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
MACHINE_PATH = re.compile(r"(?<![\w/.:~-])/(?:home|root|tmp|Users|usr|opt|var|work|mnt|private)/\w|\b[A-Z]:\\\w")
PLAIN_HTML = {"details", "summary", "br", "sub", "sup", "kbd"}
NOT_PLAIN = {
    r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{": "a MyST directive",
    r"\{[a-zA-Z][\w:.+-]*\}`": "a MyST role",
    r"^\([\w:.-]+\)=\s*$": "a MyST target",
    r"^:{3,}(?=\s*\w)": "a MyST fence",
    r"\[\^[^\]]+\]": "a footnote",
    r"\$\$\s*\([\w:.-]+\)\s*$": "a MyST equation label (use \\tag)",
    r"!\[\s*\]\(": "an image without alt text",
    r"\{\{.*?\}\}": "a substitution",
    r"^%\s": "a MyST comment",
}


def label(nb: NotebookNode, index: int) -> str:
    """Name a cell as a person finds it: its place and its first line."""
    cell = nb.cells[index]
    first = next((line for line in cell.source.splitlines() if line.strip()), "(empty)")
    return f"cell {index + 1} ({cell.cell_type}: {first.strip()[:60]!r})"


def repository_url() -> str:
    """Return the repository's address, which stands in _config.yml and nowhere else."""
    return str(yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"])


def first_cell() -> str:
    """Return the first code cell of every notebook: it installs cnnlib only where it is missing."""
    return (
        "try:\n"
        "    import cnnlib\n"
        "except ModuleNotFoundError:\n"
        f'    %pip install --quiet "cnnlib @ git+{repository_url()}"\n'
        "    import cnnlib"
    )


def source_problems(nb: NotebookNode) -> list[str]:
    """Return where a chapter would not render alike on the site, in Colab, in Jupyter and on GitHub."""
    problems = []
    code = [index for index, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    if not code or nb.cells[code[0]].source != first_cell():
        problems.append(f"the first code cell must be, letter for letter:\n{first_cell()}")
    for index in code:
        lines = len(nb.cells[index].source.splitlines())
        if lines > LONGEST_CELL:
            problems.append(f"{label(nb, index)} has {lines} lines; more than {LONGEST_CELL} belong in cnnlib")
    for index, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            problems += [f"{label(nb, index)} holds {what}" for what in markdown_problems(cell.source)]
        elif cell.cell_type == "raw":
            problems.append(f"{label(nb, index)} is a raw cell")
    return problems + heading_problems(nb)


def markdown_problems(text: str) -> list[str]:
    """Return what in a Markdown cell does not render everywhere."""
    prose = _without_code(text)
    found = []
    for pattern, what in NOT_PLAIN.items():
        match = re.search(pattern, text if "directive" in what else prose, re.MULTILINE)
        if match:
            found.append(f"{what}: {match.group().strip()!r}")
    without_maths = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "", prose, flags=re.DOTALL)
    environment = re.search(r"\\begin\{\w+\*?\}", without_maths)
    if environment:
        found.append(f"mathematics outside dollars: {environment.group()!r}")
    tags = {tag.lower() for tag in re.findall(r"</?([a-zA-Z][\w-]*)(?=[\s>/])[^<>]*>", without_maths)}
    if tags - PLAIN_HTML:
        found.append(f"HTML other than {', '.join(sorted(PLAIN_HTML))}: {', '.join(sorted(tags - PLAIN_HTML))}")
    if prose.count("<details") != prose.count("</details>"):
        found.append("a <details> that is not closed in its cell")
    return found


def _without_code(text: str) -> str:
    return re.sub(r"(`+)(?:(?!\1).)+\1", "`", _without_fences(text))  # one mark stays: a role is recognised by it


def heading_problems(nb: NotebookNode) -> list[str]:
    """Return headings out of hierarchy: one title first, then no level skipped, none empty, none twice."""
    problems: list[str] = []
    level, seen = 0, set()
    for index, cell in enumerate(nb.cells):
        if cell.cell_type != "markdown":
            continue
        for hashes, title in re.findall(r"^(#{1,6})[ \t]*(.*?)[ \t]*$", _without_fences(cell.source), re.MULTILINE):
            depth = len(hashes)
            if depth > level + 1 or (depth == 1 and level > 0):
                problems.append(f"{label(nb, index)}: heading {title!r} has level {depth} after level {level}")
            if not title or title in seen:
                problems.append(f"{label(nb, index)}: heading {title!r} is empty or stands twice")
            seen.add(title)
            level = depth
    return problems if level else [*problems, "no title"]


def _without_fences(text: str) -> str:
    return re.sub(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", "", text, flags=re.MULTILINE | re.DOTALL)


def drift(nb: NotebookNode, expected: NotebookNode) -> list[str]:
    """Return the first cell at which a notebook leaves its source."""
    found, wanted = [_face(cell) for cell in nb.cells], [_face(cell) for cell in expected.cells]
    if found == wanted:
        return []
    advice = "run `make notebooks`"
    if sorted(found) == sorted(wanted):
        index = next(i for i, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
        return [f"{label(nb, index)} is out of order: the source has other cells before it; {advice}"]
    shared = zip(found, wanted, strict=False)
    index = next((i for i, pair in enumerate(shared) if pair[0] != pair[1]), min(len(found), len(wanted)))
    if index == len(found):
        return [f"{label(expected, index)} of the source is missing from the notebook; {advice}"]
    return [f"{label(nb, index)} is stale: it is not that of the source; {advice}"]


def _face(cell: NotebookNode) -> tuple[str, str, tuple[str, ...]]:
    return cell.cell_type, cell.source, tuple(cell.metadata.get("tags", []))


def order_problems(nb: NotebookNode) -> list[str]:
    """Return code cells that were not run once each, from the top, or lost their output."""
    problems, count = [], 0
    for index, cell in enumerate(nb.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if "skip-execution" in cell.metadata.get("tags", []):
            if cell.execution_count is not None or cell.outputs:
                problems.append(f"{label(nb, index)} is tagged skip-execution but was run")
            continue
        count += 1
        if cell.execution_count != count:
            problems.append(f"{label(nb, index)} has execution count {cell.execution_count}, expected {count}")
        if not cell.outputs and _shows_something(cell.source):
            problems.append(f"{label(nb, index)} has lost its output")
    return problems


def _shows_something(source: str) -> bool:
    """Say whether a cell certainly has an output: it prints at its top level or ends in a plain expression."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a cell with a magic
        return False
    calls = [node.value for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    if any(isinstance(call.func, ast.Name) and call.func.id in {"print", "figure"} for call in calls):
        return True
    if not body or not isinstance(body[-1], ast.Expr) or source.rstrip().endswith(";"):
        return False
    return not isinstance(body[-1].value, ast.Call | ast.Await | ast.Constant)


def output_problems(nb: NotebookNode, *, machine: tuple[str, ...]) -> list[str]:
    """Return outputs that must not be published; `machine` holds paths of this machine to look for."""
    problems = []
    for index, cell in enumerate(nb.cells):
        for output in cell.get("outputs", []):
            problems += [f"{label(nb, index)} {what}" for what in _output_problems(output, machine)]
    return problems


def _output_problems(output: NotebookNode, machine: tuple[str, ...]) -> list[str]:
    if output.output_type == "error":
        return [f"raised {output.ename}: {output.evalue}"]
    if output.output_type == "stream" and output.name == "stderr":
        return [f"writes to stderr: {output.text.strip()[:500]}"]
    problems = []
    for text in _texts(output):
        paths = [path for path in machine if path in text] or [m.group() for m in MACHINE_PATH.finditer(text)]
        if paths:
            problems.append(f"shows a path of this machine: {paths[0]}")
        if "\x1b" in text:
            problems.append("shows terminal escape codes")
        address = ADDRESS.search(text)
        if address:
            problems.append(f"shows a memory address: {address.group()}")
    for kind in output.get("data", {}):
        alt = output.get("metadata", {}).get(kind, {})
        if kind.startswith("image/") and not str(alt.get("alt", "")).strip():
            problems.append("shows a figure without alt text: use cnnlib.plotting.figure(fig, alt)")
    return problems


def _texts(output: NotebookNode) -> Iterator[str]:
    if output.output_type == "stream":
        yield output.text
    for kind, content in output.get("data", {}).items():
        if kind.startswith("text/") or kind.endswith(("xml", "json")):
            yield content if isinstance(content, str) else str(content)
