"""The page of experiments on inputs tells what the committed results say: in tables, pictures and sentences."""

import re

import pytest
from written_pages import assert_picture_drawn, assert_tables_written

from tools import input_experiments
from tools.experiments import PICTURES


@pytest.fixture(scope="module")
def text():
    return input_experiments.PAGE.read_text("utf-8")


def test_the_page_is_up_to_date(tmp_path, text):
    stale = re.sub(r"(?<=verdict-)(right|wrong|unclear)", "unknown", text)
    assert_tables_written(text, input_experiments.contents(), stale, tmp_path / "input_experiments.md")
    assert set(re.findall(r"<!-- (\w+) -->", text)) == set(input_experiments.contents())


@pytest.mark.parametrize("name", sorted(input_experiments.drawn()))
def test_the_pictures_are_drawn_with_the_committed_numbers(name, text):
    shown, draw = input_experiments.drawn()[name]
    assert_picture_drawn(PICTURES / f"experiment-{name}.png", draw(shown), shown)
    assert f"](_static/experiment-{name}.png)" in text
