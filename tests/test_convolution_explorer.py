"""The convolution explorer in a real browser: its arithmetic, and what a reader sees and does."""

import numpy as np
import pytest
from convolution_page import (
    ASYMMETRIC,
    DECK,
    PHONE,
    RAMP,
    STRIDE_1,
    cell,
    choose,
    conv2d,
    explorer,
    focused,
    heard,
    press,
    shown,
    tab_to,
    unread,
    written_sum,
)

from cnnlib import data, shapes

pytestmark = pytest.mark.browser


# ------------------------------------------------------------------------------------------------------- arithmetic

ARITHMETIC = """async cases => {
  const m = await import("/convolution_explorer.js");
  return cases.map(({ x, weight, ...options }) => {
    const sizes = [0, 1].map(k => [k ? x[0].length : x.length, k ? weight[0].length : weight.length]);
    const windows = sizes.map(([size, kernel]) => m.outputSize(size, kernel, options));
    try {
      return { windows, rest: sizes.map(([size, kernel]) => m.leftover(size, kernel, options)),
               y: m.correlate2d(x, weight, options), z: m.correlate2d(x, m.turn(weight), options) };
    } catch (error) { return { windows, error: `${error}` }; }
  });
}"""


def drawn(count, seed):
    rng = np.random.default_rng(seed)
    for k in range(count):
        H, W, kh, kw = rng.integers(1, [13, 13, 8, 8])
        x, weight = (
            (rng.integers(-9, 10, shape) if k % 2 else rng.normal(size=shape)).tolist() for shape in ((H, W), (kh, kw))
        )
        stride, padding, dilation = (int(v) for v in rng.integers([1, 0, 1], [5, 4, 4]))
        yield {"x": x, "weight": weight, "stride": stride, "padding": padding, "dilation": dilation}


def test_its_arithmetic_is_cnnlibs(widget_page):
    cases = list(drawn(400, seed=2))
    answers = widget_page(explorer()).evaluate(ARITHMETIC, cases)
    fitted = 0
    for case, answer in zip(cases, answers, strict=True):
        x, weight = case.pop("x"), case.pop("weight")
        axes = [(len(x), len(weight)), (len(x[0]), len(weight[0]))]
        spans = [case["dilation"] * (kernel - 1) + 1 for _, kernel in axes]
        if any(span > size + 2 * case["padding"] for span, (size, _) in zip(spans, axes, strict=True)):
            assert 0 in answer["windows"]
            assert "kernel is larger" in answer["error"]
            continue
        fitted += 1
        assert answer["windows"] == [shapes.conv_output_size(*axis, **case) for axis in axes]
        assert answer["rest"] == [shapes.conv_leftover(*axis, **case) for axis in axes]
        for mode, y in (("correlation", answer["y"]), ("convolution", answer["z"])):
            expected = conv2d(x, weight, mode=mode, **case)
            if isinstance(x[0][0], int):
                np.testing.assert_array_equal(y, expected)
            else:
                np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert 200 < fitted < 400


# ------------------------------------------------------------------------------------------- what a reader sees, does


def test_the_decks_example_by_mouse(widget_page):
    page = widget_page(explorer())
    np.testing.assert_array_equal(shown(page), STRIDE_1)
    for i, j in [(0, 0), (3, 3), (1, 2), (2, 0)]:
        cell(page, "y", i, j).hover()
        text, added, total = written_sum(page)
        assert added == total == STRIDE_1[i][j]
        assert page.locator(".where").inner_text() == f"Output, row {i + 1}, column {j + 1}"
        lit = page.locator("[data-grid=x] .tap").evaluate_all("cells => cells.map(cell => cell.dataset.at)")
        assert lit == [f"{i + a} {j + b}" for a in range(3) for b in range(3)]
    assert text.startswith("0·1 + 0·(−1) + 1·(−1) + 1·(−1) + 0·1")
    choose(page, "stride", 2)
    np.testing.assert_array_equal(shown(page), [[3, -3], [-3, 0]])
    assert "Output 2 × 2" in page.locator("figure.y").inner_text()


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({"padding": 2}, "correlation"),
        ({"dilation": 2, "padding": 1}, "convolution"),
        ({"stride": 3, "padding": 3, "dilation": 3}, "correlation"),
    ],
    ids=str,
)
def test_every_number_and_its_sum_are_cnnlibs(widget_page, options, mode):
    page = widget_page(explorer(x=RAMP, weight=[[0.5, -2, 1], [3, 0, -0.25]]))
    for name, value in {**options, "mode": mode}.items():
        choose(page, name, value)
    expected = conv2d(RAMP, [[0.5, -2, 1], [3, 0, -0.25]], mode=mode, **options)
    np.testing.assert_array_equal(shown(page), expected)
    page.locator("[data-action=back]").click()
    for i, j in [(-1, -1), (0, 0)]:
        _, added, total = written_sum(page)
        assert added == total == expected[i, j]
        page.locator("[data-action=next]").click()


