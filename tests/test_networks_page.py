"""The page on networks: its tables are those that the library counts, and so are the numbers in its sentences."""

import re

import pytest
import torch
from written_pages import assert_tables_written

from cnnlib import models, weights
from cnnlib.models.trace import trace
from experiments.harness import RESULTS, read
from tools import networks
from tools.weights import RECIPES


@pytest.fixture(scope="module")
def text():
    return networks.PAGE.read_text("utf-8")


def table(build, image=(3, 224, 224)):
    with torch.device("meta"):
        return trace(build(), image)


def test_the_tables_are_up_to_date(tmp_path, text):
    stale = re.sub(r"^\|.*\d.*$", "|", text, flags=re.MULTILINE)
    assert_tables_written(text, networks.contents(), stale, tmp_path / "networks.md")


def test_the_code_on_the_page_runs(text, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "networks.md", "exec"), {})
    assert "138,357,544" in capsys.readouterr().out


def test_parameters_and_arithmetic_have_little_to_do_with_each_other(text):
    vgg, resnet, alexnet = table(models.vgg16), table(models.resnet152), table(models.alexnet, (3, 227, 227))
    largest = max(vgg, key=lambda row: row.parameters)
    assert largest.kind == "Linear"
    assert 0.72 < largest.parameters / vgg.parameters < 0.75  # nearly three quarters
    assert largest.macs / vgg.macs < 0.01  # less than one per cent
    assert resnet.parameters < alexnet.parameters
    assert 15 < resnet.macs / alexnet.macs < 16
    assert "more than fifteen times its arithmetic" in text
    counted = [line.split(" | ") for line in text.splitlines() if re.match(r"\| .* \| \d+ \| [\d,]{5,} \|", line)]
    assert len(counted) == len(networks.NETWORKS)
    assert max(counted, key=lambda cells: int(cells[3].replace(",", "")))[0] == "| VGG-19"
    costs = [float(number) * {"G": 1e9, "M": 1e6}[unit] for number, unit in (cells[4].split() for cells in counted)]
    assert counted[costs.index(max(costs))][0] == "| VGG-19"


def test_the_unclear_record(text):
    assert (224 - 11) % 4  # no integer
    assert table(models.alexnet, (3, 227, 227))[0].shape == (96, 55, 55)
    assert (55 * 55 * 96, 55 * 48 * 96) == (290_400, 253_440)
    assert table(models.alexnet_one_tower, (3, 227, 227)).parameters == 62_378_344
    with torch.device("meta"):
        alexnet, smaller = models.alexnet(), models.alexnet_2014()
    assert [m.groups for m in alexnet if isinstance(m, torch.nn.Conv2d)] == [1, 2, 1, 2, 2]
    assert smaller.get_submodule("features.8").out_channels == 256
    googlenet = table(models.googlenet)
    assert googlenet.parameters == 6_998_552
    assert [row for row in googlenet if row.parameters][-1].parameters == 1024 * 1000 + 1000
    old, new = table(models.resnet50), table(lambda: models.resnet50(stride_in="3x3"))
    assert old.parameters == new.parameters
    assert round(100 * new.macs / old.macs - 100) == 6
    assert int(networks.field(old)) - int(networks.field(new)) == 56
    lenet = table(models.lenet5_1998, (1, 32, 32))
    assert (lenet.parameters, lenet.connections) == (60_000, 340_908)
    fields = {name: networks.field(table(getattr(models, name))) for name in ("resnet18", "resnet152", "googlenet")}
    assert fields == {"resnet18": "435", "resnet152": "1507", "googlenet": "715"}  # before the mean over 7 × 7
    assert networks.field(lenet) == networks.field(table(models.lenet5, (1, 28, 28))) == "16"
    for number in ("290,400", "253,440", "62,378,344", "6,998,552", "60,000", "340,908"):
        assert number in text


def test_every_shipped_network_is_on_the_page(text):
    for name in weights.names():
        assert f"| `{name}` |" in text


def test_what_reading_the_test_set_thrice_gave(text):
    made = weights.provenance("digits_cnn_digits")
    scores = [made["test_accuracy"], *made["test_accuracy_of_other_seeds"].values()]
    images = made["test_images"]
    assert f"right {100 * scores[0]:.2f} %. Of {images} images" in text.replace("\n", " ")
    assert round((0.9749 - scores[0]) * images) == 6
    assert set(scores[1:]) == {scores[1]}
    assert f"recipe are back at {100 * scores[1]:.2f} %" in text


def test_how_the_robust_networks_were_chosen(text):
    def best(name):
        rows = [row for row in read(RESULTS / "robust_recipes.csv") if row["network"] == name]
        return max(rows, key=lambda row: float(row["robust_accuracy"]))

    digits = best("digits_cnn digits")
    assert float(digits["validation_accuracy"]) >= 0.95
    assert digits["trial"] == "--epochs 60 --augment none --adversary-ramp 0"
    assert all(option in RECIPES["digits_cnn_digits_robust"] for option in ("--epochs 60", "--augment none"))
    assert best("wong_kolter mnist")["trial"] == "--adversary-steps 3 --lr 0.05"
    recipe = RECIPES["wong_kolter_mnist_robust"]
    assert "--adversary-steps 3" in recipe
    assert "--lr 0.05" in recipe
    assert "--optimiser" not in recipe
    assert "preferred three steps and SGD" in text


def test_what_the_held_out_images_preferred_for_resnet(text):
    rows = [row for row in read(RESULTS / "recipes.csv") if row["network"] == "resnet20 cifar10"]
    right = {row["trial"]: 100 * float(row["validation_accuracy"]) for row in rows}
    mirrored, black = (right[f"--lr 0.2 --epochs 20{how}"] for how in (" --augment reflect-flip", ""))
    assert mirrored == max(right.values())
    assert f"{mirrored:.1f} against {black:.1f} % right after 20 epochs" in text
