"""A chapter's source holds only what renders everywhere, and its first cell makes it run anywhere."""

import nbformat
import pytest
from nbformat import v4

from tools import notebook_checks, notebooks
from tools.notebook_checks import heading_problems, markdown_problems, source_problems

CHAPTERS = sorted(notebooks.SOURCES.glob("*.md"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_renders_everywhere(path):
    assert source_problems(notebooks.read_source(path)) == []


def test_the_address_stands_in_the_configuration():
    assert notebook_checks.repository_url().startswith("https://github.com/")
    assert not notebook_checks.repository_url().endswith(("/", ".git"))


def chapter(*cells):
    return v4.new_notebook(
        cells=[v4.new_markdown_cell("# Title"), v4.new_code_cell(notebook_checks.first_cell()), *cells]
    )


def test_a_good_chapter_has_no_problem():
    assert source_problems(chapter(v4.new_markdown_cell("## Part\n\nText."), v4.new_code_cell("1 + 1"))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda nb: nb.cells[1].update(source=nb.cells[1].source.replace("--quiet ", "")),
            "the first code cell must be",
        ),
        (lambda nb: nb.cells.pop(1), "the first code cell must be"),
        (lambda nb: nb.cells.append(v4.new_code_cell("\n".join(["x = 1"] * 13))), "has 13 lines"),
        (lambda nb: nb.cells.append(v4.new_raw_cell("raw")), "is a raw cell"),
        (lambda nb: nb.cells.append(v4.new_markdown_cell("### Too deep")), "has level 3 after level 1"),
        (lambda nb: nb.cells.append(v4.new_markdown_cell("# Second title")), "has level 1 after level 1"),
        (lambda nb: nb.cells.append(v4.new_markdown_cell("## Same\n\n## Same")), "stands twice"),
        (lambda nb: nb.cells.append(v4.new_markdown_cell("{ref}`there`")), "a MyST role"),
    ],
)
def test_a_bad_chapter_is_refused(change, message):
    nb = chapter()
    change(nb)
    (problem,) = source_problems(nb)
    assert message in problem


def test_headings_in_code_are_no_headings():
    nb = chapter(v4.new_markdown_cell("```python\n# a comment\n```"))
    assert heading_problems(nb) == []
    assert heading_problems(v4.new_notebook(cells=[v4.new_markdown_cell("text")])) == ["no title"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("```{note}\nText\n```", "a MyST directive"),
        (":::{note}\nText\n:::", "a MyST directive"),
        ("::: note", "a MyST fence"),
        ("see {ref}`there`", "a MyST role"),
        ("(label)=\n## Part", "a MyST target"),
        ("as noted[^1]", "a footnote"),
        ("$$a = b$$ (eq)", "a MyST equation label"),
        ("![](picture.png)", "an image without alt text"),
        ("{{ name }}", "a substitution"),
        ("% a comment", "a MyST comment"),
        ("\\begin{align}a\\end{align}", "mathematics outside dollars"),
        ('<div class="note">text</div>', "HTML other than"),
        ("<details><summary>Hint</summary>", "not closed"),
    ],
)
def test_what_does_not_render_everywhere_is_refused(text, what):
    (problem,) = markdown_problems(text)
    assert what in problem


@pytest.mark.parametrize(
    "text",
    [
        "`{ref}` and `<div>` are named, not used",
        "```python\nx = {'a': 1}  # <div>\n```",
        "$$\\begin{aligned} a &< b \\\\ c &> d \\end{aligned} \\tag{1}$$",
        "if $a<b$ and $c>d$ then **more** than 50 % of [it](https://doi.org/10.1/x)",
        "<details>\n<summary>Hint</summary>\n\nText\n\n</details>",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "> a note with an ![alt text](https://example.org/a.png)",
    ],
)
def test_what_renders_everywhere_is_accepted(text):
    assert markdown_problems(text) == []


def notebook(*sources):
    return v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])


@pytest.mark.notebooks
def test_the_first_cell_installs_only_what_is_missing_and_may_run_twice(tmp_path):
    hide = (
        "import sys\n"
        "from IPython import get_ipython\n"
        "installed = []\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'cnnlib' and not installed:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "get_ipython().register_magic_function(installed.append, 'line', 'pip')\n"
    )
    first = notebook_checks.first_cell()
    nb = notebooks.execute(notebook(hide, first, first, "print(installed, cnnlib.__name__)"), tmp_path)
    wanted = f"""['install --quiet "cnnlib @ git+{notebook_checks.repository_url()}"'] cnnlib\n"""
    assert nb.cells[-1].outputs == [nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": wanted})]
