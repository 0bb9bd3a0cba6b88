"""Addresses: pages of ``book/`` are published at the root of the site, so the front page is ``index.html``."""

import json
from pathlib import Path
from urllib.parse import quote

from sphinx.application import Sphinx


def page_name(docname: str) -> str:
    """Return the published name of a document.

    >>> page_name("book/index"), page_name("notebooks/06_backpropagation")
    ('index', 'notebooks/06_backpropagation')
    """
    return docname.removeprefix("book/")


def flatten(app: Sphinx) -> None:
    """Make the builder write and link every document under its published name."""
    builder = app.builder
    if builder.format != "html":
        return
    builder.get_target_uri = lambda docname, typ=None: quote(page_name(docname)) + builder.link_suffix
    builder.get_outfilename = lambda pagename: str(Path(builder.outdir, page_name(pagename) + builder.out_suffix))


def rename_search_results(path: Path) -> None:
    """Give the search index at ``path`` the published names; it stores document names."""
    prefix, suffix = "Search.setIndex(", ")"
    index = json.loads(path.read_text("utf-8").removeprefix(prefix).removesuffix(suffix))
    index["docnames"] = [page_name(docname) for docname in index["docnames"]]
    path.write_text(prefix + json.dumps(index, ensure_ascii=False, separators=(",", ":")) + suffix, "utf-8")


def repository_name(url: str) -> str:
    """Return ``owner/name`` of a GitHub address; raise ValueError for anything else.

    >>> repository_name("https://github.com/example/cnn-course")
    'example/cnn-course'
    """
    name = url.removeprefix("https://github.com/").strip("/")
    if name == url or name.count("/") != 1:
        raise ValueError(f"repository.url in _config.yml is {url!r}; expected https://github.com/OWNER/NAME")
    return name


def site_address(url: str) -> str:
    """Return where GitHub Pages publishes the repository at ``url``.

    >>> site_address("https://github.com/example/cnn-course")
    'https://example.github.io/cnn-course/'
    """
    owner, name = repository_name(url).split("/")
    return f"https://{owner}.github.io/{name}/"
