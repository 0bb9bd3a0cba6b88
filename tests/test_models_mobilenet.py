"""MobileNet against Tables 1, 2, 4, 6 and 7 of the paper."""

import numpy as np
import pytest
import torch
from model_tables import assert_drawn_by_seed, assert_gradients_reach_everything, macs, on_meta, outputs, parameters
from torch import nn

from cnnlib import ops_numpy
from cnnlib.models.mobilenet import mobilenet
from cnnlib.testing import assert_close

IMAGE = (1, 3, 224, 224)


def test_table_1():
    model = on_meta(mobilenet)
    assert parameters(model) == 4_231_976
    assert macs(model, IMAGE) == 568_740_352
    seen = outputs(model, IMAGE)
    sides = (112, 112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7)
    widths = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    names = ("conv", *(f"block{i}" for i in range(1, 14)))
    assert [seen[name] for name in names] == [(w, s, s) for w, s in zip(widths, sides, strict=True)]
    assert [seen[name] for name in ("pool", "flatten", "")] == [(1024, 1, 1), (1024,), (1000,)]
    depthwise = [m for name, m in model.named_modules() if name.endswith("depthwise")]
    assert all(m.groups == m.in_channels == m.out_channels and m.kernel_size == (3, 3) for m in depthwise)


def test_table_2_shares():
    # percent of multiply–adds and of parameters; the paper counts no normalisation
    model = on_meta(mobilenet)
    weights = {name: m.weight.numel() for name, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    total, kinds = sum(weights.values()), ("pointwise", "depthwise", "conv", "fc")
    shares = [100 * sum(v for k, v in weights.items() if k.split(".")[-1] == kind) / total for kind in kinds]
    assert [round(share, 2) for share in shares] == [74.59, 1.06, 0.02, 24.33]
    blocks = [macs(model, IMAGE, under=f"block{i}.pointwise") for i in range(1, 14)]
    assert 100 * sum(blocks) / macs(model, IMAGE) == pytest.approx(94.86, abs=0.005)


@pytest.mark.parametrize(
    ("options", "side", "millions", "parameters_in_millions"),
    [
        ({}, 224, 569, 4.2),
        ({"alpha": 0.75}, 224, 325, 2.6),
        ({"alpha": 0.5}, 224, 149, 1.3),
        ({"alpha": 0.25}, 224, 41, 0.5),
        ({}, 192, 418, 4.2),
        ({}, 160, 290, 4.2),
        ({}, 128, 186, 4.2),
    ],
)
def test_tables_6_and_7(options, side, millions, parameters_in_millions):
    model = on_meta(mobilenet, **options)
    assert macs(model, (1, 3, side, side)) / 1e6 == pytest.approx(millions, abs=1)
    assert round(parameters(model) / 1e6, 1) == parameters_in_millions


def test_separable_blocks_cost_a_ninth_and_an_fth():
    model = on_meta(mobilenet)
    whole = 9 * 256 * 256 * 28**2
    assert macs(model, IMAGE, under="block5.") / whole == pytest.approx(1 / 256 + 1 / 9, rel=1e-12)


def test_small_images():
    model = on_meta(mobilenet, alpha=0.25, first_stride=1, num_classes=10, in_channels=1)
    seen = outputs(model, (2, 1, 32, 32))
    assert [seen[name] for name in ("conv", "block13", "")] == [(8, 32, 32), (256, 2, 2), (10,)]
    assert outputs(on_meta(mobilenet), (2, 3, 32, 32))["block13"] == (1024, 1, 1)
    assert outputs(on_meta(mobilenet, alpha=1e-9), (2, 3, 32, 32))["block13"] == (1, 1, 1)


@pytest.mark.parametrize("training", [False, True])
def test_a_block_is_what_numpy_makes_of_it(training):
    block = mobilenet(alpha=0.25).block2.double().train(training)  # 16 to 32 channels, stride 2
    rng = np.random.default_rng(0)
    for norm in (block.bn1, block.bn2):
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            value.data = torch.from_numpy(rng.uniform(0.5, 1.5, value.shape))
    x = rng.normal(size=(2, 16, 7, 7))
    y = x
    for conv, norm, options in (
        (block.depthwise, block.bn1, {"stride": 2, "padding": 1, "groups": 16}),
        (block.pointwise, block.bn2, {}),
    ):
        y = ops_numpy.conv2d(y, conv.weight.detach().numpy(), **options)
        arrays = [v.detach().numpy().copy() for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)]
        y = ops_numpy.relu(ops_numpy.batch_norm(y, *arrays, training=training)[0])
    assert_close(block(torch.from_numpy(x)), y)


def test_seed_forward_and_gradients():
    model = assert_drawn_by_seed(lambda seed: mobilenet(alpha=0.25, first_stride=1, num_classes=10, seed=seed))
    assert model.block13.depthwise.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
    generator = torch.Generator().manual_seed(0)
    logits = model(torch.randn(8, 3, 32, 32, generator=generator))
    assert logits.shape == (8, 10)
    assert_gradients_reach_everything(model, nn.functional.cross_entropy(logits, torch.arange(8)))


def test_bad_input_is_named():
    for options, message in (
        ({"alpha": 0}, "alpha is 0; expected a positive number"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"alpha": "1"}, "alpha is '1'"),
        ({"first_stride": 0}, "first_stride is 0; expected an integer of at least 1"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"in_channels": True}, "in_channels is True"),
    ):
        with pytest.raises(ValueError, match=message):
            mobilenet(**options)
    assert on_meta(mobilenet, alpha=np.float32(0.5)).fc.in_features == 512
    for shape in ((1, 1, 32, 32), (3, 32, 32)):
        with pytest.raises(ValueError, match=r"x has shape .*; expected \(N, 3, H, W\)"):
            on_meta(mobilenet)(torch.empty(shape, device="meta"))
