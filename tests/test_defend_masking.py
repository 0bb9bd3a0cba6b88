"""Networks that hide their gradients are found out, each by what it cannot hide; one that does not looks sound."""

from functools import partial
from math import inf
from types import SimpleNamespace

import pytest
import torch
from attack_table import Mixed, digits, victim
from test_attacks import state
from torch import nn

from cnnlib.attacks import fgsm, pgd
from cnnlib.attacks.square import square
from cnnlib.defend import diagnose
from cnnlib.inputs import Threat

THREAT = Threat(inf, 0.1)
asked_100_times = partial(square, queries=100)


@pytest.fixture(scope="module")
def data():
    return digits(20)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Before(nn.Module):
    """A function of the image in front of a network."""

    def __init__(self, function, network):
        super().__init__()
        self.function, self.network = function, network

    def forward(self, x):
        return self.network(self.function(x))


class Scaled(nn.Module):
    """A network whose logits are so large that its softmax is 0 or 1, in which no gradient is left."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return 10_000 * self.network(x)


def unsound(model, data, threat=THREAT, **options):
    """What does not look sound, and all the numbers."""
    options = {"steps": 5, "black_box": asked_100_times, "generator": seeded(), **options}
    found = diagnose(model, *data, threat, **options)
    assert [finding.what for finding in found] == ["more steps", "restarts", "black box", "unbounded"]
    return {finding.what for finding in found if not finding.sound}, {f.what: f.numbers for f in found}


@pytest.mark.parametrize("threat", [THREAT, Threat(2, 0.5)], ids=["inf", "2"])
def test_a_network_that_hides_nothing_looks_sound(threat):
    what, numbers = unsound(victim(), digits(42), threat, steps=10)  # a single image is less than the tolerance
    assert what == set()
    assert numbers["more steps"]["1"] < numbers["more steps"]["10"]
    assert numbers["unbounded"]["fooled"] == 1


def test_the_numbers_are_those_of_the_attacks(data):
    model = victim()
    numbers = unsound(model, data)[1]
    right = (model(data[0]).argmax(1) == data[1]).sum().item()
    for steps, found in (
        ("1", fgsm(model, *data, THREAT)),
        ("5", pgd(model, *data, THREAT, steps=5)),
        ("50", pgd(model, *data, THREAT, steps=50)),
    ):
        assert numbers["more steps"][steps] == found.success.sum().item() / right
    assert numbers["restarts"]["1"] == numbers["more steps"]["5"] <= numbers["restarts"]["6"]
    assert numbers["restarts"]["6"] <= numbers["black box"]["white"] <= 1
    assert numbers["black box"]["black alone"] <= numbers["black box"]["black"]


def test_rounded_pixels_have_no_gradient_but_are_fooled_by_what_needs_none(data):
    what, numbers = unsound(Before(lambda x: (8 * x).round() / 8, victim()), data)
    assert what == {"black box", "unbounded"}
    assert numbers["more steps"]["50"] == numbers["unbounded"]["fooled"] == 0
    assert numbers["black box"]["black alone"] > 0.4


def test_a_softmax_that_is_always_sure_has_no_gradient(data):
    what, numbers = unsound(Scaled(victim()), data)
    assert what == {"black box", "unbounded"}
    assert numbers["more steps"]["50"] == 0


def test_a_steep_curve_in_front_has_no_gradient_for_what_is_dark_or_bright(data):
    """In float32, where σ(150) is 1; what begins elsewhere, or asks for no gradient, fools more."""
    x, y = data[0].float(), data[1]
    what, numbers = unsound(Before(lambda x: torch.sigmoid(300 * (x - 0.5)), victim().float()), (x, y))
    assert {"restarts", "unbounded"} <= what
    assert numbers["restarts"]["6"] > numbers["restarts"]["1"] + 0.05


def test_it_counts_what_only_the_black_box_fools_and_not_how_many_it_fools(data):
    """A third of the images hide their gradients: what follows them fools others, what does not fools these."""
    model, x, y = victim(), data[0][2:], data[1][2:]  # all are right, so that all are attacked together
    hidden = torch.arange(len(x)) % 3 == 0
    masked = Before(lambda z: torch.where(hidden[:, None, None, None], (8 * z).round() / 8, z), model)
    fooled = SimpleNamespace(success=hidden)
    what, numbers = unsound(masked, (x, y), black_box=lambda *arguments, generator: fooled)
    assert "black box" in what
    assert numbers["black box"]["black"] < numbers["black box"]["white"]
    assert numbers["black box"]["black alone"] > 0.2


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("threat", [THREAT, Threat(inf, 0.08), Threat(2, 0.5)], ids=["0.1", "0.08", "2"])
def test_ascents_that_have_not_arrived_raise_no_alarm(threat, steps):
    """Five starts fool more than one does in so few steps; one that goes on for longer fools as many."""
    what, numbers = unsound(victim(), digits(42), threat, steps=steps)
    assert "restarts" not in what
    if (threat, steps) == (THREAT, 2):
        assert numbers["restarts"]["6"] > numbers["restarts"]["1"] + 0.05


def rippled():
    """Brighter or darker than ½, through waves: a small step stays on the first, a large one is over it."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0] * 4, [1.0] * 4]))
        model[1].bias.copy_(torch.tensor([0.0, -2.0]))
    return Before(lambda x: x + 0.06 * torch.sin(60 * (x - 0.4)), model)


def test_waves_stop_small_steps_and_not_large_ones():
    x = torch.full((5, 1, 2, 2), 0.4, dtype=torch.float64)
    what, numbers = unsound(rippled(), (x, torch.zeros(5, dtype=torch.int64)), Threat(inf, 0.13))
    assert numbers["more steps"] == {"1": 1.0, "5": 0.0, "50": 0.0}
    assert "more steps" in what


def test_the_tolerance_is_what_may_be_missing(data):
    x, y = data[0].float(), data[1]
    model = Before(lambda x: torch.sigmoid(300 * (x - 0.5)), victim().float())
    assert "restarts" in unsound(model, (x, y), tolerance=0)[0]
    assert unsound(model, (x, y), tolerance=1)[0] == {"unbounded"}  # of which nothing may be missing


def test_it_finds_the_same_again_and_leaves_everything_as_it_was():
    model, x = Mixed(), torch.rand(3, 3, 8, 8, generator=seeded(1))
    with torch.no_grad():
        y = model.eval()(x).argmax(1)
    model.train()
    before, drawn = state(model), torch.get_rng_state()
    first, again = (diagnose(model, x, y, THREAT, steps=2, black_box=asked_100_times) for _ in range(2))
    assert first == again
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), drawn)


def test_where_nothing_is_right_nothing_is_found(data):
    for x, y in ((data[0][:0], data[1][:0]), (data[0][:2], data[1][:2])):  # the first two are misclassified
        what, numbers = unsound(victim(), (x, y))
        assert what == set()
        assert numbers["unbounded"]["fooled"] == 0


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"threat": Threat(0, 3)}, ValueError, "threat has the norm 0; expected 2 or inf"),
        ({"threat": 0.1}, TypeError, "threat is 0.1; expected a Threat"),
        ({"steps": 0}, ValueError, "steps is 0; expected an integer of at least 1"),
        ({"tolerance": 2}, ValueError, "tolerance is 2; expected a number from 0 to 1"),
        ({"generator": 1}, TypeError, "generator is 1; expected a torch.Generator"),
    ],
)
def test_bad_input_is_named(data, options, error, says):
    with pytest.raises(error, match=says):
        diagnose(victim(), *data, **{"threat": THREAT, **options})
