"""What this site adds to Jupyter Book: lean pages, accessible figures, links to Colab, and the ledger of claims."""

from pathlib import Path

from sphinx.application import Sphinx

from . import addresses, claims, figures, finish, maths, pages


def add_templates(app: Sphinx, config) -> None:
    """Put this package's templates before the theme's."""
    config.templates_path.append(str(Path(__file__).parent / "templates"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect each part to the moment of the build that it works at."""
    app.add_config_value("comments_config", {}, "html")  # Jupyter Book sets it even where sphinx_comments is left out
    app.connect("config-inited", add_templates)
    app.connect("builder-inited", addresses.flatten)
    app.connect("builder-inited", maths.start_server, priority=900)  # after katex has learnt where its script is
    app.connect("source-read", claims.insert_ledger)
    app.connect("doctree-read", figures.describe)
    app.connect("html-page-context", pages.add_context)
    app.connect("build-finished", finish.finish, priority=900)  # after the theme has written its pygments.css
    return {"parallel_read_safe": True, "parallel_write_safe": True}
