"""GoogLeNet against Table 1 and section 5 of the paper."""

import numpy as np
import pytest
import torch
from model_tables import assert_drawn_by_seed, assert_gradients_reach_everything, macs, on_meta, outputs, parameters
from torch import nn

from cnnlib import ops_numpy
from cnnlib.models.googlenet import HeadLogits, Inception, googlenet, googlenet_with_heads, loss_with_heads
from cnnlib.testing import assert_close

IMAGE = (1, 3, 224, 224)

TABLE = {  # module: (channels, side, K of weights, M of multiply–adds), as printed
    "conv1": (64, 112, 2.7, 34),
    "conv2": (192, 56, 112, 360),
    "inception3a": (256, 28, 159, 128),
    "inception3b": (480, 28, 380, 304),
    "inception4a": (512, 14, 364, 73),
    "inception4b": (512, 14, 437, 88),
    "inception4c": (512, 14, 463, 100),
    "inception4d": (528, 14, 580, 119),
    "inception4e": (832, 14, 840, 170),
    "inception5a": (832, 7, 1072, 54),
    "inception5b": (1024, 7, 1388, 71),
    "fc": (1000, None, 1000, 1),
}


def weights(model, under):
    layers = [m for name, m in model.named_modules() if name.startswith(under)]
    return sum(m.weight.numel() for m in layers if isinstance(m, (nn.Conv2d, nn.Linear)))


def test_table_1():
    model, wrong = on_meta(googlenet), {}
    assert parameters(model) == 6_998_552
    seen = outputs(model, IMAGE)
    for name, (channels, side, thousands, millions) in TABLE.items():
        assert seen[name] == ((channels, side, side) if side else (channels,))
        ours = weights(model, name) / 1024, macs(model, IMAGE, under=name) / 1e6
        # the table rounds to 1 M
        if abs(ours[0] / thousands - 1) > 0.02 or abs(ours[1] - millions) > max(0.7, 0.01 * millions):
            wrong[name] = round(ours[0]), round(ours[1])
    # what the docstring says of the table
    assert wrong == {"conv1": (9, 118), "inception4c": (498, 100), "inception5a": (1018, 51)}
    assert weights(model, "conv2") == 112 * 1024
    assert [seen[name][1:] for name in ("pool1", "pool2", "pool3", "pool4", "pool5")] == [
        (56, 56),
        (28, 28),
        (14, 14),
        (7, 7),
        (1, 1),
    ]
    assert seen["flatten"] == (1024,)


def test_rows_that_the_table_prints_otherwise():
    separable = 3 * 8 * 7 * 7 + 3 * 8 * 64
    assert separable == 2712
    assert round(separable * 112 * 112 / 1e6) == 34
    model = on_meta(googlenet)
    assert (weights(model, "conv1"), weights(model, "inception4c")) == (9408, 509_440)
    assert round(macs(model, IMAGE, under="conv1") / 1e6) == 118
    wider = on_meta(lambda: Inception(832, (256, 160, 320, 48, 128, 128)))
    assert round(macs(wider, (1, 832, 7, 7)) / 1e6) == 54


