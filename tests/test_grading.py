"""Grading without the sandbox: how answers are compared, submissions read and reports written."""

import csv
import json
import os
import stat

import numpy as np
import pytest
from grading_batches import ASSIGNMENT, notebook

from cnnlib.grading import reports, submission
from cnnlib.grading.compare import PartMark, close, difference, mark_part
from cnnlib.grading.judge import Mark, QuestionMark, draw

# --- comparison --------------------------------------------------------------------------------------------------


def test_nan_and_infinity_agree_with_nothing():
    assert not close(np.array([np.nan, np.inf, -np.inf]), np.array([0.0, 1.0, 2.0])).any()
    assert "2 of 2" in difference("y", np.full(2, np.nan), np.zeros(2))


def test_single_precision_passes_and_a_small_slip_does_not():
    right = np.random.default_rng(0).normal(size=100)
    assert close(right.astype(np.float32), right).all()
    assert not close(right + 1e-4, right).any()


def test_a_part_is_all_or_nothing():
    question = ASSIGNMENT.question("q1")
    part = question.parts[0]
    calls = part.draw(np.random.default_rng(0))
    right = [[np.asarray(value) for value in question.reference(*call.values())] for call in calls]
    assert mark_part(question, part, calls, right).earned == 1
    wrong = [*right[:-1], [right[-1][0] + 1, right[-1][1]]]
    assert mark_part(question, part, calls, wrong).earned == 0
    assert mark_part(question, part, calls, [*right[:-1], "it raised an error"]).earned == 0


def test_inputs_are_those_of_the_seed_and_the_name():
    def numbers(name, seed):
        return draw(ASSIGNMENT, name, seed)["q2"][0][0]["x"].sum()

    assert numbers("ann.py", 1) == numbers("ann.py", 1)
    assert len({numbers("ann.py", 1), numbers("bob.py", 1), numbers("ann.py", 2)}) == 3


# --- reading submissions -----------------------------------------------------------------------------------------

BAD = {
    "empty.ipynb": (b"", "is empty"),
    "blank.ipynb": (b" \n ", "is empty"),
    "text.ipynb": (b"def output_size(): ...", "JSON is broken"),
    "list.ipynb": (b"[1, 2]", "no list of cells"),
    "old.ipynb": (b'{"nbformat": 3, "worksheets": [{"cells": []}]}', "no list of cells"),
    "deep.ipynb": (b"[" * 1_000_000, "nested too deeply"),
    "deep_object.ipynb": (b'{"cells":' * 300_000, "nested too deeply"),
    "long_number.ipynb": (b'{"cells": ' + b"9" * 10_000 + b"}", "JSON is broken"),
    "latin.ipynb": ("é".encode("latin-1"), "not UTF-8 text (byte 0)"),
    "latin.py": ("# é".encode("latin-1"), "not UTF-8 text (byte 2)"),
    "sixteen.py": ("x = 1".encode("utf-16"), "not UTF-8"),
    "no_code.ipynb": (notebook([]).encode(), "holds no code"),
    "odd_cells.ipynb": (b'{"cells": [1, null, {"cell_type": 3}]}', "holds no code"),
    "odd_source.ipynb": (b'{"cells": [{"cell_type": "code", "source": {"a": 1}}]}', "source of a cell is not text"),
    "long.py": (b"x = 1\n" * 200_000, "more than 500,000 characters of code"),
    "answers.docx": (b"PK", "neither a notebook (.ipynb) nor a Python file (.py)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_file_is_told(tmp_path, name):
    data, says = BAD[name]
    (tmp_path / name).write_bytes(data)
    read = submission.read(tmp_path / name)
    assert says in read.problem
    assert read.cells == ()
    assert read.name == name


def test_huge_files_pipes_links_and_folders_are_not_opened(tmp_path):
    huge = tmp_path / "huge.ipynb"
    with open(huge, "wb") as file:
        file.truncate(10**12)  # sparse
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "folder.ipynb").mkdir()
    problems = {path.name: submission.read(path).problem for path in submission.find(tmp_path, tmp_path / "out")}
    assert "larger than 20 MB" in problems.pop("huge.ipynb")
    assert "not a plain file" in problems.pop("pipe.py")
    assert "is a link" in problems.pop("link.py")
    assert "is a link" in problems.pop("loop.py")
    assert "is a folder" in problems.pop("folder.ipynb")
    assert problems == {}


def test_both_forms_of_source_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "a.ipynb").write_text(notebook([["x = 1\n", "y = 2"], "z = 3"]), encoding="utf-8-sig")
    assert submission.read(tmp_path / "a.ipynb").cells == ("x = 1\ny = 2", "z = 3")


