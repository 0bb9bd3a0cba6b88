"""Each assignment: its source, its student notebook, its check, its known mistakes. Nothing here needs the sandbox."""

import json
import subprocess
import sys

import numpy as np
import pytest
from grading_batches import ASSIGNMENT, NAME, SOURCE, WRONG, header, solved

from cnnlib.grading import Exercise
from cnnlib.grading.spec import known, load
from tools import exercises

EXERCISE = Exercise(NAME)
SEEDS = range(5)
MISTAKES = [
    pytest.param(question, mistake, id=f"{question.name}-{number}")
    for question in ASSIGNMENT.questions
    for number, mistake in enumerate(question.mistakes)
]


def run_cells(cells):
    namespace = {}
    for cell in cells:
        if "%pip" not in cell:
            exec(cell, namespace)
    return namespace


@pytest.fixture(scope="module")
def solution():
    return run_cells(solved())


def test_student_notebook_is_that_of_its_source():
    assert exercises.main(["--check"]) == 0


def test_check_finds_an_edited_notebook(tmp_path, monkeypatch, capsys):
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "exercise.md").write_bytes(SOURCE.read_bytes())
    monkeypatch.setattr(exercises, "EXERCISES", tmp_path)
    assert exercises.main(["--check"]) == 1
    assert exercises.main([]) == 0
    assert exercises.main(["--check"]) == 0
    target = folder / "student.ipynb"
    target.write_text(target.read_text().replace("seven pixels wide", "eight pixels wide"))
    assert exercises.main(["--check"]) == 1
    assert "run python -m tools.exercises" in capsys.readouterr().out


def test_student_notebook_holds_no_solution():
    text = (SOURCE.parent / "student.ipynb").read_text()
    cells = json.loads(text)["cells"]
    assert "SOLUTION" not in text
    assert text.count("NotImplementedError") == len(ASSIGNMENT.questions)
    for line in ("span = ", "grad_padded", "turned = ", "np.pad"):
        assert line in SOURCE.read_text()
        assert line not in text
    assert all(not cell.get("outputs") for cell in cells)


@pytest.mark.parametrize("source", ["### BEGIN SOLUTION\nx = 1", "x = 1\n### END SOLUTION"])
def test_a_marker_without_its_partner_is_refused(source):
    with pytest.raises(ValueError, match="lacks its partner"):
        exercises.stub(source)


@pytest.mark.parametrize("seed", range(20))
def test_the_solution_passes_every_check(solution, seed):
    for question in ASSIGNMENT.questions:
        report = EXERCISE.check(question.name, solution[question.function], seed=seed)
        assert report.passed, str(report)
        assert report.arguments is None


def test_the_stub_passes_nothing():
    cells = json.loads((SOURCE.parent / "student.ipynb").read_text())["cells"]
    stub = run_cells("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for question in ASSIGNMENT.questions:
        report = EXERCISE.check(question.name, stub[question.function])
        assert sum(part.earned for part in report.parts) == 0
        assert "not written yet" in str(report)


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_check_recognises_a_wrong_answer(path):
    says = header(path)
    question = ASSIGNMENT.question(says["question"])
    function = run_cells(["import numpy as np", path.read_text()])[question.function]
    for seed in SEEDS:
        report = EXERCISE.check(question.name, function, seed=seed)
        first = next(part for part in report.parts if not part.passed)
        assert says["diagnosis"] in first.diagnosis
        assert sum(part.earned for part in report.parts) == int(says["points"]) < question.points
        assert says["diagnosis"] in str(report)


def test_there_are_wrong_answers_to_every_question():
    assert {header(path)["question"] for path in WRONG} == {question.name for question in ASSIGNMENT.questions}
    assert len(WRONG) >= 12


@pytest.mark.parametrize(("question", "mistake"), MISTAKES)
def test_every_mistake_loses_points_and_is_told_from_the_others(question, mistake):
    for seed in SEEDS:
        report = EXERCISE.check(question.name, mistake.answer, seed=seed)
        assert not report.passed
        assert mistake.says in {part.diagnosis for part in report.parts}


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.name)
def test_laws_hold_for_right_answers(question):
    rng = np.random.default_rng(0)
    for part in question.parts:
        for call in part.draw(rng):
            answer = question.reference(*call.values())
            values = [np.asarray(value) for value in (answer if len(question.outputs) > 1 else (answer,))]
            assert all(law.holds(call, values) for law in question.laws)


