"""The receptive fields of networks, as a gradient measures them."""

from functools import partial

import pytest
import torch
from torch import nn

from cnnlib.models import resnet
from cnnlib.models.adapt import module_builder
from cnnlib.models.alexnet import alexnet_2014
from cnnlib.models.allconv import all_cnn_c
from cnnlib.models.resnet_cifar import residual_network
from cnnlib.models.trace import trace
from cnnlib.models.zfnet import zfnet


def assert_measured(model, row, size):
    """Hold the field of a row to what a middle output of `model` depends on, on an image with sides of `size`.

    Every weight is one and pooling takes means, so that no path is lost; the windows are where they were.
    """
    model = model.to_empty(device="cpu").double().eval()
    for values in model.state_dict().values():
        values.fill_(1)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            options = (module.kernel_size, module.stride, module.padding, module.ceil_mode)
            model.set_submodule(name, nn.AvgPool2d(*options))
    x = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    y = model(x)
    unit = y.shape[-1] // 2
    y[0, 0, unit, unit].backward()
    for axis, gradient in zip(row.axes, (x.grad[0, 0].sum(1), x.grad[0, 0].sum(0)), strict=True):
        seen = gradient.nonzero().flatten()
        first = axis.start + unit * axis.jump
        assert 0 <= first <= size - axis.field, "the image is too small"
        assert (seen[0].item(), len(seen), seen[-1].item()) == (first, axis.field, first + axis.field - 1)


@pytest.mark.parametrize(("stride_in", "field"), [("1x1", 483), ("3x3", 427)])
def test_resnet50(stride_in, field):
    """Measured on one that is narrow, with the windows of the wide one."""
    block = partial(resnet.Bottleneck, stride_in=stride_in)
    with torch.device("meta"):
        row = trace(resnet.resnet50(stride_in=stride_in), (3, 224, 224)).row("layer4.2.relu3")
        narrow = resnet._network(block, (4, 4, 4, 4), (3, 4, 6, 3), 1, 1, 0)[:-3]
    assert (row.field, row.jump, row.shape) == (field, 32, (2048, 7, 7))
    assert_measured(narrow, row, 704)


@pytest.mark.parametrize(
    ("constructor", "side", "last", "size"),
    [
        (zfnet, 224, "pool5", 464),
        (alexnet_2014, 224, "features.12", 320),
        (all_cnn_c, 32, "17", 64),
    ],
)
def test_chains(constructor, side, last, size):
    """Measured on the windows alone, of one channel each, and on larger images than the networks take."""
    with torch.device("meta"):
        model = constructor(in_channels=1, num_classes=2)
    chain = [(name, module) for name, module in model.named_modules() if module_builder(module)]
    names = [name for name, _ in chain]
    before = [module for _, module in chain[: names.index(last) + 1]]
    convs = [nn.Conv2d(1, 1, m.kernel_size, m.stride, m.padding) if isinstance(m, nn.Conv2d) else m for m in before]
    windows = [module for module in convs if isinstance(module, (nn.Conv2d, nn.MaxPool2d))]
    assert_measured(nn.Sequential(*windows), trace(model, (1, side, side)).row(last), size)


def test_a_residual_network_for_small_images():
    with torch.device("meta"):
        model = residual_network(depth=14, in_channels=1)
    table = trace(model, (1, 32, 32))
    assert [row.name for row in table if row.kind == "Add"] == [f"{i}.add" for i in (3, 5, 7, 9, 11, 13)]
    row = table.row("13.add")
    assert (row.shape, row.jump) == ((64, 8, 8), 4)
    assert_measured(model[:14], row, 112)
