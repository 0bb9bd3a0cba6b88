"""The page of experiments on inputs tells what the committed results say: in tables, pictures and sentences."""

import re
from statistics import mean

import pytest
from written_pages import assert_picture_drawn, assert_tables_written

from experiments import transferability
from experiments.verdicts import over_seeds
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


def test_what_travels_is_not_the_architecture(text):
    def fooled(source, target):
        where = {"source": source, "target": target, "eps": transferability.AT}
        return mean(over_seeds("transferability", where, "fooled"))

    table = {
        target: {source: fooled(source, target) for source in transferability.KINDS} for target in transferability.KINDS
    }
    assert f"is fooled by {100 * table['lenet5']['lenet5']:.0f} % of the images made with LeNet-5" in text
    assert all(min(by, key=by.get) == "lenet5" != max(by, key=by.get) for by in table.values())
    assert table["linear"]["linear"] > 0.99  # "as if they were itself"
    assert 0.85 < table["mlp"]["linear"] < 0.95  # "nine times in ten"
    assert sum(max(by, key=by.get) != target for target, by in table.items()) == 2  # "two of the four kinds"
