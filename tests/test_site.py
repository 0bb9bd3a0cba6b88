"""The built site, page by page, in Chromium: quiet, complete, accessible, and asking no other host for anything."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml
from playwright.sync_api import sync_playwright

from tools.browser import axe_violations, launch, lay_out, load_widgets
from tools.serve import serve

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
PAGES = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]  # empty where nothing is built
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
REPOSITORY = CONFIG["repository"]["url"].removeprefix("https://github.com/")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address():
    with serve(SITE) as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def open_page(browser, url, *, scheme="light", width=1280, height=900):
    """Open ``url`` in a fresh context, with everything that goes wrong noted in ``page.faults``."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}).new_page()
    page.faults = []
    host = urlsplit(url).netloc

    def note_request(request):
        if urlsplit(request.url).netloc != host and not request.url.startswith(("data:", "blob:")):
            page.faults.append(f"asks another host: {request.url}")

    def note_failure(request):
        if request.failure != "net::ERR_ABORTED":  # leaving a page cancels what it still loads, such as its icon
            page.faults.append(f"request failed ({request.failure}): {request.url}")

    def note_console(message):
        if message.type in ("error", "warning"):
            page.faults.append(f"console {message.type}: {message.text}")

    page.on("request", note_request)
    page.on("console", note_console)
    page.on("pageerror", lambda error: page.faults.append(f"script error: {error}"))
    page.on("requestfailed", note_failure)
    page.on("response", lambda r: page.faults.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    page.goto(url, wait_until="load")
    return page


class Page(HTMLParser):
    """The ids, links, images and custom elements of a page."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.images, self.colab = set(), [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
            if "colab" in (attributes.get("class") or "").split():
                self.colab = attributes["href"]
        if tag == "img":
            self.images.append(attributes)


@pytest.fixture(scope="module")
def parsed():
    return {page: Page((SITE / page).read_text("utf-8")) for page in PAGES}


def test_the_site_is_built():
    assert PAGES, "there is no site in _build/html: run 'python -m tools.book' first"
    sources = {f"notebooks/{path.stem}.html" for path in (ROOT / "book" / "chapters").glob("*.md")}
    assert set(CHAPTERS) == sources
    assert {"index.html", "claims.html", "references.html", "search.html"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_page_loads_in_silence_and_from_here_alone(browser, address, page):
    opened = open_page(browser, address + page)
    opened.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    opened.wait_for_function("[...document.images].every((image) => image.complete)")
    interactives = load_widgets(opened)
    opened.wait_for_load_state("networkidle")
    broken = opened.evaluate("[...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)")
    undefined = opened.evaluate(
        "[...document.querySelectorAll('main *')].map((e) => e.localName)"
        ".filter((name) => name.startsWith('cnn-') && !customElements.get(name))"
    )
    opened.context.close()
    assert opened.faults == []
    assert broken == []
    assert undefined == [], "an interactive without its script"
    assert interactives or page not in [*CHAPTERS, "index.html"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_page_is_accessible_and_fits(browser, address, page, scheme, width):
    opened = open_page(browser, address + page, scheme=scheme, width=width)
    assert opened.evaluate("document.documentElement.dataset.theme") == scheme
    lay_out(opened)
    page_width = opened.evaluate("document.documentElement.scrollWidth")
    violations = axe_violations(opened, contrast=width > 400)
    opened.context.close()
    assert page_width <= width, f"the page scrolls sideways: it is {page_width} wide"
    assert violations == []


def test_internal_links_and_anchors_resolve(parsed):
    broken = []
    for page, contents in parsed.items():
        for link in contents.links:
            target = urlsplit(urljoin(f"http://site/{page}", link))
            if target.netloc != "site" or target.scheme != "http":
                continue
            path = unquote(target.path).removeprefix("/") or "index.html"
            if not (SITE / path).is_file():
                broken.append(f"{page}: {link} leads to no file")
            elif target.fragment and unquote(target.fragment) not in parsed[path].ids:
                broken.append(f"{page}: {link} leads to no such place in {path}")
    assert broken == []


def test_every_image_has_a_text_and_a_size(parsed):
    for page, contents in parsed.items():
        for image in contents.images:
            assert image.get("alt", "").strip(), f"{page}: {image['src']} has no alternative text"
            assert not image["alt"].startswith("_images"), f"{page}: {image['src']} is described by its file name"
            assert "width" in image, f"{page}: {image['src']} has no width: the page jumps when it loads"
    assert any(parsed[page].images for page in CHAPTERS)


@pytest.mark.parametrize("page", CHAPTERS)
def test_chapter_opens_in_colab_and_downloads(parsed, page):
    notebook = page.removesuffix(".html") + ".ipynb"
    branch = CONFIG["repository"]["branch"]
    expected = f"https://colab.research.google.com/github/{REPOSITORY}/blob/{branch}/{notebook}"
    assert parsed[page].colab == expected
    assert (SITE / "_sources" / notebook).read_bytes() == (ROOT / notebook).read_bytes()
    assert f"../_sources/{notebook}" in parsed[page].links


def test_search_finds_a_word_without_a_server(browser, address):
    page = open_page(browser, address + "index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("dilation")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results ul.search li a")
    page.wait_for_load_state("networkidle")
    targets = page.eval_on_selector_all("#search-results li a", "links => links.map((link) => link.href)")
    assert any("notebooks/04_convolution_arithmetic.html" in target for target in targets)
    page.click("#search-results li a[href*='04_convolution_arithmetic']")
    page.wait_for_selector("h1")
    assert "Convolution" in page.title()
    page.context.close()
    assert page.faults == []


def test_theme_can_be_chosen_and_is_kept(browser, address):
    page = open_page(browser, address + "index.html", scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click(".theme-switch-button")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(background) != light
    page.goto(address + "references.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.context.close()


def test_telephone_can_open_the_contents(browser, address):
    page = open_page(browser, address + CHAPTERS[0], width=390, height=844)
    page.click(".primary-toggle")
    page.wait_for_selector("#pst-primary-sidebar-modal[open]")
    page.click("#pst-primary-sidebar-modal a[href='../claims.html']")
    page.wait_for_url("**/claims.html")
    page.context.close()
    assert page.faults == []


def test_what_scrolls_can_be_reached_by_keyboard(browser, address):
    page = open_page(browser, address + CHAPTERS[0], width=390, height=844)
    lay_out(page)
    unreachable = page.evaluate(
        "[...document.querySelectorAll('article *')].filter((e) => /auto|scroll/.test(getComputedStyle(e).overflowX)"
        " && e.scrollWidth > e.clientWidth + 1 && e.clientWidth && e.tabIndex < 0).map((e) => e.outerHTML.slice(0, 99))"
    )
    page.context.close()
    assert unreachable == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_wide_formulas_can_be_scrolled_to_their_beginning(browser, address, page):
    opened = open_page(browser, address + page, width=390)
    lay_out(opened)
    cut = opened.evaluate(
        "[...document.querySelectorAll('div.math')].filter((box) => [...box.querySelectorAll('.base, .tag')]"
        ".some((part) => part.getBoundingClientRect().left < box.getBoundingClientRect().left - 1))"
        ".map((box) => box.textContent.slice(0, 60))"
    )
    boxes = opened.evaluate("document.querySelectorAll('div.math').length")
    opened.context.close()
    assert boxes > 5
    assert cut == []


def test_paper_is_white_and_hints_are_open(browser, address):
    page = open_page(browser, address + CHAPTERS[0], scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.querySelectorAll('article details:not([open])').length") == 0
    assert not page.is_visible(".bd-sidebar-primary")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.context.close()


def test_maths_is_rendered_and_read_aloud(parsed):
    html = (SITE / CHAPTERS[0]).read_text("utf-8")
    assert html.count('<span class="katex-mathml"><math') == html.count('class="katex-html" aria-hidden="true"') > 10
    assert "katex-error" not in "".join((SITE / page).read_text("utf-8") for page in PAGES)


def test_social_card_stands_where_the_repository_publishes():
    owner, name = REPOSITORY.split("/")
    html = (SITE / "index.html").read_text("utf-8")
    assert f'<meta property="og:image" content="https://{owner}.github.io/{name}/_static/social-card.png" />' in html
    assert (SITE / "_static" / "social-card.png").stat().st_size < 300_000


def defined_tests(path):
    """Return the names of the test functions in a file, those in classes as Class::name."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return names


def test_every_claim_names_tests_that_exist():
    entries = yaml.safe_load((ROOT / "book" / "claims.yml").read_text("utf-8"))
    assert entries, "the ledger is empty"
    for entry in entries:
        for test in entry["tests"]:
            file, _, name = test.partition("::")
            assert (ROOT / file).is_file(), f"{entry['id']} names {test}: there is no such file"
            assert name.split("[")[0] in defined_tests(ROOT / file), f"{entry['id']} names {test}: no such test"


def test_every_paper_that_a_chapter_links_is_in_the_references():
    listed = (ROOT / "book" / "references.bib").read_text("utf-8").lower()
    for chapter in (ROOT / "book" / "chapters").glob("*.md"):
        text = chapter.read_text("utf-8")
        papers = re.findall(r"(?:doi\.org/|arxiv\.org/(?:abs|pdf)/)([^\s)\]>\"]+)", text)
        assert papers, f"{chapter.name} cites nothing"
        for paper in papers:
            assert paper.removesuffix(".pdf").lower() in listed, f"{chapter.name} cites {paper}: not in references.bib"
