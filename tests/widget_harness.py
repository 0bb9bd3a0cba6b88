"""A page for widgets, in a real browser, without a server: every request is answered from memory or refused.

`conftest.py` makes the fixtures of it: `browser`, one Chromium for the session, and `widget_page`, a function that
opens a page. Its test fails when the page asked another host for anything or wrote to the console.
"""

import json
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

from cnnlib import widgets

ORIGIN = "http://widgets.test"
SCRIPTS = Path(widgets.__file__).parent
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PAGE = """<!doctype html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>Widgets</title>
<style>
  body { margin: 0; font: 1rem/1.6 sans-serif; }
  main { max-width: 46rem; margin: 0 auto; padding: 1rem; }
  html[data-theme=light] { background: #fff; color: #222; }
  html[data-theme=dark] { background: #121212; color: #ddd; }
</style></head>
<body><main><h1>Widgets</h1>BODY</main></body></html>"""


def scripts_of(body):
    """Return script tags for the elements that `body` holds."""
    names = [path.stem for path in SCRIPTS.glob("*.js") if f"<cnn-{path.stem.replace('_', '-')}" in body]
    return "".join(f'<script type="module" src="{ORIGIN}/{name}.js"></script>' for name in names)


def answer(route, html):
    """Serve the page and the widgets' own scripts; refuse everything else."""
    path = route.request.url.removeprefix(ORIGIN)
    if path == "/":
        return route.fulfill(body=html, content_type="text/html")
    script = SCRIPTS / path.lstrip("/")
    if path.count("/") == 1 and script.suffix == ".js" and script.is_file():
        return route.fulfill(body=script.read_text(encoding="utf-8"), content_type="text/javascript")
    return route.abort()


def open_page(context, body, complaints):
    """Open a page whose main part is `body`, and wait for its custom elements."""
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("requestfailed", lambda request: complaints.append(f"refused: {request.url}"))
    html = PAGE.replace("BODY", body + scripts_of(body))
    page.route("**/*", lambda route: answer(route, html))
    page.goto(f"{ORIGIN}/")
    page.wait_for_function("!document.querySelector(':not(:defined)')")
    return page


def element(name, **props):
    """Return the HTML of the custom element `name` with these properties."""
    return f"<cnn-{name} props='{json.dumps(props)}'></cnn-{name}>"


def axe_violations(page):
    """Return axe's violations on `page`, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']} ({rule['impact']}): {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def page_overflow(page):
    """Return by how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
