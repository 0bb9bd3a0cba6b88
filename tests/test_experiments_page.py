"""The page of experiments tells what the committed results say: in its tables, its pictures and its sentences."""

import re
from statistics import mean

import pytest
from written_pages import assert_picture_drawn, assert_tables_written

from experiments import harness
from experiments.degradation import least_products
from experiments.verdicts import over_seeds
from tools import experiments


@pytest.fixture(scope="module")
def text():
    return experiments.PAGE.read_text("utf-8")


def rows(name):
    return harness.read(harness.RESULTS / f"{name}.csv")


def error(name, **where):
    """Return the mean test error of the three seeds in per cent."""
    return 100 * mean(over_seeds(name, where, "test_error"))


def test_the_page_is_up_to_date(tmp_path, text):
    stale = re.sub(r"(?<=verdict-)(right|wrong|unclear)", "unknown", text)
    assert_tables_written(text, experiments.contents(), stale, tmp_path / "experiments.md")
    assert set(re.findall(r"<!-- (\w+) -->", text)) == set(experiments.contents())


@pytest.mark.parametrize("name", sorted(experiments.drawn()))
def test_the_pictures_are_drawn_with_the_committed_numbers(name, text):
    shown, draw = experiments.drawn()[name]
    assert_picture_drawn(experiments.PICTURES / f"experiment-{name}.png", draw(shown), shown)
    assert f"](_static/experiment-{name}.png)" in text


def test_learned_features_halve_their_error(text):
    learned = [error("features", data="cifar10", features="trained network", images=n) for n in (300, 20_000)]
    assert 0.45 < learned[1] / learned[0] < 0.55
    assert "the learned one halves its error on CIFAR-10" in text


def test_what_sharing_weights_bought(text):
    few = [row for row in rows("dense") if row["images"] == "300" and row["pixels"] == "in place"]
    counts = {(row["data"], row["network"]): int(row["parameters"]) for row in few}
    for data, low, high in (("mnist", 15, 25), ("cifar10", 35, 45)):
        assert low < counts[data, "local, equal macs"] / counts[data, "convolutional"] < high
    assert "twenty to forty times as many weights" in text
    fitted = [row for row in few if row["network"] in ("convolutional", "local, equal macs")]
    assert all(float(row["train_losses"].split()[-1]) < 0.1 for row in fitted)  # "both fit those images"


def test_only_what_sees_the_object_before_training_finds_it(text):
    found = rows("depth")
    assert len(found) == 3 * 3 * 8
    for size in (5, 9, 13):
        for depth in range(1, 9):
            seeds = [row for row in found if row["object"] == str(size) and row["depth"] == str(depth)]
            before = mean(float(row["effective_field_untrained"]) for row in seeds)
            assert (before >= size) == all(float(row["test_accuracy"]) > 0.95 for row in seeds), (size, depth)
    assert "with every depth whose effective field, before training, was as wide as the object" in text


def by_layer(network, when, value):
    """Return a number of every layer, the mean of the seeds, the first layer first."""
    found = {}
    for row in experiments.layers():
        if (row["depth"], row["epoch"]) == (network, when):
            found.setdefault(int(row["position"]), []).append(float(row[value]))
    return [mean(found[position]) for position in sorted(found)]


DEEP, SHALLOW, SHORTCUTS = "plain, 44 layers", "plain, 20 layers", "residual, 44 layers"
START, ONE_EPOCH, END = "before training", "after one epoch", "after 20"


def test_gradients_grow_backwards_and_do_not_decide(text):
    before, after, end = (by_layer(DEEP, when, "product") for when in (START, ONE_EPOCH, END))
    assert f"{before[0] / before[-2]:.0f} times the last one's" in text
    assert min(before) == before[-1]  # "the smallest is that of the last layer of all"
    assert after.index(min(after)) < 44 / 3  # "a hollow in the first third"
    ratios = [deep / shallow for deep, shallow in zip(least_products(44), least_products(20), strict=True)]
    assert 0.3 < ratios[1] < 0.37  # "about a third"
    assert min(ratios) > 1 / 3  # "never less than a third", says the ledger
    assert f"{ratios[-1]:.1f}" == "0.6"  # "six tenths"
    least = {name: min(by_layer(name, END, "product")) for name in (SHALLOW, "residual, 20 layers", SHORTCUTS)}
    assert min(least, key=least.get) == SHORTCUTS
    assert f"{least[SHORTCUTS]:.2f} against the plain one's {min(end):.2f}" in text
    losses = {
        (network, depth): mean(
            over_seeds("degradation", {"network": network, "depth": depth, "epoch": 20}, "clean_train_loss")
        )
        for network in ("plain", "residual")
        for depth in (20, 44)
    }
    assert min(losses, key=losses.get) == ("residual", 44)  # "the one that fits its images best"