def test_22_layers():
    model = on_meta(googlenet)
    deep = [name for name, _ in model.named_modules() if name.startswith("inception") and "." not in name]
    plain = [name for name, m in model.named_children() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert 2 * len(deep) + len(plain) == 22
    five = [m for name, m in model.named_modules() if name.endswith("branch5.2")]
    assert len(five) == 9
    assert all(m.kernel_size == (5, 5) for m in five)
    assert macs(model, IMAGE) == 1_582_671_872


def test_heads_have_the_shapes_of_section_5():
    model = on_meta(googlenet_with_heads)
    assert parameters(model) == 13_378_280
    assert parameters(model.network) == 6_998_552
    y = model(torch.empty(2, 3, 224, 224, device="meta"))
    assert isinstance(y, HeadLogits)
    assert [tuple(v.shape) for v in y] == [(2, 1000)] * 3
    for head, channels in ((model.head4a, 512), (model.head4d, 528)):
        seen = outputs(head, (1, channels, 14, 14))
        assert [seen[name] for name in ("pool", "conv", "fc1", "fc2")] == [
            (channels, 4, 4),
            (128, 4, 4),
            (1024,),
            (1000,),
        ]
        order = ("AvgPool2d", "Conv2d", "ReLU", "Flatten", "Linear", "ReLU", "Dropout", "Linear")
        assert tuple(type(m).__name__ for m in head) == order
        assert head.dropout.p == 0.7
    assert model.network.dropout.p == 0.4


def test_an_inception_module_is_what_numpy_makes_of_it():
    rng = np.random.default_rng(0)
    module = Inception(6, (4, 3, 5, 2, 3, 2)).double()
    x = rng.normal(size=(2, 6, 7, 6))
    for bias in (p for name, p in module.named_parameters() if name.endswith("bias")):
        bias.data = torch.from_numpy(rng.normal(size=bias.shape))

    def convolved(x, conv, padding=0):
        weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
        return ops_numpy.relu(ops_numpy.conv2d(x, weight, bias, padding=padding))

    pooled, _ = ops_numpy.max_pool2d(x, 3, stride=1, padding=1)
    y = [
        convolved(x, module.branch1[0]),
        convolved(convolved(x, module.branch3[0]), module.branch3[2], padding=1),
        convolved(convolved(x, module.branch5[0]), module.branch5[2], padding=2),
        convolved(pooled, module.branch_pool[1]),
    ]
    assert_close(module(torch.from_numpy(x)), np.concatenate(y, axis=1))


def test_pooling_hangs_over_the_end():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    model = on_meta(googlenet)
    for i in range(1, 5):
        assert model.get_submodule(f"pool{i}")(x).tolist() == [[[[10, 11], [14, 15]]]]


def test_normalisation_is_alexnets():
    x = np.random.default_rng(0).normal(size=(1, 7, 2, 2)) * 30
    window = [sum(x[0, j] ** 2 for j in range(max(0, c - 2), min(7, c + 3))) for c in range(7)]
    expected = x / (2 + 1e-4 * np.array([window])) ** 0.75
    for name in ("norm1", "norm2"):
        assert_close(googlenet(num_classes=1).get_submodule(name)(torch.from_numpy(x)), expected)


def test_seed_forward_and_gradients():
    model = assert_drawn_by_seed(lambda seed: googlenet_with_heads(num_classes=5, seed=seed))
    plain = googlenet(num_classes=5, seed=3)
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in model.network.state_dict().items())
    assert all(not p.any() for name, p in model.named_parameters() if name.endswith("bias"))
    assert model.head4a.fc1.weight.std().item() == pytest.approx((2 / 2048) ** 0.5, rel=0.01)
    x = torch.randn(2, *IMAGE[1:], generator=torch.Generator().manual_seed(0))
    assert_gradients_reach_everything(model, loss_with_heads(model(x), torch.tensor([1, 4])))
    with torch.no_grad():
        y = model.eval()(x)
        assert torch.equal(y.logits, plain.eval()(x))
        up_to = {name: i + 1 for i, (name, _) in enumerate(plain.named_children())}
        assert torch.equal(y.head4a, model.head4a(plain[: up_to["inception4a"]](x)))
        assert torch.equal(y.head4d, model.head4d(plain[: up_to["inception4d"]](x)))
    assert 0.1 < y.logits.std() < 10


def test_the_loss_counts_the_heads_by_three_tenths():
    generator = torch.Generator().manual_seed(0)
    y, labels = HeadLogits(*torch.randn(3, 4, 5, generator=generator).unbind()), torch.tensor([0, 1, 2, 4])
    parts = [nn.functional.cross_entropy(logits, labels) for logits in y]
    assert loss_with_heads(y, labels).item() == pytest.approx((parts[0] + 0.3 * parts[1] + 0.3 * parts[2]).item())


@pytest.mark.parametrize("build", [googlenet, googlenet_with_heads])
def test_bad_input_is_named(build):
    with pytest.raises(ValueError, match="num_classes is 0; expected an integer of at least 1"):
        build(num_classes=0)
    with pytest.raises(ValueError, match="in_channels is 0"):
        build(in_channels=0)
    for shape in ((1, 3, 192, 192), (1, 1, 224, 224), (3, 224, 224)):
        with pytest.raises(ValueError, match=r"x has shape .*; expected \(N, 3, 224, 224\)"):
            on_meta(build)(torch.empty(shape, device="meta"))
