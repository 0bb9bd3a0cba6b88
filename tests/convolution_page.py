"""What the tests of the convolution explorer share: how to read the page, and how to act on it."""

import re

import numpy as np
from widget_harness import element

from cnnlib import ops_numpy
from cnnlib.widgets import ConvolutionExplorer

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
RAMP = np.arange(49).reshape(7, 7).tolist()
ASYMMETRIC = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
DECK = ConvolutionExplorer()
STRIDE_1 = [[3, -1, -3, -1], [-3, 1, 0, -3], [-3, -3, 0, 1], [3, -2, -2, -1]]


def explorer(**props):
    return element("convolution-explorer", **props)


def conv2d(x, weight, *, mode="correlation", **options):
    """cnnlib's numbers for one channel, (H_out, W_out)."""
    weight = np.array(weight, float)
    weight = weight[::-1, ::-1] if mode == "convolution" else weight
    return ops_numpy.conv2d(np.array(x, float)[None, None], weight[None, None].copy(), **options)[0, 0]


def numeral(text):
    return float(text.replace("−", "-"))


def shown(scope, grid="y"):
    """The numbers of a grid as its cells announce them."""
    rows = scope.locator(f"[data-grid={grid}] [role=row]").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('[data-at]')].map(cell => cell.ariaLabel.split(': ')[1]))"
    )
    return np.array([[numeral(text) for text in row] for row in rows if row])


def cell(scope, grid, i, j):
    return scope.locator(f"[data-grid={grid}] [data-at='{i} {j}']")


def choose(scope, name, value):
    scope.locator(f"[data-choice={name}] label:has([value='{value}'])").click()


def written_sum(scope):
    """The sum as it stands on the screen: its text, its terms added up, and the total it claims."""
    text = scope.locator(".terms").inner_text().replace("\n", "")
    left, total = re.split("[=≈]", text.replace("−", "-").replace("·", "*"))
    return text, eval(left), float(total)


def heard(page):
    """What the live region says once the reader rests."""
    page.wait_for_timeout(260)
    return page.locator(".live").inner_text()


def unread(page):
    """Padded positions of the hatched cells."""
    return page.locator("[data-grid=x] [role=row]").evaluate_all(
        """rows => rows.flatMap((row, r) => [...row.children].flatMap((cell, c) =>
             cell.classList.contains('unread') ? [[r, c]] : []))"""
    )


def focused(page):
    """What has the focus, inside the shadow root."""
    return page.evaluate(
        """() => { let node = document.activeElement;
                   while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
                   return node.ariaLabel || node.name || node.dataset.preset || node.tagName; }"""
    )


def tab_to(page, name, key="Tab"):
    for _ in range(20):
        page.keyboard.press(key)
        if focused(page).startswith(name):
            return
    raise AssertionError(f"Tab never reaches {name}")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
