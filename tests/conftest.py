"""What all tests share: how hypothesis draws, and a browser for those that need one."""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported; two workers share two cores

# The same cases on every run, and no deadline that a slow machine could miss.
settings.register_profile(
    "course", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("course")


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests of the session."""
    from playwright.sync_api import sync_playwright
    from widget_harness import CHROMIUM_FLAGS

    from tools.system import chromium

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def widget_page(browser):
    """A function that opens a page: `widget_page(html, **options_of_the_browser_context)`."""
    from widget_harness import open_page

    complaints, contexts = [], []

    def make(body, **options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1000, "height": 900}, **options}))
        return open_page(contexts[-1], body, complaints)

    yield make
    for context in contexts:
        context.close()
    assert complaints == []
