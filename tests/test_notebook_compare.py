"""A stored notebook is compared with a fresh run: pictures by their pixels, everything else to the byte."""

import base64
import copy
import io

import numpy as np
import pytest
from nbformat import v4
from PIL import Image

from tools import notebooks
from tools.notebook_compare import differences, picture_differences


def png(values, **options):
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(buffer, format="png", **options)
    return base64.b64encode(buffer.getvalue()).decode()


PIXELS = np.random.default_rng(0).integers(0, 256, (480, 640, 3))
GOOD = png(PIXELS)


@pytest.fixture
def pair():
    """A stored notebook and a fresh run of it, equal."""
    data = {"image/png": GOOD, "text/plain": "Noise."}
    output = v4.new_output("display_data", data, metadata={"image/png": {"alt": "Noise."}})
    stored = v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), v4.new_code_cell("draw()", outputs=[output])])
    notebooks.normalise(stored)
    return stored, copy.deepcopy(stored)


def one_digit():
    """Return the picture with a patch inverted that has the size of one digit of an axis label."""
    changed = PIXELS.copy()
    changed[60:70, 40:46] = 255 - changed[60:70, 40:46]
    return changed


def test_equal_notebooks_do_not_differ(pair):
    assert differences(*pair) == []


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (png(one_digit()), "grey levels on average"),
        (png(PIXELS[1:]), "has shape (479, 640, 4), (480, 640, 4) in a fresh run"),
        (GOOD[: len(GOOD) // 8 * 4], "cannot be decoded"),
        (base64.b64encode(b"no picture").decode(), "cannot be decoded"),
    ],
    ids=["one digit", "resized", "cut short", "not a picture"],
)
def test_a_changed_and_a_corrupted_picture_are_caught(pair, picture, message):
    stored, fresh = pair
    stored.cells[1].outputs[0].data["image/png"] = picture
    (problem,) = differences(stored, fresh)
    assert message in problem
    assert problem.startswith("cell 2 (code: 'draw()')")


def test_a_picture_encoded_otherwise_or_off_by_one_level_in_few_pixels_is_the_same():
    assert png(PIXELS, compress_level=1) != GOOD
    assert picture_differences(png(PIXELS, compress_level=1), GOOD) == []
    nearly = PIXELS.copy()
    nearly[0, :300] = np.clip(nearly[0, :300] + 1, 0, 255)
    assert picture_differences(png(nearly), GOOD) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda nb: nb.cells[1].outputs[0].data.update({"text/plain": "Signal."}),
        lambda nb: nb.cells[1].outputs[0].metadata["image/png"].update(alt="Signal."),
        lambda nb: nb.cells[1].outputs.append(v4.new_output("stream", name="stdout", text="more")),
        lambda nb: nb.cells[1].update(execution_count=2),
        lambda nb: nb.cells[0].update(source="# Other"),
        lambda nb: nb.cells.pop(),
        lambda nb: nb.metadata.update(widgets={}),
    ],
    ids=["text", "alt", "output", "count", "source", "cells", "metadata"],
)
def test_every_other_change_is_caught(pair, change):
    stored, fresh = pair
    change(fresh)
    assert len(differences(stored, fresh)) == 1
