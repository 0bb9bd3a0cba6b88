"""Fetch the front-end files that the site carries: ``python -m tools.vendor`` refreshes ``book/_static/vendor``.

The only one is KaTeX's style sheet with its fonts, in the version whose script renders the formulas when the book is
built. ``npm pack`` fetches it from whatever registry npm is set to.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.book import ROOT, node_directory

KATEX = ROOT / "book" / "_static" / "vendor" / "katex"


def npm() -> list[str]:
    """Return the command that runs the npm of the node wheel."""
    package = node_directory() if os.name == "nt" else node_directory().parent / "lib"
    return [str(node_directory() / "node"), str(package / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def fetch(package: str, version: str, folder: Path) -> Path:
    """Unpack ``package`` from the npm registry below ``folder`` and return where it lies."""
    run = subprocess.run(
        [*npm(), "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True, text=True
    )
    with tarfile.open(folder / run.stdout.split()[-1]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def only_woff2(css: str) -> str:
    """Drop the fonts in older formats from a style sheet.

    >>> only_woff2('src:url(a.woff2) format("woff2"),url(a.woff) format("woff"),url(a.ttf) format("truetype")}')
    'src:url(a.woff2) format("woff2")}'
    """
    return re.sub(r',url\([^)]+\.(?:woff|ttf)\) format\("[a-z]+"\)', "", css)


def refresh_katex(version: str) -> None:
    """Replace the vendored style sheet, fonts and licence by those of KaTeX ``version``."""
    with tempfile.TemporaryDirectory() as folder:
        package = fetch("katex", version, Path(folder))
        shutil.rmtree(KATEX, ignore_errors=True)
        (KATEX / "fonts").mkdir(parents=True)
        css = (package / "dist" / "katex.min.css").read_text("utf-8")
        (KATEX / "katex.min.css").write_text(only_woff2(css), "utf-8")
        for font in (package / "dist" / "fonts").glob("*.woff2"):
            shutil.copy(font, KATEX / "fonts")
        shutil.copy(package / "LICENSE", KATEX)


def main() -> int:
    """Fetch everything."""
    from sphinxcontrib.katex import katex_version

    refresh_katex(katex_version)
    print(f"tools.vendor: KaTeX {katex_version} is in {KATEX.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
