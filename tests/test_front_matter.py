"""README, guides and workflows are true to the tree: examples run, files exist, addresses and numbers agree."""

import doctest
import re
import shlex
from pathlib import Path

import pytest
import yaml

import cnnlib
from cnnlib.grading import __main__ as grading
from cnnlib.grading import runner, sandbox
from cnnlib.grading.spec import load
from tools.notebook_checks import ROOT, repository_url

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CITATION.cff")]
PAGES += [ROOT / "book" / name for name in ("how_to_use.md", "instructors.md", "glossary.md")]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def named_paths(page):
    """Yield what a page names as a file of the tree: relative links, and code that holds a slash or a known suffix."""
    content = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)", content):
        if "://" not in target:
            yield (page.parent / target).resolve()
    for code in re.findall(r"(?<!`)`([^`\s]+)`(?!`)", content):
        placeholder = re.search(r"NN_name|NAME|<|name\.", code) or code.startswith(("SUBMISSIONS", "_build", "~"))
        if not placeholder and re.fullmatch(r"[\w.-]+(?:/[\w.-]*)+|[\w-]+\.(?:md|yml|cff|toml|py)", code):
            yield ROOT / code


def test_the_example_of_the_readme_runs():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 9
    assert results.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    # exercise.md is named without its folder, as the file that each assignment has
    missing = [path for path in named_paths(page) if not path.exists() and path.name != "exercise.md"]
    assert missing == []


def test_the_readme_names_its_files_and_stays_on_one_screen():
    readme = text("README.md")
    assert len(list(named_paths(ROOT / "README.md"))) >= 10
    assert len(readme.splitlines()) <= 60
    assert re.search(r"!\[[^\]]{30,}\]\(book/_static/screenshot\.png\)", readme)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_address_of_the_repository_is_the_configured_one(page):
    content = page.read_text(encoding="utf-8")
    owner, name = repository_url().removeprefix("https://github.com/").split("/")
    found = re.findall(r"https://(?:colab\.research\.google\.com/github|github\.com)/([\w.-]+/[\w.-]+)", content)
    found += [f"{o}/{n}" for o, n in re.findall(r"https://([\w-]+)\.github\.io/([\w.-]+)", content)]
    assert set(found) <= {f"{owner}/{name}"}


def test_pages_name_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`|&& )make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, page.name


def test_the_citation_is_valid_and_of_this_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["authors"] == [{"name": "The cnnlib contributors"}]
    assert citation["version"] == cnnlib.__version__
    assert citation["repository-code"] == repository_url()
    assert citation["title"] == yaml.safe_load(text("_config.yml"))["title"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_a_person_runs_with_official_actions_and_no_secret(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert any(step.get("run") == {"test": "make test", "publish": "make book"}[path.stem] for step in steps)
    assert all(step["uses"].startswith("actions/") for step in steps if "uses" in step)
    assert "secrets." not in path.read_text(encoding="utf-8")
    assert workflow["permissions"]["contents"] == "read"


def test_the_site_is_published_from_where_it_is_built():
    steps = yaml.safe_load(text(".github/workflows/publish.yml"))["jobs"]["publish"]["steps"]
    (upload,) = [step for step in steps if step.get("uses", "").startswith("actions/upload-pages-artifact@")]
    assert upload["with"]["path"] == "_build/html"
    assert "_build/html" in text("Makefile")


def test_the_instructors_command_is_understood(tmp_path):
    (line,) = re.findall(r"^python -m cnnlib\.grading (.*)$", text("book/instructors.md"), re.MULTILINE)
    options = grading.parse(shlex.split(line))
    assert (options.submissions, options.out) == (Path("SUBMISSIONS"), Path("DIR"))
    for option in re.findall(r"`(--[a-z]+)", text("book/instructors.md")):
        assert hasattr(options, option.removeprefix("--"))


def test_the_instructors_limits_are_the_sandbox_s():
    guide = " ".join(text("book/instructors.md").split())
    for phrase in (
        f"{sandbox.CPU_SECONDS} s of processor time",
        f"{sandbox.WALL_SECONDS:g} s by the clock",
        f"{runner.SECONDS['load']:g} s to read the cells",
        f"{runner.SECONDS['call']:g} s for a call",
        f"{runner.SECONDS['question']:g} s for a question",
        f"{sandbox.MEMORY_BYTES / 1e9:g} GB of memory",
        f"{sandbox.TMP_BYTES // 1_000_000} MB of temporary files",
        f"{sandbox.OUTPUT_BYTES // 1_000_000} MB of answers",
    ):
        assert phrase in guide


def test_the_instructors_table_of_questions_is_the_assignment_s():
    assignment = load("04_convolution_arithmetic")
    rows = re.findall(r"^\| `(q\d)` (.*?) \| `(\w+)` \| (\d+) \|$", text("book/instructors.md"), re.MULTILINE)
    assert rows == [(q.name, q.title, q.function, str(q.points)) for q in assignment.questions]
    assert f"`{assignment.name}`, {assignment.points} points" in text("book/instructors.md")


def test_the_glossary_is_in_order_and_defines_each_term_once():
    entries = re.findall(r"^\*\*(.+?)\.\*\* (.+)$", text("book/glossary.md"), re.MULTILINE)
    terms = [re.sub(r"[`,]", "", term).replace("_", "").lower() for term, _ in entries]
    assert len(terms) >= 50
    assert terms == sorted(set(terms))
    known = " ".join(term for term, _ in entries).lower()
    for reference in re.findall(r"(?:[Ss]ee|Compare) \*(.+?)\*", text("book/glossary.md")):
        assert reference.strip("`").lower() in known, reference
