"""The layer table against hand counts, and against what a gradient reaches."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from cnnlib import shapes
from cnnlib.shapes import (
    Activation,
    AdaptivePool,
    Add,
    Attention,
    Axis,
    BatchNorm,
    Channels,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    GroupNorm,
    LayerNorm,
    Learned,
    Linear,
    Multiply,
    Pad,
    Permute,
    Pool,
    Rbf,
    Select,
    Subsample,
    Subsampling,
    TableConv,
    Unflatten,
    trace,
)

LENET_1998 = [
    Conv(6, 5, name="c1"),
    Subsampling(2, name="s2"),
    TableConv(16, 5, pairs=60, name="c3"),
    Subsampling(2, name="s4"),
    Conv(120, 5, name="c5"),
    Flatten(),
    Linear(84, name="f6"),
    Rbf(10, name="output"),
]

sides = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def windows(draw):
    """Draw a convolution, or a pooling of the same windows."""
    kernel = draw(st.tuples(*[st.integers(1, 4)] * 2))
    options = {
        "stride": draw(st.tuples(*[st.integers(1, 3)] * 2)),
        "dilation": draw(st.tuples(*[st.integers(1, 2)] * 2)),
    }
    if draw(st.booleans()):
        return [Conv(draw(st.integers(1, 2)), kernel, padding=draw(st.tuples(sides, sides)), **options)]
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    return [Pool(kernel, padding=padding, **options)]


@st.composite
def joins(draw):
    """Draw two convolutions of the layer before, of one size and their windows anywhere, and what joins them."""
    stride, branches = draw(st.integers(1, 2)), []
    for _ in range(2):
        kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
        total = dilation * (kernel - 1)
        pads = [(before, total - before) for before in (draw(st.integers(0, total)), draw(st.integers(0, total)))]
        branches.append(Conv(2, kernel, stride, tuple(pads), dilation))
    return [*branches, draw(st.sampled_from([Add, Concat]))()]


@st.composite
def networks(draw):
    """Draw a network of one to four parts; a join names the layers that it reads."""
    layers, before = [], "input"
    for part in draw(st.lists(st.one_of(windows(), joins()), min_size=1, max_size=4)):
        names = [str(len(layers) + i) for i in range(len(part))]
        *branches, last = part
        for branch, name in zip(branches, names, strict=False):
            layers.append(named(branch, name, (before,)))
        layers.append(named(last, names[-1], tuple(names[:-1]) or (before,)))
        before = names[-1]
    return layers


def named(layer, name, inputs):
    return type(layer)(**{**vars(layer), "name": name, "inputs": inputs})


def run(layers, x):
    """Return what a network puts out whose weights are all one: the definition, in torch."""
    values = {"input": x}
    for layer in layers:
        read = [values[name] for name in layer.inputs]
        if isinstance(layer, Add):
            values[layer.name] = sum(read)
        elif isinstance(layer, Concat):
            values[layer.name] = torch.cat(read, 1)
        else:
            (top, bottom), (left, right) = layer.padding
            padded = F.pad(read[0], (left, right, top, bottom))
            pooled = isinstance(layer, Pool)
            C = padded.shape[1]
            size = (C if pooled else layer.out_channels, 1 if pooled else C)
            kernel = (layer.kernel_size,) * 2 if isinstance(layer.kernel_size, int) else layer.kernel_size
            ones = torch.ones(*size, *kernel, dtype=x.dtype)
            options = {"stride": layer.stride, "dilation": layer.dilation, "groups": C if pooled else 1}
            values[layer.name] = F.conv2d(padded, ones, **options)
    return values[layers[-1].name]


def middle(axis, size):
    """Return the middle one of the outputs whose field lies within an image of that size."""
    inside = [i for i in range(axis.count) if 0 <= axis.start + i * axis.jump <= size - axis.field]
    assume(inside)
    return inside[len(inside) // 2]


def extent(gradient):
    """Return (start, length) of where a vector is not zero."""
    where = gradient.nonzero().flatten().tolist()
    return where[0], where[-1] - where[0] + 1


@given(networks())
def test_a_gradient_reaches_exactly_the_field(layers):
    x = torch.zeros(1, 2, 150, 170, dtype=torch.float64, requires_grad=True)
    row = trace(layers, (2, 150, 170))[-1]
    units = [middle(axis, size) for axis, size in zip(row.axes, (150, 170), strict=True)]
    y = run(layers, x)
    assert y.shape[1:] == row.shape
    y[0, :, units[0], units[1]].sum().backward()
    seen = x.grad.abs().sum((0, 1))
    for axis, unit, gradient in zip(row.axes, units, (seen.sum(1), seen.sum(0)), strict=True):
        assert extent(gradient) == (axis.start + unit * axis.jump, axis.field)


@given(st.lists(st.tuples(*[st.integers(1, 3)] * 3), min_size=1, max_size=4))
def test_the_field_of_a_chain_is_receptive_field(chain):
    table = trace([Conv(1, k, stride=s, dilation=d) for k, s, d in chain], (1, 400, 400))
    assert [row.field for row in table] == [shapes.receptive_field(chain[: i + 1]) for i in range(len(chain))]


def test_lenets_connections_are_the_papers():
    table = trace(LENET_1998, (1, 32, 32))
    assert [row.connections for row in table] == [122_304, 5_880, 151_600, 2_000, 48_120, 0, 10_164, 840]
    assert (table.connections, table.parameters) == (340_908, 60_000)
    assert [row.parameters for row in table] == [156, 12, 1_516, 32, 48_120, 0, 10_164, 0]


def test_totals_and_columns():
    table = trace(LENET_1998, (1, 32, 32))
    assert (table.row("c3").shape, table.row("c3").field, table.row("c3").jump) == ((16, 10, 10), 14, 2)
    assert table.macs == 117_600 + 150_000 + 48_000 + 10_080 + 840
    assert table.memory == 4 * (4704 + 1176 + 1600 + 400 + 120 + 120 + 84 + 10)
    head, *lines, total = str(table).split("\n")
    assert len(lines) == len(table)
    assert head.split() == ["name", "kind", "output", "parameters", "multiply–adds", "bytes", "field", "jump"]
    assert total.split() == ["total", "60,000", "326,520", "32,856"]
    assert table.markdown().split("\n")[3] == "| s2 | Subsampling | 6×14×14 | 12 | 0 | 4,704 | 6 | 2 |"


def test_a_long_and_a_flat_kernel_see_different_extents():
    row = trace([Conv(4, (1, 7), stride=(1, 2), padding=(0, 3), groups=2)], (2, 8, 8))[0]
    assert (row.shape, row.field, row.jump, row.start) == ((4, 8, 4), (1, 7), (1, 2), (0, -3))
    assert (row.parameters, row.macs, row.connections) == (4 * 7 + 4, 4 * 7 * 32, 4 * 8 * 32)
    bare = trace([Conv(4, 3, bias=False)], (2, 8, 8))[0]
    assert (bare.parameters, bare.connections) == (72, 72 * 36)


def test_what_sees_the_whole_plane_sees_the_union():
    for last in (Flatten(), GlobalPool(), AdaptivePool(), GroupNorm()):
        row = trace([Conv(4, 3, stride=2, padding=1), last], (3, 9, 9))[-1]
        assert (row.field, row.start, row.jump) == (11, -1, 0)
    gated = [Conv(4, 3, name="x"), GlobalPool(), Linear(4), Unflatten(name="gate"), Multiply(inputs=("x", "gate"))]
    assert trace(gated, (1, 8, 8))[-1].axes == (Axis(6, 0, 8, 0),) * 2
    assert trace([AdaptivePool(3)], (1, 9, 9))[0].axes == (Axis(3, 0, 3, 3),) * 2


def test_a_gate_is_seen_through_what_follows():
    """After a join with what sees everything no window widens the field, and padding does not move it."""
    layers = [GlobalPool(), Unflatten(name="gate"), Add(inputs=("input", "gate")), Conv(1, 3, stride=2, padding=1)]
    assert trace(layers, (1, 8, 8))[-1].axes == (Axis(4, 0, 8, 0),) * 2


def test_tokens():
    layers = [
        Conv(8, 4, stride=4),
        Flatten(keep_channels=True),
        Permute((1, 0), name="patches"),
        Learned((1, 8), name="class"),
        Concat(inputs=("class", "patches")),
        LayerNorm(),
        Attention(8, heads=2, positions=5),
        Linear(6, bias=False),
        Learned((9, 6)),
        Add(inputs=("7", "8")),
        Select(),
    ]
    table = trace(layers, (3, 16, 8))
    assert [row.shape for row in table[2:]] == [(8, 8), (1, 8), *[(9, 8)] * 3, *[(9, 6)] * 3, (6,)]
    assert [row.field for row in table[4:]] == [4, 4, (16, 8), (16, 8), (), (16, 8), (16, 8)]
    assert [(row.parameters, row.macs, row.connections) for row in table[7:]] == [
        (48, 9 * 48, 9 * 48),
        (54, 0, 0),
        (0, 0, 54),
        (0, 0, 0),
    ]
    assert (table[5].parameters, table[5].connections) == (16, 2 * 9 * 8)
    assert table[3].memory == 0
    attention = table[6]
    assert attention.parameters == 4 * (8 * 8 + 8) + 5
    assert attention.macs == 4 * 9 * 8 * 8 + 2 * 9 * 9 * 8
    assert attention.connections == 4 * 9 * (8 * 8 + 8) + 2 * 9 * 9


def test_moves_and_norms():
    layers = [
        Pad(((1, 0), (0, 2)), (1, 1)),
        Permute((1, 2, 0)),
        LayerNorm(),
        Permute((2, 0, 1)),
        BatchNorm(affine=False),
    ]
    table = trace([*layers, Channels(1, 3), Subsample(1, 2), Activation("GELU")], (2, 4, 4))
    assert [row.shape for row in table] == [
        (4, 5, 6),
        (5, 6, 4),
        (5, 6, 4),
        *[(4, 5, 6)] * 2,
        (2, 5, 6),
        *[(2, 3, 3)] * 2,
    ]
    assert [row.parameters for row in table] == [0, 0, 8, 0, 0, 0, 0, 0]
    assert (table[0].start, table[-1].jump, table[-1].kind) == ((-1, 0), 2, "GELU")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Conv(4, 9)], r"layer 0 \(Conv\): kernel_size is 9 along the height"),
        ([Conv(0, 3)], "out_channels is 0"),
        ([Conv(4, 3, groups=2)], r"layer 0 \(Conv\): groups is 2; expected a divisor of the 3 input"),
        ([Linear(3)], r"layer 0 \(Linear\): the input is of shape \(3, 8, 8\); expected \(features,\) or"),
        (
            [Flatten(), Conv(3, 3, name="late")],
            r"layer late \(Conv\): the input is of shape \(192,\); expected \(C, H, W\)",
        ),
        ([Add()], r"layer 0 \(Add\): inputs names 1 layers; expected two or more"),
        (
            [Conv(2, 3, name="a"), Add(inputs=("a", "input"))],
            r"shapes \[\(2, 6, 6\), \(3, 8, 8\)\]; expected one shape",
        ),
        ([Conv(2, 3, name="a"), Concat(inputs=("a", "input"))], "expected shapes that differ in the first size"),
        ([Conv(2, 3, inputs=("input", "input"))], r"expected one, as Conv joins nothing"),
        ([Conv(2, 3, inputs="input")], "layer 0: inputs is 'input'; expected a tuple of names"),
        (
            [Conv(2, 3, inputs=("later",)), Conv(2, 3, name="later")],
            r"inputs is \('later',\); expected a tuple of names",
        ),
        ([Conv(2, 3, name="a"), Conv(2, 3, name="a")], "name is 'a' twice"),
        ([AdaptivePool(3)], "output_size is 3; expected one that shares 8 positions out in equal windows"),
        ([TableConv(2, 3, pairs=7)], "pairs is 7; expected at most the 6 that there are"),
        ([Channels(2, 4)], "start and stop are 2 and 4; expected a part of 3 channels"),
        ([Permute((0, 2, 1))], r"order is \(0, 2, 1\)"),
        ([Permute((1, 2, 0)), Permute((1, 2, 0))], r"layer 1 \(Permute\): order is \(1, 2, 0\)"),
        ([Permute((1, 2, 0)), Conv(4, 3)], r"the input is of shape \(8, 8, 3\); expected \(C, H, W\)"),
        ([Attention(4)], r"the input is of shape \(3, 8, 8\); expected \(tokens, dim\)"),
        ([Rbf(4)], r"the input is of shape \(3, 8, 8\); expected \(features,\)"),
        ([Unflatten()], r"the input is of shape \(3, 8, 8\); expected \(C, H · W\) of a plane"),
        (
            [Conv(3, 2, stride=2, name="a"), Conv(3, 5, inputs=("input",), name="b"), Add(inputs=("a", "b"))],
            r"inputs step over the image by \[1, 2\]; expected one jump",
        ),
    ],
)
def test_what_does_not_fit_is_named(layers, message):
    with pytest.raises(ValueError, match=message):
        trace(layers, (3, 8, 8))


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4), 5, (3, 0, 8), (3, 8.0, 8)])
def test_a_bad_input_shape_is_named(shape):
    with pytest.raises(ValueError, match="input_shape is "):
        trace([Activation()], shape)


def test_a_missing_row_is_named():
    with pytest.raises(ValueError, match="name is 'c4'; expected one of c1, s2, c3"):
        trace(LENET_1998, (1, 32, 32)).row("c4")
