"""What a page's template needs to know: its fonts, where it is published, and where its notebook is."""

import re
from html import escape
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

from .addresses import page_name, repository_name, site_address

logger = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[3]
WIDGETS = ROOT / "cnnlib" / "widgets"
MATHS_FONTS = ["KaTeX_Main-Regular.woff2", "KaTeX_Math-Italic.woff2"]
ELEMENT = re.compile(r"<cnn-([a-z-]+)[\s>]")


def check_widgets(body: str, docname: str) -> None:
    """Warn of an interactive on the page that has no module for course.js to load."""
    for name in sorted(set(ELEMENT.findall(body))):
        script = name.replace("-", "_") + ".js"
        if not (WIDGETS / script).is_file():
            logger.warning("cnnlib/widgets has no %s for an element of this page", script, location=docname)


def opening_fonts(body: str) -> list[str]:
    """Return the fonts to fetch first: those of formulas before the first code cell, whose text would jump later."""
    return MATHS_FONTS if 'class="katex' in body.partition('<div class="cell')[0] else []


def notebook_links(repository: str, branch: str, docname: str, root: str) -> str:
    """Return the line under a chapter's title that opens its notebook in Colab or downloads it."""
    colab = f"https://colab.research.google.com/github/{repository_name(repository)}/blob/{branch}/{docname}.ipynb"
    return (
        f'<p class="notebook-links"><a class="colab" href="{escape(colab)}">Open in Colab</a> '
        f'<a class="download" href="{root}_sources/{docname}.ipynb" download>Download the notebook</a></p>'
    )


def description(body: str) -> str:
    """Return the first paragraph of prose in ``body`` as plain text of at most 200 characters."""
    for paragraph in re.findall(r"<p>(.*?)</p>", body, re.DOTALL):
        if "katex" in paragraph:
            continue
        text = " ".join(re.sub(r"<[^>]+>", "", paragraph).split())
        if len(text) > 60:
            return text if len(text) <= 200 else text[:200].rsplit(" ", 1)[0] + " …"
    return ""


def add_context(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Fill in what ``templates/layout.html`` uses."""
    options = app.config.html_theme_options
    repository = options["repository_url"]
    body = context.get("body", "")
    for formula in re.findall(r'class="katex-error" title="([^"]*)"', body):
        logger.warning("KaTeX cannot read a formula: %s", formula, location=pagename)
    check_widgets(body, pagename)
    context["course_fonts"] = opening_fonts(body)
    context["course_site"] = site_address(repository)
    context["course_page"] = "" if pagename == app.config.root_doc else page_name(pagename) + ".html"
    context["course_description"] = description(body)
    if pagename.startswith("notebooks/"):
        links = notebook_links(repository, options["repository_branch"], pagename, context["content_root"])
        context["body"] = body.replace("</h1>", "</h1>\n" + links, 1)
