"""The perceptron, the first pattern, AlexNet, ZFNet and All-CNN: counts, shapes, constants, weights by seed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import nn_numpy, nn_torch, ops_torch
from cnnlib.models.alexnet import alexnet, alexnet_2014, alexnet_one_tower
from cnnlib.models.allconv import all_cnn_c, cnn_c, convpool_cnn_c, strided_cnn_c
from cnnlib.models.lenet import lenet5, lenet5_1998
from cnnlib.models.mlp import mlp
from cnnlib.models.pattern import pattern, vanilla
from cnnlib.models.zfnet import zfnet
from cnnlib.testing import assert_close

LARGE = [alexnet, alexnet_one_tower, alexnet_2014, zfnet]
SMALL = [all_cnn_c, cnn_c, convpool_cnn_c, strided_cnn_c]


def on_meta(build, **options):
    with torch.device("meta"):
        return build(**options)


def shapes(model, *size):
    """Each layer's output for one image, without its batch axis."""
    x, found = torch.zeros(1, *size, device="meta"), {}
    for name, layer in model.named_children():
        x = layer(x)
        found[name] = tuple(x.shape[1:])
    return found


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (alexnet, 60_965_224),
        (alexnet_one_tower, 62_378_344),
        (alexnet_2014, 61_100_840),
        (zfnet, 62_357_608),
        (cnn_c, 954_730),
        (strided_cnn_c, 954_730),
        (convpool_cnn_c, 1_369_738),
        (all_cnn_c, 1_369_738),
    ],
)
def test_parameter_counts(build, count):
    model = on_meta(build)
    assert sum(p.numel() for p in model.parameters()) == count
    side = {alexnet: 227, alexnet_one_tower: 227}.get(build, 32 if build in SMALL else 224)
    assert model(torch.zeros(2, 3, side, side, device="meta")).shape == (2, 10 if build in SMALL else 1000)


def test_alexnet_has_the_papers_neurons():
    found = shapes(on_meta(alexnet), 3, 227, 227)
    names = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert [int(np.prod(found[name])) for name in names] == [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert found["conv1"] == (96, 55, 55)
    assert 55 * 48 * 96 == 253_440  # what the paper prints
    assert [found[f"pool{i}"] for i in (1, 2, 5)] == [(96, 27, 27), (256, 13, 13), (256, 6, 6)]


def test_alexnets_layers_follow_in_the_papers_order():
    names = [name for name, _ in on_meta(alexnet).named_children()]
    assert names[:9] == ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2", "conv3"]
    assert names[-7:] == ["fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    model = on_meta(alexnet)
    assert [model.get_submodule(f"conv{i}").groups for i in range(1, 6)] == [1, 2, 1, 2, 2]


@pytest.mark.parametrize("build", [alexnet, zfnet])
def test_response_normalisation_is_the_papers_formula(build):
    x = 20 * torch.rand(1, 8, 2, 2, dtype=torch.float64)
    expected = torch.empty_like(x)
    for i in range(8):
        near = x[:, max(0, i - 2) : i + 3]
        expected[:, i] = x[:, i] / (2 + 1e-4 * near.square().sum(1)) ** 0.75
    for name in ("norm1", "norm2"):
        y = on_meta(build).get_submodule(name)(x)
        assert_close(y, expected)
        assert_close(y, ops_torch.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0), rtol=0)


def test_alexnet_draws_the_papers_weights():
    model = alexnet(num_classes=5, seed=0)
    ones = {"conv2.bias", "conv4.bias", "conv5.bias", "fc6.bias", "fc7.bias"}
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == float(name in ones)).all(), name
        else:
            assert parameter.std().item() == pytest.approx(0.01, rel=0.02), name


def test_alexnets_towers_meet_only_where_the_paper_lets_them():
    """A change in the first 128 maps of pool2 reaches all of conv3, one in the first 192 of relu3 half of conv4."""
    model = alexnet(num_classes=2).eval()
    for name, changed, reached in (("conv2", 48, 128), ("conv3", 128, 384), ("conv4", 192, 192), ("conv5", 192, 128)):
        layer = model.get_submodule(name)
        channels = layer.weight.shape[1] * layer.groups
        x = torch.zeros(1, channels, 5, 5)
        x[:, :changed] = 1
        moved = (layer(x) != layer(torch.zeros_like(x))).flatten(2).any(2)[0]
        assert moved[:reached].all(), name
        assert not moved[reached:].any(), name


