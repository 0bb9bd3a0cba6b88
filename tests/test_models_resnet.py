"""Residual networks against Table 1 of the paper, and version 1 against 1.5."""

from functools import partial

import numpy as np
import pytest
import torch
from model_tables import assert_drawn_by_seed, assert_gradients_reach_everything, macs, on_meta, outputs, parameters
from torch import nn

from cnnlib import ops_numpy
from cnnlib.models.resnet import BasicBlock, Bottleneck, resnet18, resnet34, resnet50, resnet101, resnet152
from cnnlib.shapes import receptive_field
from cnnlib.testing import assert_close

IMAGE = (1, 3, 224, 224)


@pytest.mark.parametrize(
    ("build", "blocks", "count", "multiply_adds", "printed"),
    [
        (resnet18, (2, 2, 2, 2), 11_689_512, 1_814_073_344, 1.8),
        (resnet34, (3, 4, 6, 3), 21_797_672, 3_663_761_408, 3.6),
        (resnet50, (3, 4, 6, 3), 25_557_032, 3_857_973_248, 3.8),
        (resnet101, (3, 4, 23, 3), 44_549_160, 7_570_194_432, 7.6),
        (resnet152, (3, 8, 36, 3), 60_192_808, 11_282_415_616, 11.3),
    ],
)
def test_table_1(build, blocks, count, multiply_adds, printed):
    model = on_meta(build)
    assert parameters(model) == count
    assert macs(model, IMAGE) == multiply_adds
    assert multiply_adds / 1e9 == pytest.approx(printed, abs=0.07)  # the paper cuts off 3.66 and 3.86
    wide = 4 if build in (resnet50, resnet101, resnet152) else 1
    seen = outputs(model, IMAGE)
    assert [seen[name] for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "")] == [
        (64, 112, 112),
        (64, 56, 56),
        (64 * wide, 56, 56),
        (128 * wide, 28, 28),
        (256 * wide, 14, 14),
        (512 * wide, 7, 7),
        (512 * wide, 1, 1),
        (1000,),
    ]
    assert isinstance(model.maxpool, nn.MaxPool2d)
    assert isinstance(model.avgpool, nn.AdaptiveAvgPool2d)
    assert tuple(len(model.get_submodule(f"layer{i}")) for i in range(1, 5)) == blocks
    layers = [name for name, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len([name for name in layers if "downsample" not in name]) == int(build.__name__.removeprefix("resnet"))
    projected = [name for name in layers if "downsample" in name]
    first = 1 if wide == 4 else 2  # the first stage of a basic network keeps its 64 channels
    assert projected == [f"layer{i}.0.downsample.0" for i in range(first, 5)]


def main_path(model):
    windows = [m for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in name]
    windows.insert(1, model.maxpool)
    pair = lambda value: value[0] if isinstance(value, tuple) else value  # noqa: E731
    return receptive_field([(pair(m.kernel_size), pair(m.stride)) for m in windows])


def test_versions_differ_only_in_where_they_stride():
    old, new = on_meta(resnet50), on_meta(resnet50, stride_in="3x3")
    assert {k: v.shape for k, v in old.state_dict().items()} == {k: v.shape for k, v in new.state_dict().items()}
    assert macs(new, IMAGE) == 4_089_184_256
    assert (main_path(old), main_path(new)) == (483, 427)
    moved = [
        name
        for name, module in old.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != new.get_submodule(name).stride
    ]
    assert moved == [f"layer{i}.0.conv{j}" for i in (2, 3, 4) for j in (1, 2)]
    assert outputs(old, IMAGE)["layer2.0.conv1"] == (128, 28, 28)
    assert outputs(new, IMAGE)["layer2.0.conv1"] == (128, 56, 56)
    for build, multiply_adds in ((resnet101, 7_801_405_440), (resnet152, 11_513_626_624)):
        assert macs(on_meta(build, stride_in="3x3"), IMAGE) == multiply_adds


def test_versions_have_the_same_weights_and_other_outputs():
    old, new = (resnet50(stride_in=where, num_classes=4).eval() for where in ("1x1", "3x3"))
    assert all(torch.equal(v, new.state_dict()[k]) for k, v in old.state_dict().items())
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(old[:5](x), new[:5](x))  # up to the first stage, which has no stride
        assert not torch.allclose(old(x), new(x))


def numpy_block(block, x, training):
    """A block as a composition of NumPy's operators."""

    def layer(x, conv, norm):
        conv, norm = block.get_submodule(conv), block.get_submodule(norm)
        arrays = [v.detach().numpy().copy() for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)]
        y = ops_numpy.conv2d(x, conv.weight.detach().numpy(), stride=conv.stride, padding=conv.padding)
        return ops_numpy.batch_norm(y, *arrays, training=training)[0]

    count = 3 if isinstance(block, Bottleneck) else 2
    y = ops_numpy.relu(layer(x, "conv1", "bn1"))
    for i in range(2, count):
        y = ops_numpy.relu(layer(y, f"conv{i}", f"bn{i}"))
    return ops_numpy.relu(layer(y, f"conv{count}", f"bn{count}") + layer(x, "downsample.0", "downsample.1"))


