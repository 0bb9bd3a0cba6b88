"""The backward explorer: what Python refuses, and its numbers, computed and shown, against cnnlib's."""

import numpy as np
import pytest
from backward_page import DRAWN, EXPLANATION, MODULE, gradients, number, show, values
from widget_harness import element

from cnnlib.widgets import BackwardExplorer

BAD = [
    ({"x": np.ones((9, 2))}, "x is 9 × 2; expected .* 1 to 8 rows"),
    ({"weight": np.ones((2, 6))}, "weight is 2 × 6; expected .* 1 to 5 rows"),
    ({"weight": np.ones((4, 1))}, "weight is .* spans 4; expected at most 3, the size of x with padding 0"),
    ({"dilation": 3}, "weight is .* with dilation 3 spans 4; expected at most 3"),
    ({"grad_output": [[1, 2]]}, r"grad_output is \[\[1, 2\]\], 1 × 2; expected the size of the output, 2 × 2"),
    ({"grad_output": [[1, np.inf], [0, 0]]}, "grad_output holds a NaN or an infinity"),
    ({"stride": 5}, "stride is 5; expected a whole number from 1 to 4"),
]


@pytest.mark.parametrize(("props", "message"), BAD, ids=str)
def test_bad_properties_are_refused_when_made_and_when_set(props, message):
    with pytest.raises(ValueError, match=message):
        BackwardExplorer(**props)
    widget = BackwardExplorer()
    before = widget.props()
    with pytest.raises(ValueError, match=message), widget.hold_trait_notifications():
        widget.set_trait(*next(iter(props.items())))
    assert widget.props() == before


def test_upstream_gradient_follows_the_size_of_the_output():
    widget = BackwardExplorer(grad_output=[[5, 6], [7, 8]])
    widget.stride = 2
    assert widget.grad_output == [[5]]
    widget.stride = 1
    assert widget.grad_output == [[5, 2], [3, 4]]
    with widget.hold_trait_notifications():  # together they fit, one by one they would not
        widget.padding, widget.x, widget.weight = 0, np.ones((5, 5)), np.ones((5, 4))
    assert np.shape(widget.grad_output) == widget.output_size == (1, 2)


# ------------------------------------------------------------------------------------------------------- arithmetic

ARITHMETIC = """async layers => {
  const { correlate2d, backward2d, asConvolution } = await MODULE;
  const numbers = cells => cells.map(row => row.map(cell => cell.value));
  return layers.map(([x, weight, grad, options]) => {
    const { upstream, turned, padded, spread } = asConvolution(grad, x, weight, options);
    const { gradX, gradWeight, gradBias } = backward2d(grad, x, weight, options);
    const slid = correlate2d(numbers(padded), numbers(spread), { stride: options.dilation });
    return { y: correlate2d(x, weight, options), gx: gradX, gw: gradWeight, gb: [gradBias],
      gxAgain: correlate2d(numbers(upstream), numbers(turned)),
      gwAgain: slid.slice(0, weight.length).map(row => row.slice(0, weight[0].length)) };
  });
}""".replace("MODULE", MODULE)


def test_the_draws_cover_every_option():
    for name, default in (("stride", 1), ("padding", 0), ("dilation", 1)):
        assert np.mean([options[name] != default for *_, options in DRAWN]) >= 0.3
    assert any(options["padding"] > options["dilation"] * (len(weight) - 1) for _, weight, _, options in DRAWN)


@pytest.mark.browser
def test_arithmetic_is_that_of_cnnlib(widget_page):
    page = widget_page(element("backward-explorer"))
    layers = [[*(array.tolist() for array in arrays), options] for *arrays, options in DRAWN]
    for seed, (layer, got) in enumerate(zip(DRAWN, page.evaluate(ARITHMETIC, layers), strict=True)):
        expected = gradients(*layer)
        for name, array in got.items():
            want = expected[name.removesuffix("Again")]
            if seed % 2:
                np.testing.assert_array_equal(array, want, err_msg=f"{name} of draw {seed}")
            else:
                np.testing.assert_allclose(array, want, rtol=1e-12, atol=1e-12, err_msg=f"{name} of draw {seed}")


@pytest.mark.browser
def test_numbers_on_the_screen_are_those_of_cnnlib(widget_page):
    page = widget_page(element("backward-explorer"))
    page.locator(".toggle").click()
    for layer in DRAWN[:12]:
        show(page, layer)
        expected = gradients(*layer)
        expected["x"] = np.pad(expected["x"], layer[3]["padding"])
        for grid, want in expected.items():
            np.testing.assert_allclose(values(page, grid), np.atleast_2d(want), rtol=1e-12, atol=1e-12, err_msg=grid)
            shown = [number(t) for t in page.locator(f"[data-grid={grid}] .value").all_inner_texts()]
            np.testing.assert_allclose(shown, np.ravel(want), rtol=0.05, atol=0.0051, err_msg=grid)
        for grid, twin in (("gx2", "gx"), ("gw2", "gw"), ("padded", "x")):
            np.testing.assert_array_equal(values(page, grid), values(page, twin))


CHOOSE_ALL = """(root, grid) => [...root.querySelectorAll(`[data-grid=${grid}] [data-at]`)].map(cell => {
  cell.click();
  return (EXPLANATION)(root);
})""".replace("EXPLANATION", EXPLANATION)


@pytest.mark.browser
def test_every_written_sum_is_the_gradient_and_agrees_with_nudging(widget_page):
    page = widget_page(element("backward-explorer"))
    for layer in DRAWN[:8]:
        show(page, layer)
        for grid in ("gx", "gw", "gb", "y"):
            found = page.locator(".card").evaluate(CHOOSE_ALL, grid)
            for explanation, want in zip(found, np.ravel(gradients(*layer)[grid]), strict=True):
                np.testing.assert_allclose(number(explanation["result"]), want, rtol=1e-3, atol=1e-12)
                if grid != "y":
                    products = [number(numbers) for *_, numbers in explanation["products"]]
                    np.testing.assert_allclose(sum(products), want, rtol=1e-2, atol=1e-2)
                assert explanation["check"].endswith("they agree ✓")
