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
from torch import nn

from cnnlib import attacks, visualize, weights
from cnnlib.inputs import Threat
from cnnlib.plotting.base import DPI
from experiments import harness
from experiments.images import first_images
from tools import gallery, gallery_attacks, gallery_inside
from tools.notebook_compare import picture_differences

TEXT = gallery.PAGE.read_text("utf-8")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def answers(figure):
    """Return what a network says of the attacked images, as it stands above them."""
    titles = [axes.get_title() for axes in figure.axes]
    return [title.split("→ ")[1] for title in titles if "→ " in title]


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


@pytest.mark.parametrize(
    "draw",
    [gallery_attacks.closed_form, gallery_attacks.one_pixel, gallery_inside.filters],
    ids=lambda draw: draw.__name__,
)
def test_pictures_that_need_no_data_set_come_out_the_same(draw):
    fresh = io.BytesIO()
    draw(*(weights.load(name) for name in gallery.DRAWN[draw])).savefig(fresh, dpi=DPI)
    committed = (gallery.PICTURES / f"gallery-{draw.__name__}.png").read_bytes()
    committed, drawn = (base64.b64encode(data).decode() for data in (committed, fresh.getvalue()))
    assert picture_differences(committed, drawn) == []


def test_an_unknown_picture_is_named():
    with pytest.raises(SystemExit, match=r"name is 'dreams'; expected some of closed_form, .*dream"):
        gallery.main(["dreams"])


def test_a_quarter_of_the_first_filters_is_nothing():
    network = weights.load("resnet20_cifar10").network
    gone = network[0].weight.flatten(1).norm(dim=1) < 1e-4
    assert torch.equal(gone, network[1].weight.abs() < 1e-4)
    assert gone.sum() == 4
    assert (network[1].bias[gone] < 0).all()  # "a hair below zero"
    assert (network[1].bias[gone] > -1e-3).all()
    assert "has twelve filters in its first layer" in TEXT


def test_what_stronger_attacks_leave():
    rows = [
        row
        for row in harness.read(harness.RESULTS / "robust_networks.csv")
        if row["weights"].startswith("wong_kolter") and row["seed"] == "0" and "pyautoattack" in row["attack"]
    ]
    images, right, robust = (sum(int(row[column]) for row in rows) for column in ("images", "right", "robust"))
    assert f"from {100 * right / images:.0f} to {100 * robust / images:.0f} of a hundred digits" in TEXT


def test_the_grid_is_as_wide_as_the_stride():
    assert next(m for m in weights.load("wong_kolter_mnist_robust").network if isinstance(m, nn.Conv2d)).stride == (
        2,
        2,
    )


def test_the_way_back_asks_the_weights_and_not_the_image():
    network, noise = weights.load("resnet20_cifar10"), torch.rand(2, 3, 32, 32, generator=gallery_attacks.seeded())
    y = torch.tensor([7, 7])
    assert torch.equal(*visualize.deconvnet(network, noise, y).split(1))
    assert sum(p.numel() for p in network.network[:15].parameters()) // 1000 == 65
    for layer, count in (("network.14", 8192), ("network.20", 4096)):
        assert visualize.activations(network, noise, layer)[0].numel() == count
        assert f"{count:,}" in TEXT


@here
def test_dark_above_bright():
    x, _ = first_images("cifar10", "test", 300)
    network = weights.load("resnet20_cifar10")
    found = visualize.top_patches(network, x, "network.8", channels=[11])
    of_noise = torch.rand(x.shape, generator=gallery_attacks.seeded())
    back = [visualize.deconvnet_projections(network, images, "network.8", found) for images in (x, of_noise)]
    assert torch.equal(*back)
    middle = [int(row) for row in found.units[0, :, 0]]
    for image, row, column in zip(found.images[0], middle, found.units[0, :, 1], strict=True):
        strip = x[image, :, :, max(0, int(column) - 1) : int(column) + 2].mean((0, 2))
        assert strip[max(0, row - 3) : row].mean() < strip[row : row + 2].mean()


