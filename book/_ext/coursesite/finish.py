"""The last step of a build: one small style sheet in each page, one script for all, complete images, nothing unused."""

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from .addresses import rename_search_results
from .figures import complete_images
from .pages import WIDGETS
from .stylesheet import Vocabulary, drop_unreferenced, keep_used

STYLESHEET = re.compile(r'\s*<link\b(?=[^>]*rel="stylesheet")[^>]*href="([^"?]+)[^"]*"[^>]*>')
# In the order in which they need one another. course.js is this site's own.
SCRIPTS = [
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "scripts/sphinx-book-theme.js",
    "scripts/pydata-sphinx-theme.js",
    "course.js",
]
# The theme measures every code block at load, and so lays out the whole page; course.js measures what comes near.
EAGER = '"complete"===document.readyState?I():window.addEventListener("load",I)'
# Of everything that the theme and the extensions copy, what pages still ask for.
KEPT = ["course-bundle.js", "language_data.js", "searchtools.js", "favicon.svg", "social-card.png", "vendor", "widgets"]
URL = re.compile(r"url\(\s*[\"']?(?!data:|#)([^\"')]+)[\"']?\s*\)")


def replace(text: str, old: str, new: str, name: str) -> str:
    """Replace a passage of a script that others wrote; stop the build where a new version no longer has it."""
    if old not in text:
        raise ExtensionError(f"{name} has changed: it no longer holds {old!r}, which coursesite/finish.py replaces")
    return text.replace(old, new)


def bundle_scripts(static: Path) -> str:
    """Write the scripts that every page loads into one file and return its text."""
    texts = [re.sub(r"//# sourceMappingURL=.*", "", (static / name).read_text("utf-8")) for name in SCRIPTS]
    bundle = replace("\n;".join(texts), EAGER, "0", "pydata-sphinx-theme.js")
    (static / "course-bundle.js").write_text(bundle, "utf-8")
    return bundle


def mend_search(static: Path) -> str:
    """Leave all but one of the three forms of each formula out of the summaries of results; return the script."""
    path = static / "searchtools.js"
    removed = '[".headerlink", "script", "style"'
    text = replace(path.read_text("utf-8"), removed, f'{removed}, "annotation", ".katex-html"', path.name)
    path.write_text(text, "utf-8")
    return text


def read_stylesheets(pages: dict[Path, str]) -> dict[Path, str]:
    """Return the text of each style sheet that a page links, in order, with addresses relative to the site's root."""
    sheets: dict[Path, str] = {}
    for page, html in pages.items():
        for link in STYLESHEET.findall(html):
            path = (page.parent / link).resolve()
            sheets.setdefault(path, path.read_text("utf-8"))
    return sheets


def inline_styles(pages: dict[Path, str], output: Path, scripts: str) -> None:
    """Replace, in every page, the linked style sheets by one inline sheet of the rules that some page can use."""
    vocabulary = Vocabulary()
    vocabulary.add_script(scripts)
    for html in pages.values():
        vocabulary.feed(html)
    css = ""
    for path, text in read_stylesheets(pages).items():
        folder = path.parent.relative_to(output.resolve())
        css += URL.sub(lambda url, folder=folder: f"url(SITE_ROOT{(folder / url[1]).as_posix()})", text)
    css = drop_unreferenced(keep_used(css, vocabulary))
    for page, html in pages.items():
        root = "../" * (len(page.relative_to(output).parts) - 1)
        style = f"\n<style>{css.replace('SITE_ROOT', root)}</style>"
        first = STYLESHEET.search(html)
        head, tail = html[: first.start()], html[first.end() :]
        pages[page] = head + style + STYLESHEET.sub("", tail)


def drop_unused(static: Path) -> None:
    """Delete what the theme copies into ``_static`` and no page asks for."""
    for path in static.iterdir():
        if path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(static / "vendor" / "fontawesome", ignore_errors=True)


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Do all of it, once the pages are written."""
    if exception or app.builder.format != "html":
        return
    output = Path(app.outdir)
    static = output / "_static"
    (static / "widgets").mkdir(exist_ok=True)
    for script in WIDGETS.glob("*.js"):
        shutil.copy(script, static / "widgets")
    pages = {
        page: page.read_text("utf-8")
        for page in sorted(output.rglob("*.html"))
        if page.relative_to(output).parts[0] not in ("_static", "_sources")
    }
    scripts = bundle_scripts(static) + mend_search(static)
    inline_styles(pages, output, scripts)
    for page, html in pages.items():
        deferred = html.replace("<script src=", "<script defer src=")  # those of the search page
        page.write_text(complete_images(deferred, page), "utf-8")
    drop_unused(static)
    rename_search_results(output / "searchindex.js")
