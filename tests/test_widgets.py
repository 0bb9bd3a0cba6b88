"""The Python side of widgets: what they refuse, what they store, what they say to a notebook."""

import html
import json
import re

import numpy as np
import pytest

from cnnlib import widgets
from cnnlib.widgets import ConvolutionExplorer

NAMES = sorted(widgets.__all__)
VIEW = "application/vnd.jupyter.widget-view+json"

BAD = [
    ({"x": [1, 2]}, r"x .*1 dimension"),
    ({"x": [[1], [1, 2]]}, r"x is \[\[1\], \[1, 2\]\].*rectangular"),
    ({"x": "ab"}, "x is 'ab'"),
    ({"x": [[]]}, r"x .*1 × 0.*1 to \d+ rows and columns"),
    ({"x": np.ones((13, 2))}, "x .*13 × 2"),
    ({"x": [[float("nan")]]}, "x .*finite"),
    ({"weight": np.ones((8, 8))}, r"weight .*8 × 8.*1 to \d+ rows"),
    ({"stride": 0}, "stride is 0; expected a whole number from 1 to 4"),
    ({"stride": 1.0}, "stride is 1.0"),
    ({"padding": True}, "padding is True; expected a whole number from 0 to 3"),
    ({"dilation": 4}, "dilation is 4; expected a whole number from 1 to 3"),
]


@pytest.fixture
def static(monkeypatch):
    monkeypatch.setenv("CNNLIB_STATIC", "1")


@pytest.fixture
def live(monkeypatch):
    monkeypatch.delenv("CNNLIB_STATIC", raising=False)


def properties(markup):
    """Return the properties that the stored element carries."""
    return json.loads(html.unescape(re.search(r"props='([^']*)'", markup)[1]))


@pytest.mark.parametrize("name", NAMES)
def test_static_output_is_the_element_and_no_widget_state(name, static):
    widget = getattr(widgets, name)()
    data, metadata = widget._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"}
    assert metadata == {}
    assert widget.comm is None
    tag = re.fullmatch(r"<(cnn-[a-z-]+) props='[^']*'>[A-Z][^<]{40,}</\1>", data["text/html"])[1]
    assert tag == "cnn" + re.sub("([A-Z])", r"-\1", name).lower()
    assert f'"{tag}"' in str(widget._esm)
    assert properties(data["text/html"]) == widget.props()


@pytest.mark.parametrize("name", NAMES)
def test_live_output_is_the_widget(name, live):
    widget = getattr(widgets, name)()
    data, _ = widget._repr_mimebundle_()
    assert set(data) == {"text/plain", VIEW}
    assert set(widget.props()) <= set(widget.get_state())
    assert "export default" in widget.get_state()["_esm"]


@pytest.mark.parametrize("name", NAMES)
def test_repr_is_stable_and_makes_the_widget_again(name, static):
    kind = getattr(widgets, name)
    again = eval(repr(kind()), {name: kind})
    assert repr(again) == repr(kind())
    assert again.props() == kind().props()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("props", "message"), BAD, ids=str)
def test_bad_properties_are_refused_when_made_and_when_set(name, props, message):
    kind = getattr(widgets, name)
    with pytest.raises(ValueError, match=message):
        kind(**props)
    widget, before = kind(), kind().props()
    with pytest.raises(ValueError, match=message):
        setattr(widget, *next(iter(props.items())))
    assert widget.props() == before


def test_explorer_refuses_an_unknown_mode_and_an_unknown_argument():
    with pytest.raises(ValueError, match="mode is 'flip'; expected one of 'correlation', 'convolution'"):
        ConvolutionExplorer(mode="flip")
    with pytest.raises(TypeError, match="strides"):
        ConvolutionExplorer(strides=2)


def test_arrays_are_taken_and_whole_numbers_become_ints():
    widget = ConvolutionExplorer(np.eye(2, dtype=np.float32), np.array([[0.5, 2]]), stride=np.int64(2))
    assert repr(widget.props()["x"]) == "[[1, 0], [0, 1]]"
    assert repr(widget.weight) == "[[0.5, 2]]"
    assert type(widget.stride) is int


def test_two_widgets_share_nothing():
    first, second = ConvolutionExplorer(), ConvolutionExplorer()
    first.x[0][0] = 9
    assert second.x[0][0] == 1


def test_importing_cnnlib_does_not_import_widgets():
    import subprocess
    import sys

    code = "import cnnlib, sys; assert 'anywidget' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
