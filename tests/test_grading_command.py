"""The command that grades a folder, and the parts of the program that runs inside the sandbox."""

import os

import pytest
from grading_batches import NAME

from cnnlib.grading import __main__ as command_line
from cnnlib.grading import runner, sandbox

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
