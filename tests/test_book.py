"""The build of the site: its parts one by one, and that a fault in a page stops it."""

import base64
import doctest
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tools import book, vendor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from coursesite import addresses, claims, figures, pages, stylesheet  # noqa: E402

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAIAAAA2iEnWAAAADklEQVR4nGP4jwoYMPgAQ8cR7yAOFhAAAAAASUVORK5CYII="
)
ENTRY = {
    "id": "E2",
    "deck": "S2 and S4",
    "says": "The filter shows convolution.",
    "verdict": "unclear",
    "holds": "It equals its own half turn.",
    "section": "01_tiny#a-section",
    "tests": ["tests/test_book.py::test_a_small_book_is_built"],
}


def small_book(folder, *, entries=(ENTRY,), metadata=None, body="$a_b$"):
    """Write a book of one chapter, with one figure, at ``folder``."""
    figure = {
        "output_type": "display_data",
        "data": {"image/png": base64.b64encode(PNG).decode(), "text/plain": "<Figure size 640x480>"},
        "metadata": {"image/png": metadata} if metadata else {},
    }
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": f"# Tiny\n\n## A section\n\n{body}"},
        {"cell_type": "code", "id": "b", "metadata": {}, "source": "1", "execution_count": 1, "outputs": [figure]},
    ]
    notebook = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    for name in ("book", "notebooks"):
        (folder / name).mkdir()
    for name in ("_ext", "_static", "references.bib", "claims.md"):
        (folder / "book" / name).symlink_to(ROOT / "book" / name)
    (folder / "book" / "claims.yml").write_text(yaml.safe_dump(list(entries)), "utf-8")
    (folder / "book" / "index.md").write_text("# Home\n\n[chapter](../notebooks/01_tiny.ipynb)\n", "utf-8")
    (folder / "notebooks" / "01_tiny.ipynb").write_text(json.dumps(notebook), "utf-8")
    toc = {
        "format": "jb-book",
        "root": "book/index",
        "chapters": [{"file": "notebooks/01_tiny"}, {"file": "book/claims"}],
    }
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc), "utf-8")
    shutil.copy(ROOT / "_config.yml", folder)


def test_a_small_book_is_built(tmp_path, capfd):
    of_a_page = ENTRY | {"id": "E3", "section": "claims#what-the-decks-say-and-what-holds"}
    small_book(tmp_path, entries=[ENTRY, of_a_page], metadata={"alt": "Six grey pixels"})
    status = book.build(tmp_path)
    assert status == 0, capfd.readouterr().err
    chapter = (tmp_path / "_build" / "html" / "notebooks" / "01_tiny.html").read_text("utf-8")
    assert 'alt="Six grey pixels"' in chapter
    assert 'width="2" height="3"' in chapter
    assert "<math" in chapter
    assert 'rel="stylesheet"' not in chapter
    ledger = (tmp_path / "_build" / "html" / "claims.html").read_text("utf-8")
    assert "Liang and Newson" in ledger
    assert 'href="notebooks/01_tiny.html#a-section"' in ledger
    assert 'href="#what-the-decks-say-and-what-holds">Where it is computed' in re.sub("<span.*?>", "", ledger)


def test_a_faulty_page_stops_the_build(tmp_path, capfd):
    elsewhere = ENTRY | {"section": "01_tiny#nowhere"}
    small_book(tmp_path, entries=[elsewhere], body="$\\frac{1$ and <cnn-nothing></cnn-nothing>")
    assert book.build(tmp_path) != 0
    printed = capfd.readouterr().err
    assert "has no alternative text" in printed
    assert "cnnlib/widgets has no nothing.js" in printed
    assert "KaTeX cannot read a formula" in printed
    assert "nowhere" in printed


def test_a_faulty_ledger_stops_the_build(tmp_path, capfd):
    small_book(tmp_path, entries=[ENTRY | {"verdict": "perhaps"}], metadata={"alt": "Six grey pixels"})
    assert book.build(tmp_path) != 0
    assert "verdict is 'perhaps'; expected one of right, wrong, unclear, depends" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a sentence", "is not a mapping"),
        (ENTRY | {"holds": ""}, "has no holds"),
        (ENTRY | {"hold": "x"}, "unknown key 'hold'"),
        (ENTRY | {"tests": "tests/test_x.py::test_y"}, "expected a list of tests"),
        (ENTRY | {"tests": ["test_y"]}, "expected tests/test_x.py::test_y"),
        (ENTRY | {"section": "04_convolution_arithmetic"}, "expected NN_name#anchor"),
    ],
)
def test_ledger_names_what_is_wrong_with_an_entry(tmp_path, entry, message):
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump([entry]), "utf-8")
    with pytest.raises(ValueError, match=message):
        claims.read_ledger(path)


