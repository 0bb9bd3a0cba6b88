"""What the tests of the backward explorer share: drawn layers, cnnlib's gradients of them, and how to read the page."""

import json
import re

import numpy as np
from widget_harness import ORIGIN, element

from cnnlib.ops_numpy import conv2d, conv2d_backward

PHONE = {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True}
MODULE = f"import('{ORIGIN}/backward_explorer.js')"


def draw(seed):
    """Return a drawn layer as the explorer's properties; every other one is made of integers."""
    rng = np.random.default_rng(seed)
    stride, padding, dilation = (int(rng.choice(choices)) for choices in ((1, 2, 3, 4), (0, 1, 2, 3), (1, 2, 3)))
    kernel = rng.integers(1, 5, 2)
    least = np.maximum(1, dilation * (kernel - 1) + 1 - 2 * padding)
    size = np.maximum(least, rng.integers(1, 9, 2))
    numbers = (lambda *n: rng.integers(-9, 10, n)) if seed % 2 else (lambda *n: rng.normal(size=n))
    x, weight = numbers(*size).astype(float), numbers(*kernel).astype(float)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    rows, columns = conv2d(x[None, None], weight[None, None], **options).shape[2:]
    return x, weight, numbers(rows, columns).astype(float), options


def gradients(x, weight, grad_output, options):
    """Return what cnnlib makes of a layer of one channel, under the names of the explorer's panels."""
    y = conv2d(x[None, None], weight[None, None], **options)[0, 0]
    gx, gw, gb = conv2d_backward(grad_output[None, None], x[None, None], weight[None, None], **options)
    return {"x": x, "w": weight, "gy": grad_output, "y": y, "gx": gx[0, 0], "gw": gw[0, 0], "gb": gb}


def explorer(x, weight, grad_output, options):
    """Return the element of a layer."""
    lists = {"x": x.tolist(), "weight": weight.tolist(), "grad_output": grad_output.tolist()}
    return element("backward-explorer", **lists, **options)


DRAWN = [draw(seed) for seed in range(80)]


def cell(page, grid, i, j):
    """Return the cell [i, j] of one grid; indices count the drawn padding."""
    return page.locator(f"[data-grid={grid}] [data-at='{i} {j}']")


def values(page, grid):
    """Return the numbers that a grid holds, padding included."""
    rows = "rows => rows.map(row => [...row.children].map(cell => Number(cell.dataset.value)))"
    return np.array(page.locator(f"[data-grid={grid}] [role=row]").evaluate_all(rows))


def text(page, selector):
    """Return the text of the one element that `selector` finds."""
    return page.locator(selector).inner_text()


def number(shown):
    """Read a number as the explorer writes it, the last one of a row of equalities."""
    return float(re.split(" [=≈] ", shown)[-1].replace("−", "-"))


def show(page, layer):
    """Give the first explorer of the page another layer."""
    x, weight, grad_output, options = layer
    props = {"x": x.tolist(), "weight": weight.tolist(), "grad_output": grad_output.tolist(), **options}
    page.locator("cnn-backward-explorer").first.evaluate(
        "(node, props) => node.setAttribute('props', props)", json.dumps(props)
    )


EXPLANATION = """root => ({
  products: [...root.querySelectorAll('tbody tr')].map(row =>
    [row.firstChild, ...row.lastChild.querySelectorAll('span.symbols, .numbers')].map(node => node.textContent)),
  result: root.querySelector('.result').textContent,
  check: root.querySelector('.check').textContent,
})"""


def written(page):
    """Return the products and the sum that the explanation writes out: [(letter, symbols, value)], total."""
    found = page.locator(".details").evaluate(EXPLANATION)
    return [(letter, symbols, number(sums)) for letter, symbols, sums in found["products"]], number(found["result"])
