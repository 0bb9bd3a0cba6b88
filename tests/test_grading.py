"""Grading without the sandbox: what may be forged is refused, what may be broken is told, what is written is whole."""

import csv
import io
import json
import os
import re
import stat
import zipfile

import numpy as np
import pytest
from grading_batches import ASSIGNMENT, NAME, notebook

from cnnlib.grading import __main__ as command_line
from cnnlib.grading import reports, runner, sandbox, submission, wire
from cnnlib.grading.compare import PartMark, close, difference, mark_part
from cnnlib.grading.judge import Mark, QuestionMark, draw


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def header_only(text, body=b""):
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def frame(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


JSON = npy(np.frombuffer(b"{}", np.uint8))

# --- what comes out of the sandbox ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array", [np.zeros(()), np.zeros((2, 0)), np.arange(6.0).reshape(2, 3), np.array([True]), np.int64(3)]
)
def test_frames_come_back_as_they_were_sent(array):
    message, arrays = wire.read_frame(runner.pack({"a": [1, "b"]}, {"x": np.asarray(array)}))
    assert message == {"a": [1, "b"]}
    np.testing.assert_array_equal(arrays["x"], array)
    assert arrays["x"].dtype == np.asarray(array).dtype


ARRAY = "{'descr': '<f8', 'fortran_order': False, 'shape': SHAPE}"


def with_array(data):
    return frame({"json.npy": JSON, "x.npy": data})


def with_shape(shape, body=b""):
    return with_array(header_only(ARRAY.replace("SHAPE", shape), body))


def with_message(text):
    return frame({"json.npy": npy(np.frombuffer(text, np.uint8))})


FORGED = {
    "nothing": (b"", "BadZipFile"),
    "half a zip": (b"PK\x03\x04" + bytes(50), "BadZipFile"),
    "no message": (frame({}), "KeyError"),
    "not a dict": (with_message(b"[1]"), "expected a dict"),
    "deep json": (with_message(b"[" * 100_000), "RecursionError"),
    "broken json": (with_message(b'{"a": 1'), "JSONDecodeError"),
    "zip bomb": (frame({"json.npy": npy(np.zeros(1 << 20))}, zipfile.ZIP_DEFLATED), "expected what it holds"),
    "compressed": (frame({"json.npy": JSON}, zipfile.ZIP_DEFLATED), "is compressed"),
    "many entries": (frame({"json.npy": JSON, **{f"{i}.npy": JSON for i in range(2001)}}), "2002 entries"),
    "pickle": (with_array(npy(np.array([None]), allow_pickle=True)), "dtype is object"),
    "structure": (with_array(npy(np.zeros(2, "f8,i4"))), "expected plain numbers"),
    "text": (with_array(npy(np.array(["a"]))), "dtype is <U1"),
    "complex": (with_array(npy(np.zeros(2, complex))), "dtype is complex128"),
    "fortran": (with_array(npy(np.asfortranarray(np.ones((2, 3))))), "row-major"),
    "too short": (with_array(npy(np.ones(3))[:-1]), "expected the 23 bytes"),
    "too long": (with_array(npy(np.ones(3)) + b"0"), "expected the 25 bytes"),
    "version": (with_array(npy(np.ones(3), version=(2, 0))), "version is"),
    "expression": (with_shape("(10**12,)"), "header cannot be read"),
    "terabytes": (with_shape("(1000000000000,)"), "expected the 0 bytes"),
    "negative": (with_shape("(-1, -1)", bytes(8)), "expected the 8 bytes"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_frames_are_refused(name):
    forged, says = FORGED[name]
    with pytest.raises(wire.WireError, match=re.escape(says)):
        wire.read_frame(forged)


def test_a_frame_put_together_by_hand_is_read():
    _, arrays = wire.read_frame(with_shape("(2,)", np.array([1.0, 2.0]).tobytes()))
    np.testing.assert_array_equal(arrays["x"], [1, 2])


def test_overlapping_entries_are_refused():
    """A zip whose directory lists one stored entry a thousand times reads a thousand times its size."""
    data = frame({"x.npy": npy(np.zeros(1000))})
    directory, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[directory:end]
    tail = bytearray(data[end:])
    tail[8:10] = tail[10:12] = (1000).to_bytes(2, "little")
    tail[12:16] = (1000 * len(entry)).to_bytes(4, "little")
    with pytest.raises(wire.WireError, match="1000 entries"):
        wire.read_frame(data[:directory] + entry * 1000 + bytes(tail))


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"answers": 3},
        {"answers": []},
        {"answers": [{"arrays": ["x"]}]},
        {"answers": [{"arrays": "xx"}]},
        {"answers": [{"arrays": ["x", "y"]}]},
        {"answers": [{"arrays": [["x"], "x"]}]},
        {"answers": [None]},
        {"answers": [{"error": 3}]},
    ],
)
def test_forged_answers_are_refused(message):
    with pytest.raises(wire.WireError):
        wire.read_answers(message, {"x": np.zeros(1)}, calls=1, outputs=2)