def test_by_touch(widget_page):
    page = widget_page(explorer(), **PHONE)
    cell(page, "y", 2, 1).tap()
    assert written_sum(page)[1:] == (-3, -3)
    cell(page, "x", 0, 0).tap()
    page.keyboard.type("7")
    cell(page, "weight", 1, 1).tap()
    page.keyboard.type("-2")
    cell(page, "y", 0, 0).tap()
    x, weight = np.array(DECK.x), np.array(DECK.weight)
    x[0, 0], weight[1, 1] = 7, -2
    np.testing.assert_array_equal(shown(page), conv2d(x, weight))
    assert written_sum(page)[2] == conv2d(x, weight)[0, 0]
    page.locator("[data-choice=padding] label").nth(1).tap()
    np.testing.assert_array_equal(shown(page), conv2d(x, weight, padding=1))


def test_by_keyboard_alone(widget_page):
    page = widget_page(explorer() + '<p><a href="#">after</a></p>')
    tab_to(page, "stride")
    tab_to(page, "row 1, column 1")
    press(page, "ArrowRight", "ArrowDown")
    assert focused(page) == "row 2, column 2: 1"
    page.keyboard.type("-1.5")
    press(page, "Enter")
    assert focused(page) == "row 2, column 2: −1.5"
    press(page, "End", "Enter", "8", "Escape", "Control+Home", "F2")
    page.keyboard.type("1/4")
    press(page, "Enter", "ArrowUp", "Home")
    x = np.array(DECK.x, float)
    x[1, 1], x[0, 0] = -1.5, 0.25
    np.testing.assert_array_equal(shown(page, "x"), x)
    tab_to(page, "row 1, column 1")  # the kernel
    tab_to(page, "row 1, column 1")  # the output
    press(page, "ArrowDown", "End")
    assert focused(page) == f"row 2, column 4: {conv2d(x, DECK.weight)[1, 3]:g}".replace("-", "−")
    assert written_sum(page)[1] == conv2d(x, DECK.weight)[1, 3]
    press(page, "Control+End", "ArrowDown", "ArrowRight", "ArrowLeft")
    assert page.locator(".where").inner_text() == "Output, row 4, column 3"
    tab_to(page, "A")  # out of the widget again
    tab_to(page, "stride", "Shift+Tab")
    press(page, "ArrowRight")
    np.testing.assert_array_equal(shown(page), conv2d(x, DECK.weight, stride=2))


def test_what_is_not_a_number_is_refused_and_said(widget_page):
    page = widget_page(explorer())
    for text in ("abc", "1/0", "", "1/2/3"):
        cell(page, "x", 0, 0).click()
        page.keyboard.press("Delete")
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        assert heard(page) == f"“{text}” is not a number: the cell keeps its own."
    np.testing.assert_array_equal(shown(page, "x"), DECK.x)


def test_its_keys_do_not_reach_the_pages_shortcuts(widget_page):
    page = widget_page(explorer())
    page.evaluate("window.keys = []; addEventListener('keydown', event => keys.push(event.key))")
    cell(page, "y", 0, 0).focus()
    press(page, "ArrowRight", "d", "1", "Enter")
    assert page.evaluate("keys") == []
    assert page.locator("[data-lm-suppress-shortcuts]").count() == 1


@pytest.mark.parametrize(("motion", "pace"), [("no-preference", 700), ("reduce", 1600)])
def test_play_pause_and_step(widget_page, motion, pace):
    page = widget_page(explorer(stride=2), reduced_motion=motion)
    page.clock.install(time=0)
    page.clock.pause_at(10_000)
    count, play = page.locator(".count"), page.locator("[data-action=play]")
    assert (count.inner_text(), play.get_attribute("aria-label")) == ("1 of 4", "Play")
    play.click()
    assert play.get_attribute("aria-label") == "Pause"
    page.clock.run_for(pace - 10)
    assert count.inner_text() == "1 of 4"
    page.clock.run_for(20)
    assert (count.inner_text(), page.locator(".where").inner_text()) == ("2 of 4", "Output, row 1, column 2")
    play.click()
    page.clock.run_for(5 * pace)
    assert count.inner_text() == "2 of 4"
    play.click()
    page.clock.run_for(5 * pace)  # stops by itself at the end
    assert (count.inner_text(), play.get_attribute("aria-label")) == ("4 of 4", "Play")
    page.locator("[data-action=next]").click()
    assert count.inner_text() == "1 of 4"
    page.locator("[data-action=back]").click()
    assert count.inner_text() == "4 of 4"