def test_alexnet_of_2014_has_the_names_of_libraries():
    model = on_meta(alexnet_2014)
    weights = {name: tuple(p.shape) for name, p in model.named_parameters() if name.endswith("weight")}
    assert weights == {
        "features.0.weight": (64, 3, 11, 11),
        "features.3.weight": (192, 64, 5, 5),
        "features.6.weight": (384, 192, 3, 3),
        "features.8.weight": (256, 384, 3, 3),
        "features.10.weight": (256, 256, 3, 3),
        "classifier.1.weight": (4096, 9216),
        "classifier.4.weight": (4096, 4096),
        "classifier.6.weight": (1000, 4096),
    }
    found = shapes(model.features, 3, 224, 224)
    assert [found[i] for i in ("0", "2", "5", "12")] == [(64, 55, 55), (64, 27, 27), (192, 13, 13), (256, 6, 6)]


def test_zfnet_has_the_sides_of_its_figure():
    found = shapes(on_meta(zfnet), 3, 224, 224)
    stages = ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]
    assert [found[name] for name in stages] == [
        (96, 110, 110),
        (96, 55, 55),
        (256, 26, 26),
        (256, 13, 13),
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
        (256, 6, 6),
    ]
    unpadded = [224]
    for kernel in (7, 3, 5, 3):  # the same strides without zeros and without a last window that hangs over
        unpadded.append((unpadded[-1] - kernel) // 2 + 1)
    assert unpadded == [224, 109, 54, 25, 12]


@pytest.mark.parametrize("build", LARGE)
def test_large_networks_run_and_train_on_real_images(build):
    model = build(num_classes=3, seed=1)
    side = 227 if build in (alexnet, alexnet_one_tower) else 224
    torch.manual_seed(0)
    logits = model(torch.randn(1, 3, side, side))
    assert logits.shape == (1, 3)
    F.cross_entropy(logits, torch.tensor([2])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("build", SMALL)
def test_all_cnn_and_its_peers_stage_by_stage(build):
    found = list(shapes(on_meta(build), 3, 32, 32).values())
    assert (96, 16, 16) in found
    assert (192, 8, 8) in found
    assert found[-8:] == [(192, 6, 6), (192, 6, 6), (192, 6, 6), (192, 6, 6), (10, 6, 6), (10, 6, 6), (10, 1, 1), (10,)]
    model = build(num_classes=4).train()
    torch.manual_seed(0)
    F.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([0, 3])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.eval()(torch.zeros(1, 3, 9, 40)).shape == (1, 4)


def test_all_cnn_has_no_pooling_and_its_peers_do():
    pools = {build.__name__: sum(isinstance(m, nn.MaxPool2d) for m in on_meta(build)) for build in SMALL}
    assert pools == {"all_cnn_c": 0, "cnn_c": 2, "convpool_cnn_c": 2, "strided_cnn_c": 0}
    convolutions = {build.__name__: sum(isinstance(m, nn.Conv2d) for m in on_meta(build)) for build in SMALL}
    assert convolutions == {"all_cnn_c": 9, "cnn_c": 7, "convpool_cnn_c": 9, "strided_cnn_c": 7}


def test_perceptron_by_hand_and_its_65_million_weights():
    assert on_meta(mlp, image_size=256, hidden=(1000,))[1].weight.numel() == 65_536_000
    model = mlp(image_size=(2, 3), in_channels=2, hidden=(5, 4), num_classes=3)
    assert [tuple(p.shape) for p in model.parameters() if p.ndim == 2] == [(5, 12), (4, 5), (3, 4)]
    x = torch.randn(2, 2, 2, 3)
    W = [p for p in model.parameters() if p.ndim == 2]
    assert_close(model(x), F.relu(F.relu(x.flatten(1) @ W[0].T) @ W[1].T) @ W[2].T)
    assert [type(m).__name__ for m in mlp(image_size=2, hidden=())] == ["Flatten", "Linear"]


def test_pattern_is_the_digits_network_by_name():
    ours, theirs = nn_numpy.digits_cnn(np.random.default_rng(0)), pattern(image_size=8, seed=5).double()
    assert list(ours.parameters) == [name for name, _ in theirs.named_parameters()]
    nn_torch.load(theirs, nn_numpy.state(ours))
    x = np.random.default_rng(1).normal(size=(3, 1, 8, 8))
    assert_close(ours.forward(x), theirs(torch.from_numpy(x)))
    assert [type(m).__name__ for m in theirs] == [type(m).__name__ for m in nn_torch.digits_cnn()]


def test_pattern_repeats_n_times_m_stages_and_k_layers():
    model = pattern(image_size=(13, 9), in_channels=2, channels=(4, 6, 8), convolutions=2, hidden=(7, 5), num_classes=3)
    short = {"Conv2d": "C", "ReLU": "R", "MaxPool2d": "P", "Flatten": "-", "Linear": "F"}
    assert "".join(short[type(m).__name__] for m in model) == "CRCRP" * 3 + "-" + "FRFR" + "F"
    assert model[16].in_features == 8  # 13 × 9 halves to 6 × 4, 3 × 2, 1 × 1
    model(torch.randn(2, 2, 13, 9)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert pattern(image_size=3, channels=())(torch.zeros(1, 1, 3, 3)).shape == (1, 10)


def test_vanilla_halves_until_the_subsampling_is_reached():
    model = vanilla(image_size=32, in_channels=3, subsampling=8, width=4, hidden=20, num_classes=7)
    assert [m.out_channels for m in model if isinstance(m, nn.Conv2d)] == [4, 8, 16]
    assert [(m.in_features, m.out_features) for m in model if isinstance(m, nn.Linear)] == [(256, 20), (20, 7)]
    with pytest.raises(ValueError, match="subsampling is 6; expected a power of two"):
        vanilla(image_size=32, subsampling=6)


@pytest.mark.parametrize(
    "build",
    [
        lenet5,
        lenet5_1998,
        all_cnn_c,
        lambda seed: mlp(image_size=4, seed=seed),
        lambda seed: alexnet_2014(num_classes=1, seed=seed),
    ],
)
def test_the_seed_decides_the_weights_and_nothing_else_moves(build):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    a, b, c = (torch.cat([p.flatten()[:1000] for p in build(seed=s).parameters()]) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("build", [*LARGE, *SMALL])
def test_bad_options_are_refused_by_name(build):
    with pytest.raises(ValueError, match="num_classes is 0; expected an integer of at least 1"):
        build(num_classes=0)
    with pytest.raises(ValueError, match="in_channels is '3'"):
        build(in_channels="3")
    with pytest.raises(ValueError, match="seed is -1"):
        build(seed=-1)


@pytest.mark.parametrize("build", LARGE)
def test_images_of_another_size_are_refused(build):
    with pytest.raises(ValueError, match=r"x has shape \(1, 3, 225, 225\); expected \(N, 3, 22"):
        on_meta(build)(torch.zeros(1, 3, 225, 225, device="meta"))


def test_bad_options_of_the_builders():
    with pytest.raises(ValueError, match="image_size is 7; expected at least 8, to be halved 3 times"):
        pattern(image_size=7, channels=(1, 1, 1))
    with pytest.raises(ValueError, match="convolutions is 0"):
        pattern(image_size=8, convolutions=0)
    for build in (mlp, pattern):
        with pytest.raises(ValueError, match="hidden is 0"):
            build(image_size=8, hidden=(4, 0))
        with pytest.raises(ValueError, match="hidden is 8; expected a sequence of positive integers"):
            build(image_size=8, hidden=8)
        with pytest.raises(ValueError, match="image_size"):
            build(image_size=(8, 8, 8))
        with pytest.raises(ValueError, match=r"x has shape \(1, 1, 9, 8\); expected \(N, 1, 8, 8\)"):
            build(image_size=8)(torch.zeros(1, 1, 9, 8))