def test_a_law_is_named_where_no_mistake_is_recognised(solution):
    def noisy(*arguments):
        grad_x, grad_weight, grad_bias = solution["conv2d_backward"](*arguments)
        return 1.5 * grad_x, grad_weight, grad_bias

    report = EXERCISE.check("q3", noisy)
    assert "y is linear in x" in report.diagnosis
    assert [part.passed for part in report.parts] == [True, True, True, False, False, False, False]


def test_an_unrecognised_mistake_is_shown_and_not_guessed_at(solution):
    def off(*arguments):
        y = solution["conv2d"](*arguments)
        y[0, 0, 1, 2] += 1
        return y

    report = EXERCISE.check("q2", off)
    assert report.diagnosis == ""
    assert "y[0, 0, 1, 2] differs: yours is" in str(report)
    assert "(1 of " in str(report)


def test_what_raises_on_some_calls_and_is_right_on_others_gets_no_diagnosis():
    question = ASSIGNMENT.question("q1")

    def picky(size, kernel_size, stride, padding, dilation):
        if padding:
            raise ZeroDivisionError
        return question.reference(size, kernel_size, stride, padding, dilation)

    report = EXERCISE.check("q1", picky)
    assert not report.parts[0].passed
    assert "ZeroDivisionError" in report.parts[0].message
    assert report.parts[0].diagnosis == ""


def test_a_report_never_holds_the_right_numbers(solution):
    report = EXERCISE.check("q2", lambda *arguments: solution["conv2d"](*arguments) + 100)
    right = ASSIGNMENT.question("q2").reference(*report.arguments.values())
    assert f"yours is {right.flat[0] + 100:.6g}" in str(report)
    assert f"{right.flat[0]:.6g}"[:6] not in str(report)


def test_a_report_can_be_drawn_again_and_keeps_its_arguments(solution):
    report = EXERCISE.check("q2", lambda *_: None)
    again = EXERCISE.check("q2", lambda *_: None, seed=report.seed)
    for name, value in report.arguments.items():
        np.testing.assert_array_equal(value, again.arguments[name])
    assert str(report) == str(again) == repr(report)
    assert "is a return statement missing" in str(report)
    assert solution["conv2d"](*report.arguments.values()).shape


def test_a_report_shows_itself_in_a_notebook():
    def failing(_kernels):
        raise ValueError("<script>")

    shown = EXERCISE.check("q4", failing)._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_a_function_cannot_change_its_inputs(solution):
    def spoiling(x, *others):
        y = solution["conv2d"](x, *others)
        x[:] = 0
        return y

    assert EXERCISE.check("q2", spoiling).passed


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((1, 2, 3), "it returned a tuple of 3 where 2 values are expected"),
        (5, "it returned a int where 2 values are expected"),
        (("a", "b"), "dtype <U1 where numbers are expected"),
        ((1j, 2), "dtype complex128 where numbers are expected"),
        ((None, 1), "it returned None"),
        (([1, 2], 1), "windows has shape (2,); expected one number"),
    ],
)
def test_check_says_what_was_returned(value, says):
    assert says in str(EXERCISE.check("q1", lambda *_: value))


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="exercise is '99_nothing'; expected one of 04_convolution_arithmetic"):
        load("99_nothing")
    with pytest.raises(ValueError, match="question is 'q9'; expected one of q1, q2, q3, q4"):
        EXERCISE.check("q9", print)
    with pytest.raises(ValueError, match="function is 3; expected the function conv2d"):
        EXERCISE.check("q2", 3)
    assert known() == [NAME]


def test_check_needs_neither_torch_nor_scipy():
    code = (
        "import sys; sys.modules.update(torch=None, scipy=None)\n"
        f"from cnnlib.grading import Exercise; print(Exercise('{NAME}').check('q4', lambda k: k))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "WRONG" in done.stdout
