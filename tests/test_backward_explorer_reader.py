"""The backward explorer as a reader meets it: by mouse, touch and keyboard, heard, stepped, and in a notebook."""

import json

import numpy as np
import pytest
from backward_page import DRAWN, MODULE, PHONE, cell, explorer, gradients, text, values, written
from widget_harness import axe_violations, element, page_overflow

from cnnlib.widgets import BackwardExplorer

pytestmark = pytest.mark.browser
PRESETS = 4


def lit(page, grid):
    """Return {index: letter} of the lit cells of a grid, the letter "" where all products meet."""
    found = page.locator(f"[data-grid={grid}] .lit").evaluate_all(
        "cells => cells.map(cell => [cell.dataset.at, cell.querySelector('.letter').textContent])"
    )
    return {tuple(map(int, index.split())): letter for index, letter in found}


def test_mouse_lights_the_cells_of_each_product(widget_page):
    page = widget_page(element("backward-explorer"))
    everywhere = {(0, 0): "a", (0, 1): "b", (1, 0): "c", (1, 1): "d"}
    cell(page, "x", 1, 1).click()
    assert page.locator("[data-grid] input").count() == 0
    assert lit(page, "gy") == lit(page, "y") == everywhere
    assert lit(page, "w") == {(1, 1): "a", (1, 0): "b", (0, 1): "c", (0, 0): "d"}
    assert lit(page, "gx") == {(1, 1): ""}
    assert lit(page, "gw") == {}
    products, total = written(page)
    assert products[1] == ("b", "∂L/∂y[0,1]·w[1,0]", -2)
    assert total == 11
    cell(page, "gw", 0, 1).click()
    assert lit(page, "x") == {(0, 1): "a", (0, 2): "b", (1, 1): "c", (1, 2): "d"}
    assert lit(page, "w") == lit(page, "gw") == {(0, 1): ""}
    cell(page, "y", 1, 0).click()
    assert lit(page, "x") == lit(page, "gx") == {(1, 0): "a", (1, 1): "b", (2, 0): "c", (2, 1): "d"}
    assert lit(page, "w") == lit(page, "gw") == everywhere
    cell(page, "gb", 0, 0).click()
    assert lit(page, "gy") == everywhere
    assert text(page, ".result") == "∂L/∂b = Σ ∂L/∂y = 1 + 2 + 3 + 4 = 10"


def test_corner_and_unread_inputs_are_explained(widget_page):
    page = widget_page(element("backward-explorer", padding=1, stride=2))
    cell(page, "x", 0, 0).click()
    assert "thrown away" in text(page, ".text")
    page = widget_page(element("backward-explorer", stride=2))
    cell(page, "x", 2, 2).click()
    assert text(page, ".text").startswith("No output reads x[2,2]")
    assert text(page, ".result") == "∂L/∂x[2,2] = 0"


def test_touch_chooses_and_a_second_touch_edits(widget_page):
    page = widget_page(element("backward-explorer"), **PHONE)
    target = cell(page, "w", 0, 0)
    target.tap()
    assert text(page, ".where") == "What flows back to w[0,0]"
    assert page.locator("[data-grid] input").count() == 0
    target.tap()
    page.locator("[data-grid] input").fill("1/2")
    cell(page, "gx", 0, 0).tap()
    assert text(page, ".where") == "What flows back to x[0,0]"
    assert values(page, "w")[0, 0] == 0.5
    assert values(page, "gx")[0, 0] == 0.5
    target.tap()
    target.tap()
    page.locator("[data-grid] input").fill("2+2")
    cell(page, "y", 0, 0).tap()
    assert values(page, "w")[0, 0] == 0.5
    for computed in ("y", "gx", "gw", "gb"):
        cell(page, computed, 0, 0).tap()
        cell(page, computed, 0, 0).tap()
        assert page.locator("[data-grid] input").count() == 0


FOCUSED = "document.querySelector('cnn-backward-explorer').firstChild.shadowRoot.activeElement"
STOP = f"""() => {{
  const node = {FOCUSED};
  const grid = node.closest('[data-grid]')?.dataset.grid;
  return grid || node.dataset.action || node.name || node.className || node.tagName;
}}"""


def press(page, *keys):
    """Press keys one after the other."""
    for key in keys:
        page.keyboard.press(key)


def test_keyboard_alone_reaches_everything(widget_page):
    page, stops = widget_page(element("backward-explorer")), []
    for _ in range(17):
        press(page, "Tab")
        stops.append(page.evaluate(STOP))
    controls = "SELECT stride padding dilation x w y gx gw gy gb back play next all details convolution"
    assert stops == controls.split()
    press(page, "Enter", "Tab")
    assert page.evaluate(STOP) == "upstream"
    press(page, "ArrowDown")
    assert page.evaluate(f"{FOCUSED}.ariaLabel") == "inserted zero: 0"
    press(page, "ArrowRight")
    assert text(page, ".where") == "What y[0,0] read, and what it sends back"


