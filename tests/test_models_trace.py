"""The table of every network against what hooks count while torch runs it, and against the published numbers."""

from functools import partial
from importlib import import_module
from math import prod

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import nn_torch, shapes
from cnnlib.models import lenet
from cnnlib.models.adapt import module_builder
from cnnlib.models.normalise import Normalise
from cnnlib.models.trace import trace
from cnnlib.models.vit import Attention


def constructor(name):
    """Return the constructor "family.name" of cnnlib.models, or of nn_torch."""
    family, name = name.split(".")
    module = nn_torch if family == "nn_torch" else import_module(f"cnnlib.models.{family}")
    return getattr(module, name)


SMALL = [  # run on real tensors
    ("lenet.lenet5", {}, (1, 28, 28)),
    ("lenet.lenet5_1998", {}, (1, 32, 32)),
    ("wong_kolter.wong_kolter", {}, (1, 28, 28)),
    ("resnet_cifar.resnet20", {}, (3, 32, 32)),
    ("resnet_cifar.plain_network", {"depth": 8}, (3, 32, 32)),
    ("mlp.mlp", {"image_size": 28, "hidden": (30, 20)}, (1, 28, 28)),
    ("pattern.pattern", {"image_size": 12, "convolutions": 2, "hidden": (9,)}, (1, 12, 12)),
    ("pattern.vanilla", {"image_size": (28, 20)}, (1, 28, 20)),
    ("mobilenet.mobilenet", {"alpha": 0.25, "first_stride": 1}, (3, 33, 40)),
    ("vit.vit_cifar", {}, (3, 32, 32)),
    ("coatnet.coatnet_cifar", {}, (3, 32, 32)),
    ("nn_torch.lenet5", None, (1, 28, 28)),
    ("nn_torch.resnet20", None, (3, 32, 32)),
]
LARGE = [  # run on the meta device, which holds no numbers
    ("alexnet.alexnet", {}, (3, 227, 227)),
    ("alexnet.alexnet_one_tower", {}, (3, 227, 227)),
    ("alexnet.alexnet_2014", {}, (3, 224, 224)),
    ("zfnet.zfnet", {}, (3, 224, 224)),
    ("vgg.vgg11", {"batch_norm": True}, (3, 224, 224)),
    ("vgg.vgg19", {}, (3, 224, 224)),
    ("googlenet.googlenet", {}, (3, 224, 224)),
    ("googlenet.googlenet_with_heads", {}, (3, 224, 224)),
    ("resnet.resnet34", {}, (3, 224, 200)),
    ("resnet.resnet101", {"stride_in": "3x3"}, (3, 224, 224)),
    ("allconv.cnn_c", {}, (3, 32, 32)),
    ("allconv.strided_cnn_c", {}, (3, 32, 32)),
    ("allconv.convpool_cnn_c", {}, (3, 32, 32)),
    ("allconv.all_cnn_c", {}, (3, 32, 32)),
    ("mobilenet.mobilenet", {}, (3, 224, 224)),
    ("vit.vit_b16", {}, (3, 224, 224)),
]


def hooked(model, x):
    """Run the model; return for each of its layers, by name in order, the shape, parameters and multiply–adds."""
    seen = {}

    def see(module, args, y, name):
        held = sum(p.numel() for p in module.parameters())
        seen[name] = (tuple(y.shape[1:]), held, multiply_adds(module, args[0], y))

    leaves = [(n, m) for n, m in model.named_modules() if module_builder(m) and not inside_a_leaf(model, n)]
    handles = [module.register_forward_hook(partial(see, name=name)) for name, module in leaves]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


def inside_a_leaf(model, name):
    parts = name.split(".")
    return any(module_builder(model.get_submodule(".".join(parts[:i]))) for i in range(1, len(parts)))


def multiply_adds(module, x, y):
    """Count by what torch holds: each output of a weighted layer takes one row of its weight."""
    if isinstance(module, Attention):
        L, dim = y.shape[1:]
        return L * (module.qkv.weight.numel() + module.out.weight.numel()) + 2 * L * L * dim
    if isinstance(module, lenet.TableConv2d):
        return module.weight.numel() * y[0, 0].numel()
    if isinstance(module, lenet.BitmapDistances):
        return module.codes.numel()
    if isinstance(module, (nn.Conv2d, nn.Linear, nn_torch.Conv2d, nn_torch.Linear)):
        return y.numel() * module.weight[0].numel()
    return 0


def check(model, input_shape):
    table, seen = trace(model, input_shape), hooked(model, torch.zeros(1, *input_shape))
    rows = {row.name: (row.shape, row.parameters, row.macs) for row in table}
    assert {name: rows[name] for name in seen} == seen
    assert [row.name for row in table if row.name in seen] == list(seen)
    assert not sum(row.macs for row in table if row.name not in seen)
    assert table.parameters == sum(p.numel() for p in model.parameters())
    assert all(row.memory == (0 if row.kind == "Learned" else 4 * prod(row.shape)) for row in table)


