"""Notebooks are those of their sources and of a fresh run; the tools that say so are tried on broken ones."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from tools import notebook_checks, notebooks
from tools.notebook_compare import differences

FIXTURES = Path(__file__).parent / "fixtures" / "notebooks"
CHAPTERS = sorted(path.stem for path in notebooks.SOURCES.glob("*.md"))
SECONDS = 120  # a chapter, of processor time on one thread: other work on the machine does not count

pytestmark = pytest.mark.notebooks


def nbval(path, folder):
    """Compare every stored output with a fresh run, in a folder and a configuration of its own."""
    shutil.copy(path, folder / path.name)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-q"]
    return subprocess.run(
        [*command, "--color=no", "-c", "pytest.ini", path.name],
        cwd=folder,
        env=notebooks.environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def kernel_seconds():
    """Return the processor time of all child processes that have ended, kernels among them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# The real chapters


def test_every_notebook_has_a_source_and_every_source_a_notebook():
    assert sorted(path.stem for path in notebooks.NOTEBOOKS.glob("*.ipynb")) == CHAPTERS


@pytest.mark.parametrize("name", CHAPTERS)
def test_notebook_is_that_of_its_source(name):
    assert notebooks.check(notebooks.SOURCES / f"{name}.md", notebooks.NOTEBOOKS / f"{name}.ipynb") == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_notebook_passes_strict_nbval(name, tmp_path):
    result = nbval(notebooks.NOTEBOOKS / f"{name}.ipynb", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", CHAPTERS)
def test_notebook_equals_a_fresh_run_pictures_included(name, tmp_path):
    started = kernel_seconds()
    notebooks.generate(notebooks.SOURCES / f"{name}.md", tmp_path / f"{name}.ipynb")
    seconds = kernel_seconds() - started
    stored, fresh = (nbformat.read(folder / f"{name}.ipynb", 4) for folder in (notebooks.NOTEBOOKS, tmp_path))
    assert differences(stored, fresh) == []
    assert 0.5 < seconds <= SECONDS


# The tools, on a sample and on broken notebooks


@pytest.fixture(autouse=True)
def fixtures_address(request, monkeypatch):
    """The fixtures keep their own address; the real chapters are held to _config.yml."""
    if "name" not in request.fixturenames:
        monkeypatch.setattr(notebook_checks, "repository_url", lambda: "https://github.com/example/cnn-course")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "01_sample.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook_checks, "repository_url", lambda: "https://github.com/example/cnn-course")
        notebooks.generate(FIXTURES / "01_sample.md", path)
    return path


@pytest.fixture
def sample(generated, tmp_path):
    """A source and its notebook, to be broken."""
    source, target = tmp_path / "01_sample.md", tmp_path / "01_sample.ipynb"
    shutil.copy(FIXTURES / "01_sample.md", source)
    shutil.copy(generated, target)
    return source, target


def edit(target, change):
    nb = nbformat.read(target, 4)
    change(nb)
    notebooks.write(nb, target)


def code(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def test_a_fresh_notebook_has_no_problem_and_passes_nbval(sample, tmp_path):
    source, target = sample
    assert notebooks.check(source, target) == []
    folder = tmp_path / "nbval"
    folder.mkdir()
    result = nbval(target, folder)
    assert result.returncode == 0, result.stdout
    assert "4 passed, 1 skipped" in result.stdout


def test_a_second_run_gives_the_same_bytes(sample, tmp_path):
    source, target = sample
    notebooks.generate(source, tmp_path / "again.ipynb")
    assert (tmp_path / "again.ipynb").read_bytes() == target.read_bytes()


def test_live_cells_are_kept_and_not_run(generated):
    live = code(nbformat.read(generated, 4))[3]
    assert live.metadata.tags == ["skip-execution", "nbval-skip"]
    assert (live.execution_count, live.outputs) == (None, [])


def test_a_stale_cell_is_caught(sample):
    source, target = sample
    source.write_text(source.read_text().replace("5, 9]", "5, 9, 2]"))
    (problem,) = notebooks.check(source, target)
    assert problem.startswith("01_sample: cell 4 (code: 'values = [3, 1, 4, 1, 5, 9]') is stale")


def test_changed_prose_changed_tags_and_a_lost_cell_are_caught(sample):
    source, target = sample
    original = source.read_text()
    for old, new in [("how many", "how few"), (":tags: [skip-execution]", ":tags: [skip-execution, other]")]:
        source.write_text(original.replace(old, new))
        assert "is stale" in notebooks.check(source, target)[0]
    source.write_text(original)
    edit(target, lambda nb: nb.cells.pop())
    assert "cell 9 (code: 'max(values)') of the source is missing" in notebooks.check(source, target)[0]


def test_cells_out_of_order_are_caught(sample):
    source, target = sample

    def swap(nb):
        nb.cells[3], nb.cells[5] = nb.cells[5], nb.cells[3]

    edit(target, swap)
    problems = notebooks.check(source, target)
    assert any("is out of order" in problem for problem in problems)
    assert any("has execution count 3, expected 2" in problem for problem in problems)


def test_cells_run_out_of_order_are_caught(sample):
    source, target = sample
    edit(target, lambda nb: code(nb)[1].update(execution_count=7))
    assert (
        "cell 4 (code: 'values = [3, 1, 4, 1, 5, 9]') has execution count 7, expected 2"
        in notebooks.check(source, target)[0]
    )


@pytest.mark.parametrize("place", [1, 2, 4])
def test_a_lost_output_is_caught(sample, place):
    source, target = sample
    edit(target, lambda nb: code(nb)[place].update(outputs=[]))
    found = any("has lost its output" in problem for problem in notebooks.check(source, target))
    # The last cell is a call, which may return None: that one is left to the comparison with a fresh run.
    assert found is (place != 4)


def test_a_file_saved_by_another_program_is_caught(sample):
    source, target = sample
    target.write_text(target.read_text().replace('"nbformat_minor": 5\n', '"nbformat_minor":5\n'))
    assert notebooks.check(source, target) == ["01_sample: saved by something else than tools.notebooks"]


def test_a_missing_source_and_a_missing_notebook_are_caught(sample, tmp_path):
    source, target = sample
    assert "no source" in notebooks.check(tmp_path / "none.md", target)[0]
    assert "no notebook" in notebooks.check(source, tmp_path / "none.ipynb")[0]


def test_a_changed_output_is_caught_by_nbval_and_by_the_comparison(sample, generated, tmp_path):
    source, target = sample
    edit(target, lambda nb: code(nb)[1].outputs[0].update(text="mean of six digits: 3.9\n"))
    assert notebooks.check(source, target) == []  # nothing short of a run can tell
    folder = tmp_path / "nbval"
    folder.mkdir()
    result = nbval(target, folder)
    assert result.returncode == 1
    assert "mean of six digits: 3.9" in result.stdout
    (problem,) = differences(nbformat.read(target, 4), nbformat.read(generated, 4))
    assert "cell 4" in problem
    assert "3.83333" in problem


@pytest.mark.parametrize(
    ("fixture", "message"),
    [
        ("raises", "cell 4 (code: 'numbers[3]') raised:"),
        ("stderr", "writes to stderr"),
        ("no_alt", "shows a figure without alt text"),
        ("address", "shows a memory address: 0x"),
        ("path", "shows a path of this machine: "),
        ("escape", "shows terminal escape codes"),
        ("dies", "cell 3 (code: 'import os') did not finish: Kernel died"),
    ],
)
def test_a_broken_chapter_is_refused_and_the_old_notebook_kept(fixture, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "SOURCES", FIXTURES)
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    target = tmp_path / f"broken_{fixture}.ipynb"
    target.write_text("the old notebook")
    assert notebooks.main([target.stem]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"broken_{fixture}: ")
    assert message in printed
    if fixture == "raises":
        assert "IndexError: list index out of range" in printed
        assert "\x1b" not in printed
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "the old notebook"


def test_a_notebook_is_written_whole_or_not_at_all(generated, tmp_path, monkeypatch):
    target = tmp_path / "x.ipynb"
    target.write_text("the old notebook")
    nb = nbformat.read(generated, 4)

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        notebooks.write(nb, target)
    monkeypatch.undo()
    nb.cells[0].pop("source")
    with pytest.raises(nbformat.ValidationError):
        notebooks.write(nb, target)
    assert [path.name for path in tmp_path.iterdir()] == ["x.ipynb"]
    assert target.read_text() == "the old notebook"


def test_what_varies_from_run_to_run_is_not_stored():
    view = "application/vnd.jupyter.widget-view+json"
    streams = [v4.new_output("stream", name="stdout", text=text) for text in ("a", "b\n")]
    hybrid = v4.new_output("display_data", {"text/html": "<cnn-x></cnn-x>", view: {"model_id": "1"}})
    live = v4.new_output("display_data", {"text/plain": "Slider()", view: {"model_id": "2"}})
    cell = v4.new_code_cell("x", id="random", metadata={"execution": {"iopub": "now"}, "trusted": True})
    cell.outputs = [*streams, hybrid, live]
    nb = v4.new_notebook(cells=[cell, v4.new_code_cell("x")], metadata={"widgets": {"state": {}}, "colab": {}})
    notebooks.normalise(nb)
    assert nb.metadata.keys() == {"kernelspec", "language_info"}
    assert nb.cells[0].metadata == {}
    assert [output.get("text") for output in cell.outputs] == ["ab\n", None, None]
    assert [view in output.data for output in cell.outputs[1:]] == [False, True]
    assert nb.cells[1].id == f"{nb.cells[0].id}-2" != "random-2"


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit, match="no chapter named 99_nothing"):
        notebooks.main(["99_nothing"])
