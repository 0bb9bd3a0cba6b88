"""Both forms of LeNet-5: counts, the table of C3, subsampling, codes, and the twin in NumPy."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cnnlib import nn_numpy, nn_torch
from cnnlib.models.lenet import (
    TABLE,
    BitmapDistances,
    ScaledTanh,
    Subsampling,
    TableConv2d,
    connections_1998,
    lenet5,
    lenet5_1998,
)
from cnnlib.testing import assert_close

# The maps of S2 that each map of C3 sees, as the paper's text says: every three and every four in a row, cyclically,
# three broken fours, and all.
SEEN = [
    *[{i, (i + 1) % 6, (i + 2) % 6} for i in range(6)],
    *[{i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6} for i in range(6)],
    *[{0, 1, 3, 4}, {1, 2, 4, 5}, {0, 2, 3, 5}],
    set(range(6)),
]


def sizes(model):
    return {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}


def test_the_modern_form_is_its_numpy_twin_by_name():
    ours = nn_numpy.lenet5(np.random.default_rng(0))
    theirs = lenet5(seed=3).double()
    assert list(ours.parameters) == [name for name, _ in theirs.named_parameters()]
    assert sum(p.numel() for p in theirs.parameters()) == 61_706
    nn_torch.load(theirs, nn_numpy.state(ours))
    x = np.random.default_rng(1).normal(size=(2, 1, 28, 28))
    assert_close(ours.forward(x), theirs(torch.from_numpy(x)))


def test_the_modern_form_has_the_shapes_of_the_course():
    x, shapes = torch.zeros(1, 1, 28, 28), []
    for layer in lenet5():
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    pooled = [shapes[i] for i in (0, 2, 3, 5, 6)]
    assert pooled == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (400,)]


def test_the_published_form_has_exactly_60_000_parameters():
    counts = sizes(lenet5_1998())
    expected = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert {name: count for name, count in counts.items() if count} == expected
    assert sum(expected.values()) == 60_000
    assert sum(value.numel() for value in lenet5_1998().state_dict().values()) == 60_000


def test_connections_are_units_times_what_each_sums():
    """Counted again on the network itself: units from the shapes of real tensors, inputs from derivatives."""
    model, x = lenet5_1998(), torch.rand(1, 1, 32, 32)
    counts = {}
    for name, layer in model.named_children():
        y = layer(x)
        if sizes(model)[name] or name == "output":
            counts[name] = connections(layer, x, y, biases=name != "output")
        x = y
    assert counts == connections_1998()
    assert list(counts.values()) == [122_304, 5_880, 151_600, 2_000, 48_120, 10_164, 840]
    assert sum(counts.values()) == 340_908


def connections(layer, x, y, *, biases):
    """Every unit of a map sums as many inputs as its first one does."""
    total = 0
    maps = y.flatten(2).shape[2] if y.ndim == 4 else 1
    for channel in range(y.shape[1]):
        leaf = x.detach().clone().requires_grad_()
        layer(leaf)[0, channel].flatten()[0].backward()
        total += maps * (int((leaf.grad != 0).sum()) + biases)
    return total


def test_shapes_of_the_published_form_are_those_of_figure_2():
    x, shapes = torch.zeros(2, 1, 32, 32), {}
    for name, layer in lenet5_1998().named_children():
        x = layer(x)
        shapes[name] = tuple(x.shape[1:])
    assert [shapes[name] for name in ("c1", "s2", "c3", "s4", "c5", "f6", "output")] == [
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (120, 1, 1),
        (84,),
        (10,),
    ]


def test_table_of_c3_entry_by_entry():
    c3 = lenet5_1998(seed=1).c3
    x = torch.randn(1, 6, 14, 14)
    before = c3(x)
    for i in range(6):
        other = x.clone()
        other[0, i] += 1
        changed = [(a != b).any().item() for a, b in zip(before[0], c3(other)[0], strict=True)]
        assert changed == [i in seen for seen in SEEN], i
        assert [mark == "X" for mark in TABLE[i]] == changed
    assert sum(map(len, SEEN)) == 60


def test_c3_is_sixteen_small_convolutions():
    c3 = lenet5_1998(seed=2).double().c3
    x, first = torch.randn(2, 6, 14, 14, dtype=torch.float64), 0
    for o, seen in enumerate(SEEN):
        kernels = c3.weight[first : first + len(seen)].unsqueeze(0)
        assert_close(c3(x)[:, o : o + 1], F.conv2d(x[:, sorted(seen)], kernels, c3.bias[o : o + 1]))
        first += len(seen)


def test_table_convolution_by_hand():
    layer = TableConv2d(["X.", "XX"], 1)
    layer.weight.data = torch.tensor([2.0, 3.0, 5.0]).view(3, 1, 1)
    layer.bias.data = torch.tensor([10.0, 20.0])
    assert layer(torch.tensor([1.0, 100.0]).view(1, 2, 1, 1)).flatten().tolist() == [312.0, 520.0]


def test_subsampling_against_plain_loops():
    layer = Subsampling(2).double()
    layer.weight.data, layer.bias.data = torch.tensor([0.5, -2.0]).double(), torch.tensor([1.0, 3.0]).double()
    x = torch.arange(2 * 2 * 4 * 6, dtype=torch.float64).view(2, 2, 4, 6)
    y = torch.zeros(2, 2, 2, 3, dtype=torch.float64)
    for n, c, i, j in itertools.product(range(2), range(2), range(2), range(3)):
        four = (
            x[n, c, 2 * i, 2 * j]
            + x[n, c, 2 * i, 2 * j + 1]
            + x[n, c, 2 * i + 1, 2 * j]
            + x[n, c, 2 * i + 1, 2 * j + 1]
        )
        y[n, c, i, j] = four * layer.weight[c] + layer.bias[c]
    assert torch.equal(layer(x), y)


def test_scaled_tanh_is_the_papers():
    x = torch.tensor([-1e3, -1.0, 0.0, 1.0, 1e3], dtype=torch.float64)
    assert_close(ScaledTanh()(x), np.array([-1.7159, -1.0, 0.0, 1.0, 1.7159]), rtol=1e-5)
    leaf = torch.tensor([0.95, 1.0, 1.05], dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(ScaledTanh()(leaf).sum(), leaf, create_graph=True)[0]
    curvature = torch.autograd.grad(slope.sum(), leaf)[0].abs()
    assert curvature.argmax() == 1


def test_codes_are_ten_different_bitmaps_of_plus_and_minus_one():
    codes = BitmapDistances(10).codes
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    apart = [int((codes[a] != codes[b]).sum()) for a, b in itertools.combinations(range(10), 2)]
    assert min(apart) == 10  # a six and an eight
    one, zero = codes[1].view(12, 7), codes[0].view(12, 7)
    assert (one[:11, 3:5] == 1).all()
    assert (one[:11, 5:] == -1).all()
    assert torch.equal(zero, zero.flip(0))
    assert torch.equal(zero, zero.flip(1))


def test_logits_are_minus_squared_distances():
    layer, x = BitmapDistances(4), torch.randn(3, 84)
    for n, c in itertools.product(range(3), range(4)):
        expected = -sum((x[n, j].item() - layer.codes[c, j].item()) ** 2 for j in range(84))
        assert layer(x)[n, c].item() == pytest.approx(expected, rel=1e-5)
    assert layer(layer.codes).argmax(1).tolist() == [0, 1, 2, 3]
    assert layer(layer.codes).diagonal().tolist() == [0.0] * 4


def test_initial_weights_fill_the_papers_interval():
    models = [lenet5_1998(seed=seed) for seed in range(8)]
    for name, fan_in in {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120}.items():
        drawn = torch.cat([p.flatten() for model in models for p in model.get_submodule(name).parameters()])
        assert_fills(drawn, 2.4 / fan_in)
    first = 0
    for o, seen in enumerate(SEEN):
        assert_fills(
            torch.cat([m.c3.weight[first : first + len(seen)].flatten() for m in models]), 2.4 / (25 * len(seen))
        )
        assert all(m.c3.bias[o].abs() <= 2.4 / (25 * len(seen)) for m in models)
        first += len(seen)


def assert_fills(drawn, bound):
    """Uniform draws come near both ends and never pass them."""
    assert -bound <= drawn.min() < -0.9 * bound
    assert 0.9 * bound < drawn.max() <= bound


@pytest.mark.parametrize("build", [lenet5, lenet5_1998])
def test_every_parameter_is_trained(build):
    model = build()
    side = 28 if build is lenet5 else 32
    torch.manual_seed(0)
    F.cross_entropy(model(torch.randn(4, 1, side, side)), torch.tensor([0, 3, 5, 9])).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("build", [lenet5, lenet5_1998])
def test_bad_input_is_refused_by_name(build):
    side, other = (28, 32) if build is lenet5 else (32, 28)
    with pytest.raises(ValueError, match=rf"x has shape \(1, 1, {other}, {other}\); expected \(N, 1, {side}, {side}\)"):
        build()(torch.zeros(1, 1, other, other))
    with pytest.raises(ValueError, match="x has shape"):
        build()(torch.zeros(1, side, side))
    with pytest.raises(ValueError, match="num_classes is 0"):
        build(num_classes=0)
    with pytest.raises(ValueError, match=r"in_channels is 1\.5"):
        build(in_channels=1.5)
    assert build(num_classes=3, in_channels=2)(torch.zeros(1, 2, side, side)).shape == (1, 3)


def test_only_ten_digits_have_a_bitmap():
    with pytest.raises(ValueError, match="num_classes is 11; expected at most 10"):
        lenet5_1998(num_classes=11)
