"""The longer experiments: they measure what they say, at the budgets that they state, and run from end to end."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnlib.data import sets
from cnnlib.models import plain_network
from experiments import degradation, depth, fine_tuning, harness, hybrid
from experiments.networks import costs


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Let CIFAR-10 be a few noisy images, and results and runs lie in a folder of the test's own."""
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (160, 3, 32, 32), dtype=np.uint8), np.arange(160) % 10
    data = sets.DataSet((images[:120], labels[:120]), (images[120:], labels[120:]), (0.5,) * 3, (0.25,) * 3)
    monkeypatch.setattr(sets, "load", lambda name: data)
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setenv("CNNLIB_RUNS", str(tmp_path / "runs"))
    for module in (degradation, hybrid, fine_tuning):
        monkeypatch.setattr(module, "BATCH", 10)
    return tmp_path


def test_norms_of_a_layer_are_those_of_its_weights_and_gradients(small):
    data = harness.first(sets.load("cifar10"), 20)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    (row,) = degradation.layer_norms(model, data, batches=2)
    weight, x = model[1].weight, torch.from_numpy(data.train[0]).flatten(1) / 255
    errors = torch.softmax(model[1](x), 1) - torch.eye(10)[data.train[1]]  # softmax less one-hot, over N: the gradient
    gradients = [e.T @ part / 10 for e, part in zip(errors.split(10), x.split(10), strict=True)]
    expected = {
        "weight_norm": weight.norm(),
        "gradient_norm": sum(g.norm() for g in gradients) / 2,
        "norm_of_mean_gradient": (sum(gradients) / 2).norm(),
        "output_gradient_norm": sum(e.norm() / 10 for e in errors.split(10)) / 2,
    }
    for name, value in expected.items():
        assert float(row[name]) == pytest.approx(value.item(), rel=1e-3), name
    assert weight.grad is None


def test_behind_batch_norm_norms_of_gradient_times_weights_do_not_see_their_length(small):
    model, data = plain_network(depth=8).eval(), sets.load("cifar10")
    before = degradation.layer_norms(model, data, batches=1)
    assert not model.training
    with torch.no_grad():
        model[3][0].weight *= 4
    after = degradation.layer_norms(model, data, batches=1)
    assert len(before) == 8

    def product(row):
        return float(row["gradient_norm"]) * float(row["weight_norm"])

    assert float(after[1]["gradient_norm"]) == pytest.approx(float(before[1]["gradient_norm"]) / 4, rel=1e-2)
    assert [product(row) for row in after] == pytest.approx([product(row) for row in before], rel=1e-2)


def test_degradation_notes_losses_and_norms_of_twins_that_begin_alike(small, monkeypatch):
    monkeypatch.setattr(degradation, "EPOCHS", 2)
    monkeypatch.setattr(degradation, "NOTED", (2,))
    settings = [{"network": network, "depth": 8, "seed": 0} for network in ("plain", "residual")]
    harness.run_missing("degradation", settings, degradation.measure)
    rows = harness.read(small / "degradation.csv")
    assert [(row["network"], row["epoch"], bool(row["clean_train_loss"])) for row in rows] == [
        *(("plain", "1", False), ("plain", "2", True), ("residual", "1", False), ("residual", "2", True))
    ]
    norms = harness.read(small / "degradation_layers.csv")
    assert len(norms) == 2 * 2 * 8
    of_start = [
        [row["weight_norm"] for row in norms if row["network"] == n and row["epoch"] == "0"]
        for n in ("plain", "residual")
    ]
    assert of_start[0] == of_start[1]


def test_few_images_are_so_many_of_each_class_and_the_first_of_more():
    images, labels = np.arange(100), np.arange(100) % 5
    for seed in (0, 1):
        two, three = (fine_tuning.few((images, labels), n, seed) for n in (2, 3))
        assert np.bincount(two[1]).tolist() == [2] * 5
        assert (two[0] % 5 == two[1]).all()
        assert two[0].tolist() == [image for label in range(5) for image in three[0][three[1] == label][:2]]
    assert fine_tuning.few((images, labels), 2, 0)[0].tolist() != two[0].tolist()


