"""Take the README's picture of the site: ``python -m tools.screenshot``, after ``make book``."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools.serve import serve
from tools.system import chromium

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
PICTURE = ROOT / "book" / "_static" / "screenshot.png"
PAGE = "notebooks/04_convolution_arithmetic.html"
ELEMENT = "cnn-convolution-explorer"


def main() -> int:
    """Open the chapter, scroll to its interactive, and photograph what a reader sees."""
    if not (SITE / PAGE).exists():
        print("tools.screenshot: there is no site yet; run 'make book'", file=sys.stderr)
        return 2
    with serve(SITE) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 800}, reduced_motion="reduce")
        page.goto(address + PAGE)
        explorer = page.locator(ELEMENT).first
        explorer.get_by_text("Output", exact=True).first.wait_for()
        explorer.evaluate("element => scrollTo(0, element.getBoundingClientRect().top + scrollY - 75)")
        page.wait_for_timeout(500)  # the table of contents follows the scroll
        page.screenshot(path=PICTURE)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