def test_whose_gradients_agree(text):
    def lower_half(network, when):
        alike = by_layer(network, when, "alike")
        return mean(alike[: len(alike) // 2])

    start, once, end = (
        [lower_half(name, when) for name in (DEEP, SHORTCUTS, SHALLOW)] for when in (START, ONE_EPOCH, END)
    )
    assert "{:.2f} in the lower half, where with shortcuts it is {:.2f}".format(*start) in text
    assert f"with 20 layers begins at {start[2]:.2f}" in text
    assert f"an epoch later it is at {once[2]:.2f}, and the deep one at {once[0]:.2f}" in text
    end.append(lower_half("residual, 20 layers", END))
    assert f"those of all four lie between {min(end):.2f} and {max(end):.2f}" in text


def test_small_kernels_do_with_less(text):
    large, small = (
        next(row for row in rows("kernel_sizes") if row["block"] == block) for block in ("one 7x7", "three 3x3")
    )
    for cost in ("parameters", "macs"):
        assert int(small[cost]) / int(large[cost]) < 0.6  # "less than six tenths"
    three, wide, linear = (
        error("kernel_sizes", block="one 7x7") - error("kernel_sizes", block=block)
        for block in ("three 3x3", "three 3x3 wide", "three 3x3 linear")
    )
    assert 0 < three < 1.5  # "ahead in the mean, but not beyond what seeds do"
    assert round(wide) == -round(linear) == 3
    assert "six tenths" in text


def test_a_stride_lost_five_points(text):
    names = [("ConvPool", "global average"), ("All", "global average"), ("All", "fully connected")]
    pooled, strided, dense = (error("all_convolutional", stages=stages, head=head) for stages, head in names)
    assert round(strided - pooled) == round(dense - strided) == 5
    first = {(row["stages"], row["head"]): row for row in rows("all_convolutional")}
    costs = [int(first[name]["macs"]) for name in names[:2]]
    assert 0.3 < 1 - costs[1] / costs[0] < 0.35  # "a third of the multiply-adds"
    parameters = [int(first["All", head]["parameters"]) for head in ("global average", "fully connected")]
    assert 0.19 < parameters[0] / parameters[1] < 0.22  # "a fifth of the parameters"
    assert "five points, at equal parameters" in text


def test_what_the_normalisations_help(text):
    none, local, batch = (error("normalisation", normalisation=name) for name in ("none", "local response", "batch"))
    assert round(none - local) == 1
    assert round(none - batch) == 4
    assert "by about a point" in text


def test_what_learned_features_gained(text):
    def gain(images, steps):
        where = {"trained": "all", "images": images, "steps": steps}
        return error("fine_tuning", start="none", **where) - error("fine_tuning", start="labels", **where)

    gains = f"{gain(100, 300):.1f} points with 100 and {gain(1000, 300):.1f} with 1,000"
    assert gains in text
    assert f"after four times the steps it is {gain(1000, 1200):.1f}" in text.replace("\n", " ")
    alone = [error("fine_tuning", start="labels", trained="linear", images=n, steps=300) for n in (10, 1000)]
    everything = [error("fine_tuning", start="labels", trained="all", images=n, steps=300) for n in (10, 1000)]
    assert round(everything[0] - alone[0]) == 5
    assert 0.3 < alone[1] - everything[1] < 0.6  # "half a point"


def test_the_transformer_is_behind_on_what_it_was_shown(text):
    def of(network, images, column):
        found = [row for row in rows("hybrid") if (row["network"], row["images"]) == (network, str(images))]
        return mean(float(row[column].split()[-1]) for row in found)

    losses = [of(network, 12_500, "train_losses") for network in ("vit", "resnet20")]
    assert "the transformer's is {:.2f} and ResNet-20's {:.2f}".format(*losses) in text
    gaps = [of("vit", images, "test_error") - of("resnet20", images, "test_error") for images in (2500, 12_500)]
    assert [round(100 * gap) for gap in gaps] == [14, 14]
    seconds = [
        mean(of(network, images, "cpu_seconds") for images in (2500, 12_500)) for network in ("hybrid", "resnet20")
    ]
    assert "{:.0f} seconds against {:.0f}".format(*seconds) in text