def test_the_stream_is_cut_where_a_frame_is_not_whole():
    assert sandbox.split_frames((3).to_bytes(8, "big") + b"abc" + (9).to_bytes(8, "big") + b"ab") == [b"abc"]
    assert sandbox.split_frames(b"\xff" * 100) == []


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


# --- the command line --------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    try:
        status = command_line.main(list(arguments))
    except SystemExit as error:
        status = error.code
    return status, capsys.readouterr()


def test_help_can_be_read(capsys):
    status, said = run(capsys, "--help")
    assert status == 0
    for word in ("SUBMISSIONS", "--exercise", "--out", "--seed", "--jobs", "sandbox", "grades.csv", NAME):
        assert word in said.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{}", "--exercise", "99_nothing", "--out", "{}/out"], "choose from"),
        (["{}", "--exercise", NAME, "--out", "{}/out"], "it is empty"),
        (["{}/none", "--exercise", NAME, "--out", "{}/out"], "expected a folder or a file, and there is none"),
        (["{}", "--exercise", NAME, "--out", "{}/out", "--seed", "-1"], "expected a whole number of at least 0"),
        (["{}", "--exercise", NAME, "--out", "{}/out", "--jobs", "0"], "expected a whole number of at least 1"),
        (["{}", "--exercise", NAME], "--out"),
    ],
)
def test_misuse_is_told_and_writes_nothing(tmp_path, capsys, arguments, says):
    status, said = run(capsys, *(argument.format(tmp_path) for argument in arguments))
    assert status == 2
    assert says in said.err
    assert not (tmp_path / "out").exists()


def test_without_bubblewrap_nothing_is_run(tmp_path, capsys, monkeypatch):
    (tmp_path / "ann.py").write_text("import pathlib; pathlib.Path(__file__ + '.ran').touch()")
    find = sandbox.shutil.which
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None if name == "bwrap" else find(name))
    status, said = run(capsys, str(tmp_path), "--exercise", NAME, "--out", str(tmp_path / "out"))
    assert status == 2
    assert "sudo apt install bubblewrap" in said.err
    assert os.listdir(tmp_path) == ["ann.py"]


def test_a_bubblewrap_that_may_not_make_a_sandbox_is_explained(tmp_path, capsys, monkeypatch):
    (tmp_path / "ann.py").write_text("x = 1")
    monkeypatch.setattr(sandbox, "isolation", lambda: ["--no-such-option"])
    status, said = run(capsys, str(tmp_path), "--exercise", NAME, "--out", str(tmp_path / "out"))
    assert status == 2
    assert "no-such-option" in said.err
    assert "unprivileged user namespaces" in said.err


@pytest.mark.sandbox
def test_a_folder_that_cannot_be_made_is_told_before_any_work(tmp_path, capsys):
    (tmp_path / "ann.py").write_text("x = 1")
    (tmp_path / "file").write_text("in the way")
    status, said = run(capsys, str(tmp_path / "ann.py"), "--exercise", NAME, "--out", str(tmp_path / "file" / "out"))
    assert status == 2
    assert "file/out" in said.err


# --- the runner's own parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        (
            "try:\n    import a\nexcept E:\n    %pip install a\n    import a",
            "try:\n    import a\nexcept E:\n    pass\n    import a",
        ),
        ("!ls\nx = 1", "pass\nx = 1"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("%%html\n<b>", ""),
    ],
)
def test_magics_are_taken_out(source, plain):
    assert runner.without_magics(source) == plain
    assert runner.parse_cell(source, "cell 1")


def test_a_percent_sign_that_is_python_stays():
    namespace = {}
    assert runner.load(["x = (7\n  % 4)\ny = '''\n%pip\n'''"], namespace, 5.0) == []
    assert (namespace["x"], namespace["y"]) == (3, "\n%pip\n")


def test_a_statement_that_fails_costs_only_itself():
    namespace = {}
    notes = runner.load(
        ["import no_such_module\na = 1", "def broken(:", "b = 2\nraise SystemExit\nc = 3", "d = '\ud800'"],
        namespace,
        5.0,
    )
    assert (namespace["a"], namespace["b"], namespace["c"]) == (1, 2, 3)
    assert "cell 1, line 1" in notes[0]
    assert "cell 2, line 1: not Python" in notes[1]
    assert "SystemExit" in notes[2]
    assert "cell 4" in notes[3]
