"""What a page's template needs to know: its scripts, where it is published, and where its notebook is."""

import re
from html import escape
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

from .addresses import page_name, repository_name, site_address

logger = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[3]
WIDGETS = ROOT / "cnnlib" / "widgets"
ELEMENT = re.compile(r"<cnn-([a-z-]+)[\s>]")


def widget_scripts(body: str, docname: str) -> list[str]:
    """Return the module of each interactive that the page holds; warn of an element that has no module."""
    names = sorted({name.replace("-", "_") + ".js" for name in ELEMENT.findall(body)})
    for name in names:
        if not (WIDGETS / name).is_file():
            logger.warning("cnnlib/widgets has no %s for an element of this page", name, location=docname)
    return names


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
    context["course_widgets"] = widget_scripts(body, pagename)
    context["course_site"] = site_address(repository)
    context["course_page"] = "" if pagename == app.config.root_doc else page_name(pagename) + ".html"
    context["course_description"] = description(body)
    if pagename.startswith("notebooks/"):
        links = notebook_links(repository, options["repository_branch"], pagename, context["content_root"])
        context["body"] = body.replace("</h1>", "</h1>\n" + links, 1)
