"""Chromium as tests and measurements use it, and what axe finds in a page of the site."""

from playwright.sync_api import Browser, Page, Playwright

from tools.book import ROOT
from tools.system import chromium

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Sections out of view are laid out lazily: here everything is laid out, so that everything is checked.
LAY_OUT = ".bd-article section { content-visibility: visible !important }"
NEXT_FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
FORMULAS_TO_LETTERS = "document.querySelectorAll('.katex').forEach((formula) => formula.replaceChildren('x'))"


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium; it asks no host for anything that a page does not ask for."""
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS)


def load_widgets(page: Page) -> int:
    """Scroll to every interactive of a page, wait until its script has come, and return how many there are."""
    scripts = (ROOT / "cnnlib" / "widgets").glob("*.js")
    elements = page.query_selector_all(", ".join("cnn-" + path.stem.replace("_", "-") for path in scripts))
    for element in elements:
        element.scroll_into_view_if_needed()
        page.wait_for_function("(element) => customElements.get(element.localName)", arg=element)
    return len(elements)


def lay_out(page: Page) -> None:
    """Lay out the whole page with its interactives, and let course.js look at every box that may scroll.

    It does the last where the width changes.
    """
    page.add_style_tag(content=LAY_OUT)
    load_widgets(page)
    size = page.viewport_size
    if size is None:
        raise ValueError("page has no viewport size; expected one opened with a viewport")
    for width in (size["width"] + 1, size["width"]):
        page.set_viewport_size({"width": width, "height": size["height"]})
        page.wait_for_function(f"innerWidth === {width}")
        page.evaluate(NEXT_FRAME)  # the event that course.js waits for comes with a frame


def axe_violations(page: Page, *, contrast: bool = True) -> list[tuple[str, str]]:
    """Return (rule, element) for each violation that axe finds in a page laid out by ``lay_out``.

    A formula is hundreds of elements of one colour, over which axe would take minutes: a letter stands for it.
    Contrast takes axe most of its time, and does not depend on the width of the window.
    """
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(FORMULAS_TO_LETTERS)
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": contrast}}}
    violations = Axe().run(page, options=options).response["violations"]
    return [(violation["id"], node["html"][:200]) for violation in violations for node in violation["nodes"]]