@pytest.mark.parametrize(
    ("name", "options", "input_shape"), SMALL, ids=lambda value: value if isinstance(value, str) else ""
)
def test_small_networks_against_hooks(name, options, input_shape):
    model = constructor(name)(torch.Generator().manual_seed(0)) if options is None else constructor(name)(**options)
    check(model.eval(), input_shape)


@pytest.mark.parametrize(
    ("name", "options", "input_shape"), LARGE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_large_networks_against_hooks(name, options, input_shape):
    with torch.device("meta"):
        check(constructor(name)(**options).eval(), input_shape)


@pytest.mark.parametrize(
    ("name", "options", "parameters", "macs"),
    [
        ("vgg.vgg16", {}, 138_357_544, 15_470_264_320),
        ("resnet.resnet18", {}, 11_689_512, 1_814_073_344),
        ("resnet.resnet50", {}, 25_557_032, 3_857_973_248),
        ("resnet.resnet50", {"stride_in": "3x3"}, 25_557_032, 4_089_184_256),
        ("resnet.resnet152", {}, 60_192_808, 11_282_415_616),
        ("mobilenet.mobilenet", {}, 4_231_976, 568_740_352),
        ("googlenet.googlenet", {}, 6_998_552, 1_582_671_872),
        ("alexnet.alexnet_2014", {}, 61_100_840, 714_188_480),
        ("vit.vit_b16", {}, 86_567_656, 17_563_828_224),
    ],
)
def test_the_published_numbers_at_224(name, options, parameters, macs):
    with torch.device("meta"):
        table = trace(constructor(name)(**options), (3, 224, 224))
    assert (table.parameters, table.macs) == (parameters, macs)


def test_alexnet_and_lenet():
    with torch.device("meta"):
        two, one = (trace(constructor(f"alexnet.{name}")(), (3, 227, 227)) for name in ("alexnet", "alexnet_one_tower"))
        old = trace(lenet.lenet5_1998(), (1, 32, 32))
    assert (two.parameters, one.parameters) == (60_965_224, 62_378_344)
    assert two.row("conv1").shape == (96, 55, 55)
    assert {row.name: row.connections for row in old if row.connections} == lenet.connections_1998()
    assert (old.connections, old.parameters) == (340_908, 60_000)


def test_every_option_of_a_module_counts():
    model = nn.Sequential(
        nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(2, 1), bias=False),
        nn.GroupNorm(2, 8),
        nn.MaxPool2d(3, stride=(1, 2), padding=1, dilation=(2, 1), ceil_mode=True),
        nn.Conv2d(8, 8, 3, padding="same", groups=4),
        nn.BatchNorm2d(8, affine=False),
        nn.AvgPool2d((2, 3), stride=2, padding=(1, 0), ceil_mode=True),
        nn.AdaptiveAvgPool2d((6, 10)),
        nn_torch.Conv2d(8, 4, (3, 2), stride=(1, 2), padding=((0, 1), (2, 0)), dilation=(1, 2), groups=2, bias=False),
        nn_torch.BatchNorm2d(4),
        nn_torch.MaxPool2d(2, stride=1, padding=((0, 1), (1, 0))),
        nn_torch.AvgPool2d((1, 2), stride=(1, 3), padding=(0, 1)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(4, elementwise_affine=False),
        nn.Linear(4, 5, bias=False),
        nn_torch.Linear(5, 3),
    )
    check(model.eval(), (3, 33, 42))


class Odd(nn.Module):
    """A module whose forward is given."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.call = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.call(self, x)


@pytest.mark.parametrize(
    ("forward", "kind", "shape"),
    [
        (lambda s, x: torch.flatten(x, 1), "Flatten", (96,)),
        (lambda s, x: x.view(x.size(0), -1), "Flatten", (96,)),
        (lambda s, x: x.reshape(len(x), x.shape[1], -1), "Flatten", (2, 48)),
        (lambda s, x: x.flatten(2).unflatten(2, x.shape[2:]), "Unflatten", (2, 6, 8)),
        (lambda s, x: x.flatten(2).transpose(1, 2), "Permute", (48, 2)),
        (lambda s, x: x.permute(0, 2, 3, 1), "Permute", (6, 8, 2)),
        (lambda s, x: x.mean((-2, -1)), "global average pool", (2,)),
        (lambda s, x: x.mean((2, 3), keepdim=True), "average pool", (2, 1, 1)),
        (lambda s, x: x.flatten(2).mT.mean(1), "Select", (2,)),
        (lambda s, x: x[:, 1:], "Channels", (1, 6, 8)),
        (lambda s, x: x[:, :, ::2, ::3], "Subsample", (2, 3, 3)),
        (lambda s, x: F.pad(x, (1, 0, 2, 3)), "Pad", (2, 11, 9)),
        (lambda s, x: x * 2 + 1, "add", (2, 6, 8)),
        (lambda s, x: x + x, "Add", (2, 6, 8)),
        (lambda s, x: torch.cat([x, x], dim=-3), "Concat", (4, 6, 8)),
        (lambda s, x: F.dropout(F.gelu(x).contiguous()), "dropout", (2, 6, 8)),
        (lambda s, x: x * s.w, "Multiply", (2, 6, 8)),
    ],
)
def test_functions(forward, kind, shape):
    model = Odd(forward, w=nn.Parameter(torch.zeros(2, 1, 1)))
    row = trace(model, (2, 6, 8))[-1]
    assert (row.kind, row.shape) == (kind, shape) == (kind, tuple(model(torch.zeros(1, 2, 6, 8)).shape[1:]))


@pytest.mark.parametrize(
    ("forward", "modules", "error", "message"),
    [
        (lambda s, x: s.odd(x), {"odd": nn.PReLU()}, TypeError, "odd is a PReLU, which is no layer of the table"),
        (lambda s, x: torch.fft.fft(x), {}, TypeError, "fft.* is no layer of the table"),
        (lambda s, x: torch.cumsum(x, 1), {}, TypeError, "cumsum is a call of .*cumsum.*, which is no layer"),
        (
            lambda s, x: F.pad(x, (1, 1), mode="reflect"),
            {},
            TypeError,
            "pad as the table does not know it: .*'reflect'",
        ),
        (lambda s, x: x.mean(1), {}, TypeError, r"mean as the table does not know it: it averages \(2, 6, 8\) over 1"),
        (lambda s, x: x - x, {}, TypeError, "sub as the table does not know it: both operands are outputs"),
        (lambda s, x: x[0], {}, TypeError, "getitem as the table does not know it: its index is 0"),
        (lambda s, x: x + torch.ones(8), {}, TypeError, r"model makes a tensor \(8,\); expected a buffer"),
        (lambda s, x: s.c(s.c(x)), {"c": nn.Conv2d(2, 2, 1)}, ValueError, "c is called with weights that have a row"),
        (lambda s, x: s.c(x), {"c": nn.Conv2d(3, 2, 1)}, ValueError, "c is a Conv2d of 8 parameters, where an input"),
        (lambda s, x: s.c(x), {"c": nn.Conv2d(2, 2, 7)}, ValueError, r"layer c \(Conv\): kernel_size is 7 along"),
        (
            lambda s, x: s.c(x),
            {"c": nn.Conv2d(2, 2, 3, padding_mode="circular")},
            TypeError,
            "c is a Conv2d as the table does not know it: padding_mode is 'circular'",
        ),
        (lambda s, x: s.n(x), {"n": nn.LayerNorm((6, 8))}, TypeError, r"normalized_shape is \(6, 8\)"),
        (lambda s, x: s.n(x), {"n": nn.LayerNorm(8)}, ValueError, r"shape \(2, 6, 8\); expected \(H, W, C\), features"),
        (lambda s, x: x.flatten(1) + x, {}, ValueError, r"shapes \[\(96,\), \(2, 6, 8\)\]; expected as many sizes"),
        (lambda s, x: x if x.sum() > 0 else -x, {}, TypeError, "sum is a call of sum"),
    ],
)
def test_what_the_table_does_not_know_is_named(forward, modules, error, message):
    with pytest.raises(error, match=message):
        trace(Odd(forward, **modules), (2, 6, 8))


def test_normalising_is_no_layer_of_weights():
    model = nn.Sequential(Normalise([0.5], [0.25], padding=2), lenet.lenet5_1998())
    table = trace(model, (1, 28, 28))
    assert [row.name for row in table[:4]] == ["0.pad", "0.sub", "0.truediv", "1.c1"]
    assert (table.row("1.c1").start, table.connections) == (-2, 340_908)


def test_a_layer_alone_and_one_that_is_called_twice():
    assert trace(nn.Conv2d(2, 4, 3), (2, 6, 8))[0].shape == (4, 4, 6)
    twice = trace(Odd(lambda s, x: s.relu(s.relu(x)), relu=nn.ReLU()), (2, 6, 8))
    assert [row.name for row in twice] == ["relu", "relu_2"]


def test_layers_that_share_weights_are_refused():
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    model[2].weight = model[0].weight
    with pytest.raises(ValueError, match="2 is called with weights that have a row already"):
        trace(model, (2, 6, 8))


def test_a_model_of_two_inputs_is_refused():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(TypeError, match="model takes 'y' beside its first input"):
        trace(Two(), (2, 6, 8))


def test_tracing_leaves_the_model_as_it_was():
    model = lenet.lenet5_1998().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}, set(vars(model))
    trace(model, (1, 32, 32))
    assert before[1] == set(vars(model))
    assert all(torch.equal(value, before[0][name]) for name, value in model.state_dict().items())
    assert isinstance(trace(model, (1, 32, 32)), shapes.Table)