@here
def test_with_maxima_the_way_back_depends_on_the_image():
    x, _ = first_images("mnist", "test", 300)
    network = weights.load("lenet5_mnist")
    found = visualize.top_patches(network, x, "network.5", channels=list(range(16)))
    of_noise = torch.rand(x.shape, generator=gallery_attacks.seeded())
    patterns, others = (
        nn.functional.normalize(back.flatten(2) - back.flatten(2).mean(2, keepdim=True), dim=2)
        for back in (visualize.deconvnet_projections(network, images, "network.5", found) for images in (x, of_noise))
    )
    pairs = patterns @ patterns.mT  # (channels, 9, 9), with ones in the diagonal
    alike = (pairs.sum((1, 2)) - 9).mean() / 72
    assert (pairs.triu(1) < 0.999).all()  # "the nine differ"
    told = f"correlate by {alike:.2f} in the mean, and by {(patterns @ others.mT).mean():.2f} with those of noise"
    assert told in TEXT


@here
def test_whom_the_attacked_digits_fool():
    x, y = first_images("mnist", "test", 6)
    for name, fooled in (("lenet5_mnist", 6), ("wong_kolter_mnist_robust", 0)):
        assert attacks.pgd(weights.load(name), x, y, Threat(inf, 0.3)).success.sum() == fooled
    assert "LeNet-5 misreads all six of its row, the other network none of its own" in TEXT


@here
def test_what_stands_above_the_pictures():
    lenet = weights.load("lenet5_mnist")
    assert answers(gallery_attacks.closed_form()) == ["2", "2", "3"]
    assert answers(gallery_attacks.one_step(lenet)) == ["9", "1", "8"]
    assert answers(gallery_attacks.one_pixel(weights.load("digits_cnn_digits"))) == ["5", "8", "9"]
    assert answers(gallery_attacks.one_for_all(lenet)) == ["8"] * 6
    nearest = gallery_attacks.nearest(weights.load("resnet20_cifar10"))
    assert answers(nearest) == ["frog", "automobile", "automobile"]
    assert nearest.axes[1].get_title().startswith("change × 20")  # "magnified twenty times"


@here
def test_where_one_change_for_all_leads():
    lenet = weights.load("lenet5_mnist")
    few, many = first_images("mnist", "train", 200), first_images("mnist", "test", 1000)
    threat = Threat(inf, 0.25)
    found = [attacks.universal(lenet, *few, threat, steps=60, generator=g) for g in (None, seeded(1))]
    counts = [each.on(lenet, *many).predictions.bincount(minlength=10) for each in found]
    assert f"of the first thousand test digits {counts[0][8]}" in TEXT
    assert counts[1].argmax() == 2
    signs = attacks.random_signs(few[0], threat).on(lenet, *many)
    assert signs.predictions.bincount().argmax() == 8
    assert 0.15 < signs.success.float().mean() < 0.25  # "a fifth of the images"


@here
def test_what_views_and_paper_leave():
    lenet, threat = weights.load("lenet5_mnist"), Threat(inf, 0.2)
    x, y = first_images("mnist", "test", 20)

    @torch.no_grad()
    def misread(images, seen, times):
        generator = gallery_attacks.seeded()
        return torch.stack([lenet(seen(images, generator)).argmax(1) != y[: len(images)] for _ in range(times)])

    made = [attacks.pgd(lenet, x, y, threat, steps=10), attacks.eot(lenet, x, y, threat, steps=10)]
    shares = [
        100 * misread(images, gallery_attacks.VIEWS, 30).float().mean()
        for images in (*(r.adversarial for r in made), x)
    ]
    assert (
        "still fools in {:.0f} % of them, EOT in {:.0f} %; digits that nobody attacked are misread in {:.0f} %".format(
            *shares
        )
        in TEXT
    )
    found = attacks.pgd(lenet, x[:5], y[:5], threat)
    assert found.success.all()
    assert misread(found.adversarial, attacks.printed(), 3).sum(1).tolist() == [4, 4, 0]
    assert "Of these fifteen photographs eight do, none of the third" in TEXT


@here
def test_how_well_each_layer_is_read():
    axes = gallery_inside.probes(weights.load("lenet5_mnist")).axes[0]
    numbers = [f"{value:.0f}" for value in axes.lines[0].get_xdata()]
    says = "{} per cent from pixels, {} after the first pooling, {} after the second, {} and {} after"
    assert says.format(*numbers) in TEXT