def test_keyboard_alone_chooses_changes_and_steps(widget_page):
    page = widget_page(element("backward-explorer"))
    press(page, "Tab", "Tab", "Tab", "ArrowRight")
    assert values(page, "x").shape == (5, 5)
    press(page, "ArrowLeft", "Tab", "Tab", "ArrowLeft", "ArrowUp", *["ArrowRight"] * 3)
    assert text(page, ".where") == "What flows back to x[0,2]"
    assert page.evaluate(f"getComputedStyle({FOCUSED}).outlineWidth") == "3px"
    press(page, "Home", "Control+End")
    assert text(page, ".where") == "What flows back to x[2,2]"
    press(page, "Control+Home", "End", "-", "7", "Enter")
    assert values(page, "x")[0, 2] == -7
    press(page, "F2", "5", "Escape")
    assert values(page, "x")[0, 2] == -7
    assert text(page, ".where") == "What flows back to x[0,2]"
    press(page, "Tab", "Tab", "7", "Enter")
    assert page.locator("[data-grid] input").count() == 0
    press(page, *["Tab"] * 7, "Enter", "Enter")
    assert text(page, ".count") == "2 of 4 sent back"


def test_presets_and_options_change_the_layer(widget_page):
    page = widget_page(element("backward-explorer"))
    select, sizes = page.locator("[data-preset]"), []
    for index in range(PRESETS):
        select.select_option(index=index)
        sizes.append([values(page, grid).shape for grid in ("gx", "gw", "gy")])
    assert sizes == [
        [(3, 3), (2, 2), (2, 2)],
        [(5, 5), (3, 3), (2, 2)],
        [(3, 3), (3, 3), (3, 3)],
        [(5, 5), (2, 2), (3, 3)],
    ]
    page.locator("[name=stride][value='2']").check(force=True)
    assert values(page, "gy").tolist() == [[1, 2], [4, 5]]
    assert select.input_value() == "Own numbers"
    page.locator(".toggle").click()
    assert "1 zero between the neighbours" in text(page, "[data-rule=x]")
    select.select_option(index=0)
    assert page.locator("[name=dilation][value='3']").is_disabled()


def walked(page, layer, count):
    """Check that the gradients on the screen are those of the first `count` outputs."""
    x, weight, grad_output, options = layer
    first = np.where(np.arange(grad_output.size).reshape(grad_output.shape) < count, grad_output, 0)
    want = gradients(x, weight, first, options)
    for grid in ("gx", "gw", "gb"):
        np.testing.assert_array_equal(values(page, grid), np.atleast_2d(want[grid]))


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_step_and_play_add_one_output_after_another(widget_page, motion):
    layer = DRAWN[1]
    page, count = widget_page(explorer(*layer), reduced_motion=motion), layer[2].size
    page.clock.install()
    page.clock.pause_at(10**12)
    for done in range(1, 4):
        page.locator("[data-action=next]").click()
        walked(page, layer, min(done, count))
    page.locator("[data-action=back]").click()
    walked(page, layer, min(3, count) - 1)
    assert "so far" in text(page, "[data-figure=gx] .size")
    page.locator("[data-action=all]").click()
    walked(page, layer, count)
    page.locator("[data-action=play]").click()
    walked(page, layer, 0)
    page.clock.run_for(1500)
    walked(page, layer, 0 if motion == "reduce" else 1)
    page.clock.run_for(3000 * count)
    walked(page, layer, count)
    assert page.locator("[data-action=play]").get_attribute("title") == "Play"
    page.locator("[data-action=play]").click()
    cell(page, "w", 0, 0).click()
    walked(page, layer, count)
    assert written(page)[1] == values(page, "gw")[0, 0]


@pytest.mark.parametrize("context", [{}, PHONE], ids=["desktop", "phone"])
def test_accessible_and_within_the_window(widget_page, context):
    page = widget_page(element("backward-explorer") + explorer(*DRAWN[0]), **context)
    first, second = page.locator("cnn-backward-explorer").all()
    assert axe_violations(page) == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    for widget in (first, second):
        widget.locator(".toggle").click()
        widget.locator("[data-action=next]").click()
    assert axe_violations(page) == []
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert axe_violations(page) == []
    for index in range(PRESETS):
        first.locator("[data-preset]").select_option(index=index)
        assert page_overflow(page) == 0
        panels = first.locator(".scroll")
        assert panels.evaluate("node => node.scrollWidth - node.clientWidth") == 0


SHIFTS = """() => {
  const root = document.querySelector('cnn-backward-explorer').firstChild.shadowRoot, heights = new Set();
  for (const cell of root.querySelectorAll('.panels [data-at]')) {
    cell.click();
    heights.add([root.host, root.querySelector('.panels')].map(node => node.getBoundingClientRect().height).join());
  }
  return heights.size;
}"""


