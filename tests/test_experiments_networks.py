"""The experiments that compare small networks: what they build is what they say, and they run from end to end."""

import numpy as np
import pytest
import torch

from cnnlib.data import sets, shapes
from cnnlib.divergence import Diverged
from cnnlib.models.trace import trace
from cnnlib.ops_torch import local_contrast_norm, local_response_norm, locally_connected2d
from experiments import all_convolutional, dense, features, harness, kernel_sizes, normalisation, rates
from experiments.networks import Local2d, LocalContrast, LocalResponse, costs


def test_a_local_layer_is_the_operator_of_the_library():
    layer, x = Local2d(3, 4, 5, side=9, stride=2, padding=2), torch.randn(2, 3, 9, 9)
    weight = layer.weight.unflatten(2, (3, 5, 5)).permute(0, 1, 5, 2, 3, 4)  # (oh, ow, F, C, k, k)
    with torch.no_grad():
        layer.bias.normal_()
        expected = locally_connected2d(x, weight, layer.bias, stride=2, padding=2)
        torch.testing.assert_close(layer(x), expected)


def test_local_norms_are_the_operators_of_the_library_in_any_precision():
    x = torch.rand(2, 8, 6, 6)
    torch.testing.assert_close(LocalResponse()(x), local_response_norm(x, 5, alpha=5e-4, k=2.0))
    torch.testing.assert_close(LocalContrast()(x), local_contrast_norm(x, 5))
    assert LocalResponse()(x.bfloat16()).dtype == LocalContrast()(x.bfloat16()).dtype == torch.float32


def test_blocks_see_equally_much_and_cost_what_their_names_say():
    tables = {block: trace(kernel_sizes.network(block, 0), (3, 32, 32)) for block in kernel_sizes.BLOCKS}
    fields = {max(row.field for row in table if row.kind == "Conv") for table in tables.values()}
    assert len(fields) == 1
    weights = {
        block: sum(row.parameters for row in table if row.kind == "Conv") - 27 * kernel_sizes.BLOCKS[block][1]
        for block, table in tables.items()
    }
    assert weights["one 7x7"] == 2 * 49 * 24**2
    assert weights["three 3x3"] == weights["three 3x3 linear"] == 2 * 27 * 24**2
    assert weights["three 3x3 wide"] == 2 * 27 * 32**2


def test_without_relus_between_a_block_is_linear_before_its_last():
    def bends(block):
        layers = kernel_sizes.network(block, 0)[4:-5].double().eval()  # the two blocks and the pooling between
        first = layers[: next(i for i, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)) - 1]
        x, y = torch.randn(2, 1, 24, 9, 9, dtype=torch.float64)
        with torch.no_grad():
            return (first(x + y) + first(0 * x) - first(x) - first(y)).abs().max().item()

    assert bends("one 7x7") < 1e-10
    assert bends("three 3x3 linear") < 1e-10
    assert bends("three 3x3") > 1e-2


def test_stride_and_pooling_have_equal_parameters():
    counts = {
        (s["stages"], s["head"]): costs(all_convolutional.network(s["stages"], s["head"], 0), (3, 32, 32))
        for s in all_convolutional.SETTINGS
    }
    assert len(counts) == 6
    average, full = all_convolutional.HEADS
    assert counts["All", average]["parameters"] == counts["ConvPool", average]["parameters"]
    assert counts["model C", average]["parameters"] == counts["strided C", average]["parameters"]
    assert counts["All", average]["macs"] < counts["ConvPool", average]["macs"]
    extra = 36 * 32 * 128 + 128 + 128 * 10 + 10 - (32 * 10 + 10)
    assert counts["All", full]["parameters"] - counts["All", average]["parameters"] == extra