def test_every_fine_tuning_takes_whole_epochs_of_its_steps():
    assert len(fine_tuning.SETTINGS) == 34
    for setting in fine_tuning.SETTINGS:
        per_epoch, left = divmod(5 * setting["images"], fine_tuning.BATCH)
        assert not left
        assert setting["steps"] % per_epoch == 0


def test_fine_tuning_begins_with_the_source_and_holds_what_it_should(small, monkeypatch):
    fine_tuning.cifar10.cache_clear()
    monkeypatch.setattr(fine_tuning, "SOURCE_EPOCHS", 1)
    monkeypatch.setattr(fine_tuning, "SOURCE_BATCH", 10)
    monkeypatch.setattr(fine_tuning, "HELD_OUT", 20)
    source, scratch = (fine_tuning.begun(start, 0, small) for start in ("labels", "none"))
    learned = fine_tuning.source("labels", 0, small)
    assert torch.equal(source[0].weight, learned[0].weight)
    assert not torch.equal(source[0].weight, scratch[0].weight)
    assert torch.equal(source[-1].weight, scratch[-1].weight)
    monkeypatch.setattr(fine_tuning, "begun", lambda start, seed, folder: source)
    setting = {"start": "labels", "trained": "linear", "images": 4, "steps": 4, "lr": 0.01, "seed": 0}
    (row,) = fine_tuning.measure(setting, small)
    assert torch.equal(source[0].weight, learned[0].weight)
    assert not torch.equal(source[-1].weight, scratch[-1].weight)
    assert 0 <= float(row["test_error"]) <= 1
    fine_tuning.cifar10.cache_clear()


def test_only_the_order_of_a_pair_tells_the_classes_apart():
    images, labels = depth.pairs(4000, 5, np.random.default_rng(0))
    assert images.shape == (4000, 1, 8, 32)
    noise = 0.3 * np.random.default_rng(0).standard_normal(images.shape, np.float32)
    objects = (images - noise)[:, 0]
    bright, dark = np.argwhere(objects > 1.99), np.argwhere(objects < -1.99)
    assert np.count_nonzero(np.abs(objects) > 1e-5) == 8000
    assert np.array_equal(bright[:, 0], np.arange(4000))
    assert np.array_equal(bright[:, :2], dark[:, :2])  # one of each in each strip, in one row
    assert np.array_equal((dark[:, 2] - bright[:, 2]) % 32, np.where(labels == 1, 4, 28))
    assert 0.47 < labels.mean() < 0.53


@pytest.mark.parametrize("layers", [1, 3])
def test_an_output_of_a_chain_sees_its_field_and_round_the_ring(layers):
    network = depth.chain(layers, 0)
    x = torch.randn(1, 1, 8, 32, requires_grad=True)
    network[:-3].eval()(x)[0, :, 4, 0].sum().backward()
    seen = x.grad.abs().sum((0, 1, 2)).nonzero().ravel()
    assert sorted((column + 16) % 32 - 16 for column in seen.tolist()) == list(range(-layers, layers + 1))
    assert depth.effective_field(network, torch.randn(20, 1, 8, 32), part=1 - 1e-6) == 2 * layers + 1
    assert depth.effective_field(network, torch.randn(20, 1, 8, 32), part=0) == 1


def test_depth_gives_a_row_with_both_fields(small, monkeypatch):
    monkeypatch.setattr(depth, "TRAIN", 64)
    monkeypatch.setattr(depth, "TEST", 32)
    (row,) = depth.measure({"object": 5, "depth": 2, "seed": 0}, small)
    assert row["field"] == 5
    assert {row["effective_field"], row["effective_field_untrained"]} <= {1, 3, 5}
    assert 0 <= float(row["test_accuracy"]) <= 1


def test_resnet_transformer_and_hybrid_have_the_budgets_that_are_stated():
    for name, build in hybrid.NETWORKS.items():
        found = costs(build(seed=0), (3, 32, 32))
        assert 0.26e6 < found["parameters"] < 0.27e6 + 5e3, name
        assert 40.5e6 < found["macs"] < 43e6, name
    assert len({images * epochs for images, epochs in hybrid.EPOCHS.items()}) == 1
