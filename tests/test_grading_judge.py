"""The judge at work, in its sandbox: the stub earns nothing, the solution all, each wrong answer loses its points."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grading_batches import ASSIGNMENT, NAME, SOURCE, WRONG, grade, header, notebook, solved

import cnnlib
from cnnlib.grading import judge, sandbox
from cnnlib.grading.runner import SECONDS
from cnnlib.grading.submission import Submission

pytestmark = pytest.mark.sandbox
BY_QUESTION = {q.name: [path for path in WRONG if header(path)["question"] == q.name] for q in ASSIGNMENT.questions}


def own_form(out, stem):
    return json.loads((out / "json" / f"{stem}.json").read_text())


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """One batch: stub, solutions, the wrong answers (four to a submission, one for each question), and broken ones."""
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("out") / "grades"
    shutil.copy(SOURCE.parent / "student.ipynb", folder / "stub.ipynb")
    (folder / "solution.ipynb").write_text(notebook(solved()))
    (folder / "solution.py").write_text("\n\n".join(cell for cell in solved() if "%pip" not in cell))
    for number, row in enumerate(itertools.zip_longest(*BY_QUESTION.values())):
        cells = [*solved(), *(path.read_text() for path in row if path)]
        (folder / f"wrong{number:02}.ipynb").write_text(notebook(cells))
    (folder / "m_not_a_notebook.ipynb").write_bytes(b"\xff\xfe not a notebook")
    (folder / "m_empty.ipynb").touch()
    (folder / "m_deep.ipynb").write_text("[" * 1_000_000)
    (folder / "m_folder.ipynb").mkdir()
    (folder / "m_link.py").symlink_to(folder / "solution.py")
    (folder / "m_part.py").write_text(BY_QUESTION["q4"][0].read_text().replace("tells_apart", "another_name"))
    (folder / "=cmd|'calc'!A1\n`x`.py").write_text("x = 1")
    (folder / os.fsdecode(b"\xff.py")).write_text("x = 1")
    status, rows = grade(folder, out)
    assert status == 0
    return folder, out, rows


def test_every_entry_has_a_row_and_three_files(graded):
    folder, out, rows = graded
    assert len(rows) == len(list(folder.iterdir()))
    for row in rows.values():
        stem = Path(row["feedback"]).stem
        for path in (f"feedback/{stem}.md", f"json/{stem}.json", f"gradescope/{stem}.json"):
            assert (out / path).stat().st_size > 0
    kept = sorted(path.name for path in out.iterdir())
    assert kept == ["feedback", "grades.csv", "gradescope", "json"]
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_the_stub_earns_nothing_and_the_solution_everything(graded):
    _, out, rows = graded
    assert rows["stub.ipynb"]["points"] == "0"
    assert rows["solution.ipynb"]["points"] == rows["solution.py"]["points"] == str(ASSIGNMENT.points)
    assert rows["solution.ipynb"]["percent"] == "100"
    notes = own_form(out, "solution")["notes"]
    assert notes == []


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_answer_loses_its_points_with_its_diagnosis(graded, path):
    _, out, rows = graded
    says = header(path)
    name = says["question"]
    stem = f"wrong{BY_QUESTION[name].index(path):02}"
    assert rows[f"{stem}.ipynb"][name] == says["points"]
    question = next(q for q in own_form(out, stem)["questions"] if q["name"] == name)
    first = next(part for part in question["parts"] if part["points"] == 0)
    assert says["diagnosis"] in first["diagnosis"]
    section = re.split(r"^## ", (out / "feedback" / f"{stem}.md").read_text(), flags=re.MULTILINE)
    assert says["diagnosis"] in next(text for text in section if text.startswith(name))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("m_not_a_notebook.ipynb", "not UTF-8"),
        ("m_empty.ipynb", "is empty"),
        ("m_deep.ipynb", "nested too deeply"),
        ("m_folder.ipynb", "is a folder"),
        ("m_link.py", "is a link"),
    ],
)
def test_a_broken_submission_is_told_what_is_wrong_and_stops_nothing(graded, name, says):
    _, out, rows = graded
    assert rows[name]["points"] == "0"
    assert says in rows[name]["status"]
    assert says in (out / rows[name]["feedback"]).read_text().replace("\\", "")
    gradescope = json.loads((out / "gradescope" / Path(name).with_suffix(".json").name).read_text())
    assert says in gradescope["output"]
    assert gradescope["score"] == 0


def test_a_missing_function_is_named(graded):
    _, out, rows = graded
    assert rows["m_part.py"]["points"] == "0"
    assert "there is no function named tells_apart" in (out / "feedback" / "m_part.md").read_text()


def test_the_same_seed_draws_the_same_inputs_again(graded, tmp_path):
    folder, out, _ = graded
    before = own_form(out, "wrong00")
    status, _ = grade(folder / "wrong00.ipynb", tmp_path / "out", "--seed", str(before["seed"]))
    after = own_form(tmp_path / "out", "wrong00")
    assert status == 0
    assert before | {"seconds": 0} == after | {"seconds": 0}
    grade(folder / "wrong00.ipynb", tmp_path / "other", "--seed", str(before["seed"] + 1))
    assert own_form(tmp_path / "other", "wrong00")["questions"] != after["questions"]


def test_a_submission_takes_at_most_half_a_second_of_processor():
    """Of the judge's and the sandbox's: time on the clock depends on who else is at the machine."""
    clock = "def tells_apart(kernels):\n    import time\n    raise ValueError(time.process_time())"
    before = time.process_time()
    mark = judge.mark(ASSIGNMENT, Submission("ann.ipynb", (*solved(), clock)), 0)
    judging = time.process_time() - before
    assert mark.earned == ASSIGNMENT.points - 4
    running = float(re.search(r"ValueError: ([0-9.]+)", mark.questions[3].parts[0].message)[1])
    assert running > 0.01
    assert judging + running < 0.5


def test_a_crash_costs_its_own_question_only(tmp_path):
    crash = "def conv2d(*arguments):\n    import ctypes\n    ctypes.string_at(0)"
    (tmp_path / "crash.ipynb").write_text(notebook([*solved(), crash]))
    _, rows = grade(tmp_path, tmp_path / "out")
    row = rows["crash.ipynb"]
    assert [row[name] for name in ("q1", "q2", "q3", "q4")] == ["4", "0", "7", "4"]
    assert "conv2d ended the process" in (tmp_path / "out" / "feedback" / "crash.md").read_text()


def test_a_failure_of_the_sandbox_is_no_zero(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "require", lambda: None)
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 1_000_000)  # not even Python starts
    (tmp_path / "ann.py").write_text("x = 1")
    status, rows = grade(tmp_path, tmp_path / "out")
    assert status == 1
    assert rows["ann.py"]["points"] == ""
    assert "Not marked" in rows["ann.py"]["status"]


def test_a_failure_of_the_judge_stops_no_batch(tmp_path, monkeypatch):
    ask = judge.ask

    def stumbling(assignment, cells, drawn):
        if "stumble" in cells[-1]:
            raise ZeroDivisionError("a fault of the judge")
        return ask(assignment, cells, drawn)

    monkeypatch.setattr(judge, "ask", stumbling)
    (tmp_path / "a.ipynb").write_text(notebook(solved()))
    (tmp_path / "b.ipynb").write_text(notebook(["stumble = 1"]))
    (tmp_path / "c.ipynb").write_text(notebook(solved()))
    status, rows = grade(tmp_path, tmp_path / "out")
    assert status == 1
    assert [row["points"] for row in rows.values()] == ["20", "", "20"]
    assert "ZeroDivisionError" in rows["b.ipynb"]["status"]


def test_out_may_lie_among_the_submissions_and_be_written_again(tmp_path):
    (tmp_path / "a.ipynb").write_text(notebook(solved()))
    grade(tmp_path, tmp_path / "out")
    (tmp_path / "a.ipynb").write_text(notebook(["x = 1"]))
    _, rows = grade(tmp_path, tmp_path / "out")
    assert list(rows) == ["a.ipynb"]
    assert rows["a.ipynb"]["points"] == "0"


def test_the_longest_run_ends_before_the_wall():
    assert SECONDS["load"] + len(ASSIGNMENT.questions) * SECONDS["question"] < sandbox.WALL_SECONDS
    assert SECONDS["load"] < judge.ALONE_SECONDS - SECONDS["call"]


WRITES_EVERYWHERE = """
import os