def test_what_counts_as_a_submission(tmp_path):
    for name in ("b.py", "a.ipynb", "C.PY", ".DS_Store", ".hidden.py", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / "out").mkdir()
    names = [path.name for path in submission.find(tmp_path, tmp_path / "out")]
    assert names == [".hidden.py", "C.PY", "a.ipynb", "b.py", "notes.txt"]
    assert submission.find(tmp_path / "b.py", tmp_path / "out") == [tmp_path / "b.py"]


# --- reports -----------------------------------------------------------------------------------------------------


def marked(name="ann.ipynb", problem="", message="y differs", graded=True):
    parts = tuple(PartMark(part.title, 0, part.points, "conv2d()", message) for part in ASSIGNMENT.questions[0].parts)
    return Mark(
        name, ASSIGNMENT, (QuestionMark(ASSIGNMENT.questions[0], parts),), ("cell 1: `x`",), problem, graded, 7, 0.1
    )


@pytest.mark.parametrize(
    "name", ["=1+1.py", "+1.py", "-1.py", "@SUM(A1).py", "\t=1.py", "\r=1.py", " =1.py", '"=1\n=2.py']
)
def test_no_spreadsheet_takes_a_name_for_a_formula(tmp_path, name):
    reports.write_grades(tmp_path, ASSIGNMENT, [("x", marked(name, problem="=HYPERLINK(1)"))])
    with open(tmp_path / "grades.csv", newline="") as file:
        header, row = csv.reader(file)
    assert len(header) == len(row) + 3  # marked() has one question of four
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", " ")) for cell in row)


def test_what_a_submission_says_is_shown_and_not_rendered():
    text = reports.feedback(marked("`<b>`.ipynb", message="`<script>alert(1)</script>`\n\n# 20 of 20 points"))
    assert "`'<script>alert(1)</script>' # 20 of 20 points`" in text
    assert "\n# 20" not in text
    assert "`'<b>'.ipynb`" in text


def test_what_is_the_same_everywhere_is_said_once():
    assert reports.feedback(marked(message="it raised an error")).count("it raised an error") == 1


def test_a_mark_that_could_not_be_given_is_no_zero(tmp_path):
    reports.write_grades(tmp_path, ASSIGNMENT, [("ann", marked(problem="Not marked: no sandbox", graded=False))])
    with open(tmp_path / "grades.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["points"] == row["percent"] == ""
    assert row["status"] == "Not marked: no sandbox"
    assert reports.own_form(marked(graded=False))["points"] is None


def test_names_of_files_are_safe_and_each_another():
    names = [
        "../../etc/passwd.py",
        "a/b.py",
        "\x00.py",
        "x" * 300 + ".py",
        "ann.py",
        "ann.ipynb",
        "ann-2.py",
        "Ann.py",
        "",
        "..",
        "é.py",
    ]
    stems = reports.stems(names)
    assert len({stem.lower() for stem in stems}) == len(names)
    for stem in stems:
        assert stem.isascii()
        assert 0 < len(stem) < 100
        assert "/" not in stem
        assert not stem.startswith(".")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "grades.csv"
    reports.write_atomically(target, "old")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="disk is full"):
        reports.write_atomically(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["grades.csv"]


def test_gradescopes_form_adds_up():
    form = reports.gradescope_form(marked())
    assert form["score"] == sum(test["score"] for test in form["tests"])
    assert {test["status"] for test in form["tests"]} == {"failed"}
    assert json.loads(json.dumps(form)) == form