@pytest.mark.parametrize(
    "build", [BasicBlock, partial(Bottleneck, stride_in="1x1"), partial(Bottleneck, stride_in="3x3")]
)
@pytest.mark.parametrize("training", [False, True])
def test_a_block_is_what_numpy_makes_of_it(build, training):
    rng = np.random.default_rng(0)
    block = build(8, 16, 2).double().train(training)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data = torch.from_numpy(rng.normal(size=module.bias.shape))
            for value in (module.weight, module.running_mean, module.running_var):
                value.data = torch.from_numpy(rng.uniform(0.5, 1.5, value.shape))
        elif isinstance(module, nn.Conv2d):
            module.weight.data = torch.from_numpy(rng.normal(size=module.weight.shape))
    x = rng.normal(size=(2, 8, 9, 7))
    y = numpy_block(block, x, training)
    assert y.shape == (2, 16, 5, 4)
    assert 0.1 < (y > 0).mean() < 0.9  # the ReLU has work to do
    assert_close(block(torch.from_numpy(x)), y)


def test_a_block_that_keeps_its_shape_adds_its_input():
    block = Bottleneck(8, 8, 1, stride_in="1x1").eval()
    nn.init.zeros_(block.bn3.weight)
    x = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("build", [resnet18, resnet50])
def test_forward_and_gradients(build):
    model = build(num_classes=7, in_channels=1)
    logits = model(torch.randn(4, 1, 64, 48, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (4, 7)
    assert_gradients_reach_everything(model, nn.functional.cross_entropy(logits, torch.arange(4)))


def test_seed_and_initialisation():
    model = assert_drawn_by_seed(lambda seed: resnet18(seed=seed))
    weight = model.layer3[0].conv1.weight  # 128 to 256 channels: fan-out, not fan-in
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert model.fc.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.01)
    assert not model.fc.bias.any()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)


def test_names_are_those_of_weights_trained_elsewhere():
    names = list(on_meta(resnet50).state_dict())
    assert names[:3] == ["conv1.weight", "bn1.weight", "bn1.bias"]
    assert {"layer1.0.conv3.weight", "layer4.2.bn3.running_var", "layer2.0.downsample.1.bias"} < set(names)
    assert names[-2:] == ["fc.weight", "fc.bias"]
    assert len(names) == 53 + 53 * 5 + 2


def test_bad_input_is_named():
    for options, message in (
        ({"stride_in": "v1"}, "stride_in is 'v1'; expected '1x1', as in the paper, or '3x3', version 1.5"),
        ({"num_classes": 0}, "num_classes is 0; expected an integer of at least 1"),
        ({"in_channels": "3"}, "in_channels is '3'"),
        ({"seed": 0.5}, "seed is 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            resnet50(**options)
    for shape in ((1, 1, 64, 64), (3, 64, 64)):
        with pytest.raises(ValueError, match=r"x has shape .*; expected \(N, 3, H, W\)"):
            on_meta(resnet18)(torch.empty(shape, device="meta"))