def test_presets_and_sizes(widget_page):
    page = widget_page(explorer())
    inputs, kernels = page.locator("[data-preset=x]"), page.locator("[data-preset=weight]")
    for name in inputs.locator("option").all_inner_texts():
        inputs.select_option(name)
        for kernel in kernels.locator("option").all_inner_texts():
            kernels.select_option(kernel)
            x, weight = shown(page, "x"), shown(page, "weight")
            np.testing.assert_allclose(shown(page), conv2d(x, weight), atol=5.1e-5)  # four decimals are shown
    inputs.select_option("Digit")
    np.testing.assert_array_equal(shown(page, "x"), data.digits()[0][0] * 16)
    page.locator("[data-size=x]").select_option("5 × 5")
    np.testing.assert_array_equal(shown(page, "x"), data.digits()[0][0][:5, :5] * 16)
    assert inputs.input_value() == "Own"
    page.locator("[data-size=weight]").select_option("4 × 4")
    assert shown(page).shape == (2, 2)


@pytest.mark.parametrize(
    ("options", "says", "lost"),
    [
        ({"stride": 3}, "no window reaches row 7, column 7", {6}),
        ({"stride": 4}, "nothing is left over", {3}),
        ({"stride": 2, "padding": 1}, "nothing is left over", set()),
        ({"stride": 3, "padding": 1}, "nothing is left over", set()),
        ({"stride": 4, "padding": 1}, "no window reaches row 7 and 1 of padding, column 7", {3, 7, 8}),
        ({"stride": 3, "padding": 2}, "no window reaches 2 rows of padding", {9, 10}),
        ({"stride": 2, "dilation": 2}, "No tap ever reads rows 2, 4 and 6, columns 2, 4 and 6", {1, 3, 5}),
    ],
    ids=str,
)
def test_what_no_window_reads_is_hatched_and_named(widget_page, options, says, lost):
    page = widget_page(explorer(x=RAMP, weight=ASYMMETRIC, **options))
    assert says in page.locator(".notes").inner_text()
    side = 7 + 2 * options.get("padding", 0)
    assert unread(page) == [[r, c] for r in range(side) for c in range(side) if lost & {r, c}]
    rest = shapes.conv_leftover(7, 3, **options)
    assert ("doesn’t fit" in page.locator(".notes").inner_text()) == (rest > 0)
    assert set(range(side - rest, side)) <= lost
    assert ("step over" in page.locator(".notes").inner_text()) == (len(lost) > rest)


def test_the_size_formula_has_its_numbers(widget_page):
    page = widget_page(explorer(x=RAMP[:5], weight=ASYMMETRIC, stride=3, padding=1, dilation=2))
    assert page.locator(".axes p").all_inner_texts() == [
        "Rows ⌊(5 + 2·1 − 2·(3 − 1) − 1) / 3⌋ + 1 = ⌊2 / 3⌋ + 1 = 1",
        "Columns ⌊(7 + 2·1 − 2·(3 − 1) − 1) / 3⌋ + 1 = ⌊4 / 3⌋ + 1 = 2",
    ]
    assert shown(page).shape == (1, 2)


def test_a_kernel_larger_than_the_padded_input(widget_page):
    page = widget_page(explorer(x=[[1, 2], [3, 4]]))
    for text in ("No output: the kernel is larger than the padded input.", "reaches over 3 rows and 3 columns"):
        assert page.get_by_text(text).is_visible()
    assert page.locator("[data-action]:disabled").count() == 3
    choose(page, "padding", 1)
    np.testing.assert_array_equal(shown(page), conv2d([[1, 2], [3, 4]], DECK.weight, padding=1))
    choose(page, "dilation", 3)
    assert heard(page).startswith("No output")
    assert not page.locator(".sum").is_visible()


def test_correlation_and_convolution(widget_page):
    page = widget_page(explorer(weight=ASYMMETRIC))
    note = page.locator(".notes li").last
    correlation, convolution = (conv2d(DECK.x, ASYMMETRIC, mode=mode) for mode in ("correlation", "convolution"))
    np.testing.assert_array_equal(shown(page), correlation)
    choose(page, "mode", "convolution")
    np.testing.assert_array_equal(shown(page), convolution)
    differing = (correlation != convolution).sum()
    assert note.inner_text().startswith(f"Correlation and convolution differ in {differing} of 16 outputs")
    turned = page.get_by_role("grid", name="Kernel turned by 180°")
    assert turned.locator("[data-at]").all_inner_texts() == list("987654321")
    assert turned.locator(".tap").count() == 9
    page.locator("[data-preset=weight]").select_option("Deck’s filter")
    np.testing.assert_array_equal(shown(page), STRIDE_1)
    assert "agree here: this kernel equals its own turn" in note.inner_text()


def test_one_tap_is_picked_out_everywhere(widget_page):
    page = widget_page(explorer())
    cell(page, "y", 1, 1).hover()
    cell(page, "weight", 0, 2).hover()
    assert page.locator(".hot").count() == 3
    assert page.locator("[data-grid=x] .hot").get_attribute("data-at") == "1 3"
    assert page.locator(".term.hot").inner_text().strip() == "+ 0·(−1)"
