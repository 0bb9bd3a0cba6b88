"""The gallery shows every picture that it makes, made with the weights that are shipped, and says what is in them."""

import base64
import io
import json
import re
from math import inf

import pytest
import torch
from PIL import Image
from published_sets import here

from cnnlib import attacks, weights
from cnnlib.inputs import Threat
from cnnlib.plotting.base import DPI
from experiments import harness
from experiments.images import first_images
from tools import gallery, gallery_attacks, gallery_inside
from tools.notebook_compare import picture_differences

TEXT = gallery.PAGE.read_text("utf-8")
NAMES = {draw.__name__: networks for draw, networks in gallery.DRAWN.items()}


def test_the_page_shows_every_picture_and_no_other_lies_about():
    shown = re.findall(r"!\[([^\]]*)\]\(_static/gallery-(\w+)\.png\)", TEXT)
    assert sorted(name for _, name in shown) == sorted(NAMES)
    assert {path.stem for path in gallery.PICTURES.glob("gallery-*.png")} == {f"gallery-{name}" for name in NAMES}
    assert all(len(alt) > 60 for alt, _ in shown)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_of_the_weights_that_are_shipped(name):
    with Image.open(gallery.PICTURES / f"gallery-{name}.png") as picture:
        made = json.loads(picture.info["Description"])
    assert made["weights"] == gallery.checksums(NAMES[name])
    assert made["command"] == f"python -m tools.gallery {name}"
    assert {"torch", "date", "seconds"} <= made.keys()


def test_the_picture_that_needs_no_data_set_comes_out_the_same():
    fresh = io.BytesIO()
    gallery_attacks.closed_form().savefig(fresh, dpi=DPI)
    committed, drawn = (
        base64.b64encode(data).decode()
        for data in ((gallery.PICTURES / "gallery-closed_form.png").read_bytes(), fresh.getvalue())
    )
    assert picture_differences(committed, drawn) == []


def test_an_unknown_picture_is_named():
    with pytest.raises(SystemExit, match=r"name is 'dreams'; expected some of closed_form, .*dream"):
        gallery.main(["dreams"])


def test_a_quarter_of_the_first_filters_is_nothing():
    network = weights.load("resnet20_cifar10").network
    gone = network[0].weight.flatten(1).norm(dim=1) < 1e-4
    assert torch.equal(gone, network[1].weight.abs() < 1e-4)
    assert gone.sum() == 4
    assert "has twelve filters in its first layer" in TEXT


def test_what_stronger_attacks_leave():
    rows = [
        row
        for row in harness.read(harness.RESULTS / "robust_networks.csv")
        if row["weights"].startswith("wong_kolter") and row["seed"] == "0" and "pyautoattack" in row["attack"]
    ]
    images, right, robust = (sum(int(row[column]) for row in rows) for column in ("images", "right", "robust"))
    assert f"from {100 * right / images:.0f} to {100 * robust / images:.0f} of a hundred digits" in TEXT


@here
def test_whom_the_attacked_digits_fool():
    x, y = first_images("mnist", "test", 6)
    for name, fooled in (("lenet5_mnist", 6), ("wong_kolter_mnist_robust", 0)):
        assert attacks.pgd(weights.load(name), x, y, Threat(inf, 0.3)).success.sum() == fooled
    assert "LeNet-5 misreads all six of its row, the other network none of its own" in TEXT
    lenet = weights.load("lenet5_mnist")
    assert attacks.fgsm(lenet, x[:3], y[:3], Threat(inf, 0.2)).predictions.tolist() == [9, 1, 8]


@here
def test_what_a_line_reads_off_each_layer(monkeypatch):
    told = []
    monkeypatch.setattr(gallery_inside, "by_layer", lambda values, **options: told.append(values["linear probe"]))
    gallery_inside.probes(weights.load("lenet5_mnist"))
    numbers = [f"{value:.0f}" for value in told[0].values()]
    assert (
        "{} per cent from pixels, {} after the first pooling, {} after the second, {} and {} after".format(*numbers)
        in TEXT
    )