written = []
for folder, _, _ in os.walk("/"):
    try:
        open(os.path.join(folder, "x"), "w").close()
        written.append(folder)
    except OSError:
        pass


def tells_apart(kernels):
    raise ValueError(f"wrote in {written}")
"""
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.mark.skipif(
    os.getuid() != 0 or not Path(SYSTEM_PYTHON).exists(), reason="for root, with a Python that nobody may run"
)
def test_an_ordinary_user_can_grade(tmp_path):
    """Run the judge as nobody, in a user namespace, on a copy of cnnlib and NumPy that nobody may read."""
    version = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import sys; print(sys.version_info[:2])"], check=False, capture_output=True, text=True
    )
    if version.stdout.strip() != str(sys.version_info[:2]):
        pytest.skip("the system's Python is of another version: NumPy's extensions do not load there")
    import numpy
    import tqdm

    work = Path("/var/tmp") / f"{tmp_path.name}-{os.getpid()}"
    try:
        for package in (numpy, tqdm, cnnlib):
            folder = Path(package.__file__).parent
            shutil.copytree(folder, work / "packages" / folder.name)
        libraries = Path(numpy.__file__).parent.parent / "numpy.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, work / "packages" / "numpy.libs")
        (work / "in").mkdir()
        (work / "in" / "ann.ipynb").write_text(notebook(solved()))
        (work / "in" / "bob.py").write_text("import os\nwhile True:\n    os.fork()\n")
        (work / "in" / "carol.py").write_text(WRITES_EVERYWHERE)
        subprocess.run(["chown", "-R", "nobody", str(work)], check=True)
        user = [
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "env",
            f"PYTHONPATH={work}/packages",
        ]
        arguments = [f"{work}/in", "--exercise", NAME, "--out", f"{work}/out"]
        done = subprocess.run(
            [*user, SYSTEM_PYTHON, "-m", "cnnlib.grading", *arguments], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        grades = (work / "out" / "grades.csv").read_text().splitlines()
        assert grades[1].startswith("ann.ipynb,20,")
        assert grades[2].startswith("bob.py,0,")
        assert "wrote in ['/tmp']" in (work / "out" / "feedback" / "carol.md").read_text()
    finally:
        shutil.rmtree(work, ignore_errors=True)