@pytest.mark.parametrize("context", [{}, PHONE], ids=["desktop", "phone"])
def test_choosing_and_walking_move_nothing(widget_page, context):
    page = widget_page(element("backward-explorer"), **context)
    for index in range(PRESETS):
        page.locator("[data-preset]").select_option(index=index)
        assert page.evaluate(SHIFTS) == 1
        height = page.locator(".card").bounding_box()["height"]
        page.locator("[data-action=next]").click()
        assert page.locator(".card").bounding_box()["height"] == height


def test_screen_reader_hears_the_choice(widget_page):
    page = widget_page(element("backward-explorer"))
    assert cell(page, "gy", 0, 1).get_attribute("aria-label") == "upstream gradient 0, 1: 2, product b"
    cell(page, "x", 0, 0).click()
    page.get_by_text("x 0, 0: 1 output read it; its gradient is 1.").wait_for(state="attached")
    assert page.locator("[aria-selected=true]:visible").count() == 1
    page.locator(".toggle").click()
    names = page.locator("[role=grid]").evaluate_all("grids => grids.map(grid => grid.ariaLabel)")
    assert len(set(names)) == len(names)


def test_two_on_a_page_are_independent_and_python_markup_works(widget_page, monkeypatch):
    monkeypatch.setenv("CNNLIB_STATIC", "1")
    page = widget_page(
        BackwardExplorer(np.eye(3), [[1, 0.5]], grad_output=np.ones((3, 2))).to_html() + element("backward-explorer")
    )
    first, second = page.locator("cnn-backward-explorer").all()
    before = second.locator(".panels").inner_html()
    first.locator("[data-grid=x] [data-at='0 0']").click()
    first.locator("[data-action=next]").click()
    assert second.locator(".panels").inner_html() == before
    assert first.locator("[data-grid=w] .value").all_inner_texts() == ["1", "0.5"]


LIFE = """async () => {
  const { default: { render } } = await MODULE;
  const count = { timers: 0, listeners: 0, watchers: 0 }, log = [], on = new Map();
  const wrap = (target, name, f) => {
    const old = target[name];
    target[name] = function (...given) { f(); return old.apply(this, given); };
  };
  wrap(window, 'setInterval', () => count.timers++);
  wrap(window, 'clearInterval', () => count.timers--);
  wrap(MediaQueryList.prototype, 'addEventListener', () => count.listeners++);
  wrap(MediaQueryList.prototype, 'removeEventListener', () => count.listeners--);
  wrap(MutationObserver.prototype, 'disconnect', () => count.watchers++);
  const traits = { x: [[1, 2], [3, 4]], weight: [[1, 1]], grad_output: [[1], [2]], stride: 1, padding: 0, dilation: 1 };
  const model = {
    get: name => traits[name],
    set: (name, value) => { traits[name] = value; log.push(name); },
    save_changes: () => log.push('save'),
    on: (event, f) => on.set(event, f),
    off: (event, f) => on.get(event) === f && on.delete(event),
  };
  const el = document.querySelector('#place'), stop = render({ model, el }), root = el.firstChild.shadowRoot;
  const shown = panel => [...root.querySelectorAll(`[data-grid=${panel}] [data-at]`)].map(c => +c.dataset.value);
  root.querySelector('[name=padding][value="1"]').click();
  const afterReader = [shown('gy').length, traits.grad_output.length, [...log]];
  Object.assign(traits, { padding: 0, grad_output: [[5], [-5]], weight: [[2, 1]] });
  for (const name of ['padding', 'grad_output', 'weight']) on.get('change:' + name)();
  const afterKernel = [shown('gx'), log.length === afterReader[2].length];
  root.querySelector('[data-action=play]').click();
  stop();
  return { afterReader, afterKernel, left: [on.size, el.childNodes.length], count };
}""".replace("MODULE", MODULE)


def test_anywidget_renders_follows_the_model_and_leaves_nothing_behind(widget_page):
    page = widget_page(element("backward-explorer") + "<div id='place'></div>")
    life = page.evaluate(LIFE)
    assert life["afterReader"] == [12, 4, ["grad_output", "padding", "save"]]
    assert life["afterKernel"] == [[10, 5, -10, -5], True]
    assert life["left"] == [0, 0]
    assert life["count"] == {"timers": 0, "listeners": 0, "watchers": 1}


def test_element_follows_its_attribute_and_can_be_removed(widget_page):
    page = widget_page(element("backward-explorer"))
    props = json.dumps({"x": [[1, 2, 3]], "weight": [[1]]})
    page.locator("cnn-backward-explorer").evaluate(f"node => node.setAttribute('props', '{props}')")
    assert values(page, "x").tolist() == [[1, 2, 3]]
    page.locator("cnn-backward-explorer").evaluate(
        "node => { const main = node.parentNode; node.remove(); main.append(node); }"
    )
    assert values(page, "y").tolist() == [[1, 2, 3]]
