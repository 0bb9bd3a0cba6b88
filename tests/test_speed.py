"""The page on speed: its picture and its table are those of the committed results."""

import base64
import csv

import pytest
from PIL import Image

from cnnlib.plotting.speed import ratios
from tools import speed
from tools.notebook_compare import picture_differences

ROWS = [
    {"shape": "a", "direction": "forward", "ratio": "0.5"},
    {"shape": "a", "direction": "forward+backward", "ratio": "2"},
    {"shape": "b", "direction": "forward", "ratio": "1"},
]


def test_the_page_is_up_to_date(tmp_path, monkeypatch):
    page, picture = tmp_path / "speed.md", tmp_path / "speed.png"
    page.write_text(speed.PAGE.read_text("utf-8"), "utf-8")
    committed = base64.b64encode(speed.PICTURE.read_bytes()).decode()
    monkeypatch.setattr(speed, "PAGE", page)
    monkeypatch.setattr(speed, "PICTURE", picture)
    speed.write()
    assert page.read_text("utf-8") == (speed.ROOT / "book" / "speed.md").read_text("utf-8")
    with Image.open(speed.PICTURE) as fresh, Image.open(speed.ROOT / "book" / "_static" / "speed.png") as stored:
        assert stored.info["Description"] == fresh.info["Description"]  # drawn with the very same numbers
    assert picture_differences(committed, base64.b64encode(picture.read_bytes()).decode()) == []


@pytest.mark.parametrize("name", ["conv", "memory", "pool", "nets", "imports", "algorithms"])
def test_results_say_where_they_come_from(name):
    with (speed.RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["threads"] == "1"
        for field in ("processor", "blas_core", "python", "numpy", "torch", "date", "command"):
            assert row[field], field


def test_every_mark_stands_at_its_ratio():
    (ax,) = ratios({"Convolution": ROWS}).axes
    drawn = {line.get_label(): line for line in ax.lines}
    assert list(drawn["forward"].get_xdata()) == [0.5, 1]
    assert list(drawn["forward"].get_ydata()) == [0, 1]
    assert list(drawn["forward + backward"].get_xdata()) == [2]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    low, high = ax.get_xlim()
    assert low < 0.5
    assert high > 2


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"panels has \[0\] shapes; expected at least one in each"):
        ratios({"Convolution": []})
    with pytest.raises(ValueError, match="direction is 'sideways'; expected one of 'forward'"):
        ratios({"Convolution": [{"shape": "a", "direction": "sideways", "ratio": 1}]})


def test_the_sentences_of_the_page_hold_in_the_results():
    with (speed.RESULTS / "algorithms.csv").open(encoding="utf-8", newline="") as file:
        rows = [{**row, "ratio": float(row["ratio"])} for row in csv.DictReader(file)]
    (textbook,) = [row["ratio"] for row in rows if row["algorithm"] == "textbook"]
    assert round(1 / textbook) == 4
    winograd = {int(row["channels"]): row for row in rows if row["algorithm"] == "winograd4"}
    assert 1.6 < 1 / winograd[16]["ratio"] < 2
    assert winograd[64]["ratio"] > 1
    assert all(1e-6 < float(row["error"]) < 1e-5 for row in winograd.values())
    assert all(5 < float(row["error"]) / float(row["peer_error"]) < 20 for row in winograd.values())
    for row in rows:
        if row["algorithm"] == "fft":
            assert (row["ratio"] > 1) == (int(row["kernel"]) >= 19), row
    steps = {row["shape"]: float(row["ratio"]) for row in speed.rows("nets")}
    assert steps["LeNet-5, batch 64"] > 1  # the README says so too
