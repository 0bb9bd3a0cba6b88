"""The convolution explorer as a reader hears and touches it, and in its adapters: the element and the notebook."""

import numpy as np
import pytest
from convolution_page import ASYMMETRIC, DECK, PHONE, RAMP, STRIDE_1, cell, choose, conv2d, explorer, heard, shown
from widget_harness import axe_violations, page_overflow

from cnnlib.widgets import ConvolutionExplorer

pytestmark = pytest.mark.browser


def test_what_a_screen_reader_says(widget_page):
    page = widget_page(explorer(padding=1))
    for name in ("Input, 6 × 6, padded to 8 × 8", "Kernel, 3 × 3", "Output, 6 × 6"):
        assert page.get_by_role("grid", name=name).count() == 1
    assert page.get_by_role("gridcell", name="padding: 0", exact=True).count() == 28
    cell(page, "y", 0, 0).focus()
    assert heard(page) == ("Output row 1, column 1 is 2: the sum of 1 times 1 and 1 times 1; 7 products are 0.")
    choose(page, "stride", 3)
    assert heard(page) == "Output 2 × 2."


STATES = {
    "deck": {"padding": 1},
    "leftover, turned": {"x": RAMP, "weight": ASYMMETRIC, "stride": 3, "mode": "convolution"},
    "misfit": {"x": [[1, 2], [3, 4]]},
    "wide sum": {"x": RAMP, "weight": np.full((2, 7), -123.456).tolist()},
}
LARGEST = {"x": np.ones((12, 12)).tolist(), "weight": np.full((7, 7), -123.456).tolist(), "padding": 3}


@pytest.mark.parametrize("device", [{}, PHONE], ids=["desktop", "phone"])
def test_no_axe_violation_and_no_overflow_light_and_dark(widget_page, device):
    page = widget_page("".join(explorer(**props) for props in STATES.values()), **device)
    cell(page.locator("cnn-convolution-explorer").first, "x", 1, 1).click()  # an open cell as well
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.wait_for_function(
            "theme => document.querySelector('.cnn-convolution-explorer').dataset.theme === theme", arg=theme
        )
        assert axe_violations(page) == []
    assert page_overflow(page) <= 0


def test_targets_can_be_touched(widget_page):
    page = widget_page(explorer(**LARGEST) + explorer(), **PHONE)
    assert page_overflow(page) <= 0
    sizes = page.locator("[data-at], button, select, fieldset label").evaluate_all(
        "nodes => nodes.map(node => node.getBoundingClientRect()).map(box => Math.min(box.width, box.height))"
    )
    assert len(sizes) > 300
    assert min(size for size in sizes if size) >= 24


def test_several_on_one_page_are_strangers(widget_page):
    page = widget_page(explorer() + explorer(x=RAMP))
    first, second = page.locator("cnn-convolution-explorer").all()
    choose(second, "stride", 2)
    cell(second, "y", 1, 1).hover()
    np.testing.assert_array_equal(shown(first), STRIDE_1)
    np.testing.assert_array_equal(shown(second), conv2d(RAMP, DECK.weight, stride=2))
    assert first.locator(".count").inner_text() == "1 of 16"
    assert second.locator(".count").inner_text() == "5 of 9"


# --------------------------------------------------------------------------------------------------------- adapters


def test_the_element_follows_its_attribute_and_survives_a_move(widget_page):
    page = widget_page(explorer())
    page.evaluate(
        """() => { const node = document.querySelector("cnn-convolution-explorer");
                   node.setAttribute("props", '{"stride": 2}'); document.body.append(node); }"""
    )
    np.testing.assert_array_equal(shown(page), [[3, -3], [-3, 0]])


def test_destroy_leaves_nothing_behind(widget_page):
    page = widget_page(explorer())
    left = page.evaluate(
        """async () => {
          const alive = new Set(), html = document.documentElement;
          for (const kind of ["Interval", "Timeout"]) {
            const set = window[`set${kind}`], clear = window[`clear${kind}`];
            window[`set${kind}`] = (f, delay) => { const id = set(f, delay); alive.add(id); return id; };
            window[`clear${kind}`] = (id) => { alive.delete(id); clear(id); };
          }
          const { mount } = await import("/convolution_explorer.js");
          const box = document.body.appendChild(document.createElement("div"));
          const handle = mount(box, {}), host = box.firstChild;
          host.shadowRoot.querySelector("[data-action=play]").click();
          host.shadowRoot.querySelector("[data-grid=y] [data-at='1 1']").focus();
          host.shadowRoot.querySelector("[data-action=play]").click();
          const before = alive.size;
          handle.destroy();
          host.dataset.theme = "as it was";
          html.dataset.theme = "dark";
          await Promise.resolve();
          return { before, after: alive.size, children: box.childNodes.length, theme: host.dataset.theme };
        }"""
    )
    assert left == {"before": 2, "after": 0, "children": 0, "theme": "as it was"}


def test_anywidget_model_and_view_follow_each_other(widget_page):
    page = widget_page("")
    props = {**DECK.props(), "stride": 2}
    page.evaluate(
        """async props => {
          const listeners = {};
          window.saved = [];
          window.model = {
            get: name => props[name],
            set: (name, value) => { props[name] = value; (listeners[`change:${name}`] ?? []).forEach(f => f()); },
            save_changes: () => saved.push(structuredClone(props)),
            on: (event, f) => (listeners[event] ??= []).push(f),
            off: (event, f) => { listeners[event] = listeners[event].filter(other => other !== f); },
          };
          const widget = (await import("/convolution_explorer.js")).default;
          const el = document.createElement("div");                       // notebooks attach the element afterwards
          window.cleanup = widget.render({ model, el });
          window.listening = () => Object.values(listeners).flat().length;
          document.querySelector("main").append(el);
        }""",
        props,
    )
    np.testing.assert_array_equal(shown(page), [[3, -3], [-3, 0]])
    page.evaluate("model.set('stride', 1)")
    np.testing.assert_array_equal(shown(page), STRIDE_1)
    assert page.evaluate("saved") == []
    choose(page, "mode", "convolution")
    cell(page, "weight", 0, 1).click()
    page.keyboard.type("0.5")
    page.keyboard.press("Enter")
    saved = page.evaluate("saved")
    assert [saved[0]["mode"], saved[1]["weight"][0]] == ["convolution", [1, 0.5, -1]]
    python = ConvolutionExplorer()
    python.set_state(saved[1])
    np.testing.assert_array_equal(shown(page), conv2d(python.x, python.weight, mode=python.mode))
    page.evaluate("cleanup()")
    assert page.evaluate("listening()") == 0
    assert page.locator(".cnn-convolution-explorer").count() == 0