@pytest.mark.parametrize(("data", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_budgets_are_equal_to_four_per_cent(data, shape):
    of = {name: dense.budget(dense.network(data, name, 0), shape) for name in dense.NETWORKS}
    for kind in ("local", "full"):
        for what in ("parameters", "macs"):
            assert of[f"{kind}, equal {what}"][what] == pytest.approx(of["convolutional"][what], rel=0.04)
    assert of["local, equal macs"]["macs"] == of["convolutional"]["macs"]


def test_a_permutation_moves_whole_pixels_of_all_images_alike():
    images = np.arange(2 * 3 * 16, dtype=np.uint8).reshape(2, 3, 4, 4)
    data = sets.DataSet((images, np.zeros(2, int)), (images[:1], np.zeros(1, int)), (0.0,), (1.0,))
    moved = dense.permuted(data)
    flat = moved.train[0].reshape(2, 3, 16)
    assert not np.array_equal(flat[0, 0], images[0, 0].ravel())
    np.testing.assert_array_equal(np.sort(flat[0, 0]), images[0, 0].ravel())
    np.testing.assert_array_equal(flat - flat[:1, :1], np.broadcast_to(16 * np.arange(6).reshape(2, 3, 1), (2, 3, 16)))
    np.testing.assert_array_equal(moved.test[0], moved.train[0][:1])


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Let every data set be a few generated images, and results and runs lie in a folder of the test's own."""
    generated = shapes(160, size=32, seed=0)
    colour = (np.asarray(generated.images) * (1 if generated.images.dtype == np.uint8 else 255)).astype(np.uint8)
    labels = np.arange(160) % 10

    def load(name):
        images = colour if name == "cifar10" else colour[:, :1, 2:-2, 2:-2].copy()
        channels = images.shape[1]
        return sets.DataSet(
            (images[:120], labels[:120]), (images[120:], labels[120:]), (0.5,) * channels, (0.25,) * channels
        )

    monkeypatch.setattr(sets, "load", load)
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setenv("CNNLIB_RUNS", str(tmp_path / "runs"))
    for module in (normalisation, dense, features):
        monkeypatch.setattr(module, "HELD_OUT", 40)
        monkeypatch.setattr(module, "BATCH", 16)
    return tmp_path


@pytest.mark.parametrize("name", normalisation.NORMALISATIONS)
def test_each_normalisation_is_built_and_learns(name):
    model = normalisation.network(name, 0)
    model(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_normalisation_reports_the_rate_that_was_best_on_held_out_images(small, monkeypatch):
    kinds = {name: normalisation.NORMALISATIONS[name] for name in ("local response", "batch")}
    monkeypatch.setattr(normalisation, "NORMALISATIONS", kinds)
    monkeypatch.setattr(normalisation, "IMAGES", 32)
    monkeypatch.setattr(normalisation, "EPOCHS", 2)
    monkeypatch.setattr(normalisation, "RATES", (0.01, 0.1))
    normalisation.main()
    trials = harness.read(small / "normalisation_rates.csv")
    assert len(trials) == 2 * len(kinds)
    rows = harness.read(small / "normalisation.csv")
    assert len(rows) == 3 * len(kinds)
    for row in rows:
        losses = {t["lr"]: float(t["held_out_loss"]) for t in trials if t["normalisation"] == row["normalisation"]}
        assert row["lr"] == min(losses, key=losses.get)
        assert len(row["train_losses"].split()) == 2
        assert 0 <= float(row["test_error"]) <= 1


def test_dense_measures_every_network_and_the_permuted_control(small, monkeypatch):
    monkeypatch.setattr(dense, "IMAGES", {"mnist": (1, 28)})
    monkeypatch.setattr(dense, "EPOCHS", {16: 1, 32: 1})
    monkeypatch.setattr(dense, "CHOSEN_ON", 32)
    monkeypatch.setattr(dense, "RATES", (0.001,))
    dense.main()
    rows = harness.read(small / "dense.csv")
    assert len(rows) == 5 * 3 * 3
    assert sum(row["pixels"] == "permuted" for row in rows) == 5 * 3


def test_each_description_has_its_length_and_is_classified(small, monkeypatch):
    monkeypatch.setattr(features, "POOL", 80)
    monkeypatch.setattr(features, "EPOCHS", {20: 2})
    monkeypatch.setattr(features, "RATES", (0.001, 0.01))
    features.by_hand.cache_clear()
    numbers = {"pixels": 784, "hog": 1296, "sift": 2048, "untrained network": 576, "trained network": 576}
    for name, size in numbers.items():
        (row,) = features.measure({"data": "mnist", "features": name, "images": 20, "seed": 1}, small)
        assert row["numbers"] == size
        assert 0 <= float(row["test_error"]) <= 1
    assert {s["features"] for s in features.SETTINGS} == set(numbers)
    features.by_hand.cache_clear()


@pytest.mark.parametrize("module", [kernel_sizes, all_convolutional])
def test_one_setting_gives_one_row_of_costs_and_scores(small, monkeypatch, module):
    for name, value in (("IMAGES", 32), ("EPOCHS", 1), ("BATCH", 16)):
        monkeypatch.setattr(module, name, value)
    harness.run_missing("one", module.SETTINGS[:1], module.measure)
    (row,) = harness.read(small / "one.csv")
    assert int(row["parameters"]) > 0 < int(row["macs"])
    assert 0 <= float(row["test_error"]) <= 1


def test_a_rate_that_diverges_is_not_chosen(small, capsys):
    def measure(setting, folder):
        def fitted():
            raise Diverged("the loss is nan at step 3")

        good = {"train_losses": "1.0", "held_out_loss": "1.5", "held_out_error": "0.5"}
        return [good if setting == {"a": 1, "lr": 0.1} else rates.outcome(fitted, sets.load("mnist"), "held_out")]

    for criterion in ("held_out_loss", "held_out_error"):
        chosen = rates.at_best_rates("x", [{"a": 1}, {"a": 2}], (0.1, 1.0), measure, criterion)
        assert chosen == [{"a": 1, "lr": 0.1}]
        assert "x: {'a': 2} is left out" in capsys.readouterr().out


def test_a_rate_is_chosen_by_the_criterion(small):
    def measure(setting, folder):
        return [{"held_out_loss": 10 * setting["lr"], "held_out_error": 1 - setting["lr"]}]

    for criterion, best in (("held_out_loss", 0.1), ("held_out_error", 0.9)):
        assert rates.at_best_rates("y", [{"a": 1}], (0.1, 0.5, 0.9), measure, criterion) == [{"a": 1, "lr": best}]