def test_ledger_refuses_what_is_no_list_and_an_id_used_twice(tmp_path):
    path = tmp_path / "claims.yml"
    for text, message in (
        ("a: 1", "holds a dict"),
        ("[", "is not YAML"),
        (yaml.safe_dump([ENTRY] * 2), "more than once"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            claims.read_ledger(path)


def test_text_of_a_figure_is_its_metadata_or_its_plain_text():
    def alt(metadata, plain):
        output = {"data": {"image/png": base64.b64encode(PNG).decode(), "text/plain": plain}, "metadata": metadata}
        return figures.alternative_texts({"cells": [{"outputs": [output]}, {}]})[hashlib.sha256(PNG).hexdigest()]

    assert alt({"image/png": {"alt": "Six pixels"}}, "<Figure>") == "Six pixels"
    assert alt({}, "Six pixels") == "Six pixels"
    assert alt({}, "<Figure size 640x480>") == ""


def test_images_have_a_size_and_wait(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)

    def completed(attributes):
        return figures.complete_images(f"<img {attributes}/>", tmp_path / "p.html")

    rest = ' loading="lazy" decoding="async" />'
    assert completed('src="a.png" alt="x"') == '<img src="a.png" alt="x" width="2" height="3"' + rest
    assert completed('src="a.png" width="9"') == '<img src="a.png" width="9"' + rest
    assert completed('src="a.png" style="width: 4px; height: 6px;"') == '<img src="a.png" width="4" height="6"' + rest
    (tmp_path / "b.png").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"b\.png is not a PNG file"):
        figures.png_size(tmp_path / "b.png")


def purge(css, html, script=""):
    vocabulary = stylesheet.Vocabulary()
    vocabulary.feed(html)
    vocabulary.add_script(script)
    return stylesheet.drop_unreferenced(stylesheet.keep_used(css, vocabulary))


@pytest.mark.parametrize(
    ("css", "kept"),
    [
        ("p { color: red } q { color: red }", "p{color:red}"),
        (".a,.b{x:1} #c .a{x:2} #d .a{x:3}", ".a{x:1}#d .a{x:3}"),
        ("p:not(.gone):hover::before{x:1}", "p:not(.gone):hover::before{x:1}"),
        (".made{x:1} .other{x:1}", ".made{x:1}"),
        ("@media print{p{x:1}q{x:1}} @media all{q{x:1}}", "@media print{p{x:1}}"),
        ("p{--used:1;--idle:var(--deep);--deep:2;x:var(--used)}", "p{--used:1;x:var(--used)}"),
        ("p{--icon:url(\"data:image/svg+xml,<svg style='a:b;c:d'/>\");m:var(--icon)}", None),
        (
            "@keyframes go{0%{x:1}} @keyframes gone{0%{x:1}} p{animation:go 1s}",
            "@keyframes go{0%{x:1}}p{animation:go 1s}",
        ),
        ("@font-face{font-family:A;src:x} @font-face{font-family:B;src:x} p{font:1em A}", None),
        ("/* a { comment */ p{x:1}", "p{x:1}"),
    ],
)
def test_stylesheet_keeps_what_pages_can_use(css, kept):
    result = purge(css, '<p class="a" id="d"></p>', "element.className = 'made'; other()")
    if "data:" in css:
        assert result == css
    elif "font-face" in css:
        assert "font-family:A" in result
        assert "font-family:B" not in result
    else:
        assert result == kept


def test_repository_address_gives_the_site():
    assert addresses.site_address("https://github.com/a/b") == "https://a.github.io/b/"
    for url in ("https://gitlab.com/a/b", "https://github.com/a", ""):
        with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/NAME"):
            addresses.repository_name(url)


def test_description_is_the_first_paragraph_of_prose():
    text = "Take an image of seven pixels by seven, and move the <b>kernel</b>\nthree at a time."
    assert pages.description(f"<p>short</p><p>{text}</p>").startswith(
        "Take an image of seven pixels by seven, and move the"
    )
    assert len(pages.description(f"<p>{'long words ' * 60}</p>")) <= 202


def test_katex_styles_are_of_the_version_that_renders():
    from sphinxcontrib.katex import katex_version

    css = (vendor.KATEX / "katex.min.css").read_text("utf-8")
    assert f'content:"{katex_version}"' in css
    assert vendor.only_woff2(css) == css


@pytest.mark.parametrize("module", [addresses, claims, vendor])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
