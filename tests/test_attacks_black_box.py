"""Attacks that only ask: what they reach against what can be computed, and how often they ask."""

from functools import partial
from itertools import pairwise
from math import inf, sqrt

import pytest
import torch
from attack_table import CASES, digits, right_digits, victim
from torch import nn
from torch.nn import functional as F

from cnnlib import attacks
from cnnlib.inputs import Threat, distance

BLACK_BOX = [
    name for name in CASES if name.split(",")[0] in ("one pixel", "square", "nes", "boundary", "hop skip jump")
]


@pytest.fixture(scope="module")
def model():
    return victim()


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def small():
    return right_digits()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(bias=0.5, dtype=torch.float64):
    """Two classes of 8 × 8 images; a grey one is of class 0, by `bias`. Return the model and the weights (64,)."""
    w = torch.randn(64, generator=seeded(7), dtype=dtype)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, dtype=dtype))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.zeros_like(w), w]))
        model[1].bias.copy_(torch.stack([w.sum() / 2 + bias, w.new_zeros(())]))
    return model, w


GREY, ZERO = torch.full((1, 1, 8, 8), 0.5, dtype=torch.float64), torch.tensor([0])


# Budgets


@pytest.mark.parametrize("name", BLACK_BOX)
@pytest.mark.parametrize("queries", [0, 1, 2, 3, 18, 49, 70, 101])
def test_no_more_is_asked_than_allowed(name, queries, model, data):
    x, y = data
    found = CASES[name].run(model, x, y, queries=queries)
    assert found.queries.max() <= queries
    if queries < 2:
        assert (found.queries == queries).all()
        assert torch.equal(found.adversarial, x)
        assert not found.success.any()
        assert found.attacked.any() == (queries == 1)


@pytest.mark.parametrize("name", BLACK_BOX)
def test_bad_budgets_are_named(name, model, data):
    with pytest.raises(ValueError, match=r"queries is -1; expected an integer of at least 0"):
        CASES[name].run(model, *data, queries=-1)


BAD = {
    "share": ("square", {"share": 0}, "share is 0; expected a share of the pixels, above 0 and at most 1"),
    "samples": ("nes", {"samples": 3}, "samples is 3; expected an even number of at least 2"),
    "population": ("one pixel", {"population": 3}, "population is 3; expected an integer of at least 4"),
    "starts": ("boundary", {"starts": torch.zeros(2, 1, 8, 8)}, r"starts is torch.float32 \(2, 1, 8, 8\); expected .*"),
    "shape": ("hop skip jump", {"starts": torch.zeros(1, 8, 8).double()}, r"starts is torch.float64 \(1, 8, 8\); .*"),
    "none": ("boundary", {"starts": [3]}, r"starts is \[3\]; expected images like x, torch.float64 \(M, 1, 8, 8\)"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_options_are_named(what, model, data):
    name, options, says = BAD[what]
    with pytest.raises(ValueError, match=says):
        CASES[name].run(model, *data, **options)


# One pixel


def exhaustive(model, x, y):
    """Tell which digits any of 64 × 17 changes of one pixel fools."""
    fooled = torch.zeros_like(y, dtype=torch.bool)
    with torch.no_grad():
        for pixel in range(64):
            changed = x[:, None].repeat(1, 17, 1, 1, 1)
            changed.view(len(x), 17, 64)[:, :, pixel] = torch.arange(17) / 16
            fooled |= (model(changed.flatten(0, 1)).argmax(1).view(-1, 17) != y[:, None]).any(1)
    return fooled


def test_one_pixel_finds_nine_tenths_of_what_there_is_and_no_more(small):
    model, x, y = small
    there = exhaustive(model, x, y)
    found = attacks.one_pixel(model, x, y, Threat(0, 1, levels=17), queries=800)
    assert not (found.success & ~there).any()
    assert found.success.sum() >= 0.9 * there.sum() > 40
    assert torch.equal(found.success, found.rounded_success)


def test_as_many_pixels_are_changed_as_are_needed():
    model, _ = linear()
    with torch.no_grad():
        model[1].weight[1], model[1].bias[0] = 1, 32 + 1.2  # the sum is 32, and a white pixel adds 1/2
    few, enough = (attacks.one_pixel(model, GREY, ZERO, Threat(0, pixels), queries=1000) for pixels in (2, 3))
    assert not few.success
    assert enough.success
    assert enough.l0 == 3


# Scores


@pytest.mark.parametrize(("norm", "needed"), [(inf, 1.25), (2, 1.6)])
@pytest.mark.parametrize("attack", [attacks.square, partial(attacks.nes, samples=100)], ids=["square", "nes"])
def test_little_more_is_needed_than_the_least_change_of_a_linear_model(attack, norm, needed):
    model, w = linear()
    least = 0.5 / (w.abs().sum() if norm == inf else w.norm()).item()
    assert not attack(model, GREY, ZERO, Threat(norm, 0.99 * least), queries=1500).success
    assert attack(model, GREY, ZERO, Threat(norm, needed * least), queries=1500).success


class Unmoved(nn.Module):
    """Says the same of every image, and remembers them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen += x
        return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)


def test_the_windows_of_square_shrink_as_its_authors_say():
    """Where nothing is won, every question is the first one but for a window: 0.8 of the pixels, halved and halved."""
    model, x = Unmoved(), torch.full((1, 1, 40, 40), 0.5)
    attacks.square(model, x, ZERO, Threat(inf, 0.1), queries=1002)  # one of the image, one of the stripes, and 1000
    heights = [int((image != model.seen[1]).any(2).sum()) for image in model.seen[2:]]
    starts = [0, 2, 6, 21, 51, 101, 201, 401, 601, 801, 1000]  # 10, 50, 200… of 10 000, in thousandths
    for k, (start, end) in enumerate(pairwise(starts)):
        assert set(heights[start:end]) - {0} == {round(sqrt(0.8 * 1600 / 2**k))}  # 0 where it has the stripes' signs


def test_the_estimate_of_nes_points_along_the_gradient():
    model, w = linear(bias=5)
    found = attacks.nes(model, GREY, ZERO, Threat(2, 0.1), queries=2003, samples=2000)
    cosine = F.cosine_similarity((found.adversarial - GREY).flatten(), w, dim=0)
    assert cosine > 0.93  # of 1000 pairs in 64 dimensions √(1000 / 1064) = 0.97 is to be expected


@pytest.mark.parametrize(("norm", "eps", "theirs"), [(inf, 0.1, 0.561), (2, 0.4, 0.224)])
def test_square_fools_as_many_digits_as_the_authors_program(norm, eps, theirs, small):
    model, x, y = small  # theirs: pyautoattack 0.2.0 at 300 queries, the mean of three seeds
    found = attacks.square(model, x, y, Threat(norm, eps), queries=300)
    assert found.success.double().mean() >= theirs - 0.02


# Decisions

DECISIONS = (attacks.boundary, attacks.hop_skip_jump)


class Decides(nn.Module):
    """Says which class, and not how sure it is."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return F.one_hot(self.model(x).argmax(1), 10).to(x)


@pytest.mark.parametrize("attack", DECISIONS)
def test_nothing_but_the_class_is_used(attack, model, data):
    x, y = (each[:6] for each in data)
    sure, unsure = (attack(each, x, y, Threat(2, 2), queries=150) for each in (model, Decides(model)))
    assert sure.success.any()
    assert torch.equal(sure.adversarial, unsure.adversarial)


@pytest.mark.parametrize(
    ("attack", "norm", "factor"),
    [(attacks.boundary, 2, 1.02), (attacks.hop_skip_jump, 2, 1.05), (attacks.hop_skip_jump, inf, 1.1)],
)
def test_the_least_change_of_a_linear_model_is_approached(attack, norm, factor):
    model, w = linear()
    least = 0.5 / (w.abs().sum() if norm == inf else w.norm()).item()
    found = attack(model, GREY, ZERO, Threat(norm, 10), queries=3000)
    assert least <= distance(GREY, found.adversarial, norm) <= factor * least


@pytest.mark.parametrize("attack", DECISIONS)
def test_what_is_not_within_eps_comes_back_unchanged(attack, model, data):
    x, y = data
    far, near = (attack(model, x, y, Threat(2, eps), queries=120) for eps in (100, 0.8))
    assert torch.equal(near.success, far.success & (far.l2 <= 0.8))
    assert 0 < near.success.sum() < far.success.sum() == far.attacked.sum()
    assert torch.equal(near.adversarial[~near.success], x[~near.success])
    assert torch.equal(near.adversarial[near.success], far.adversarial[near.success])


@pytest.mark.parametrize("attack", DECISIONS)
def test_it_begins_where_it_is_told(attack, model, data):
    x, y = data
    target = (y + 1) % 10
    found = attack(model, x, y, Threat(2, 100), target=target, starts=x, queries=100)
    assert torch.equal(found.success, found.attacked)  # the two that are misclassified are starts as well
    lost = attack(model, x, y, Threat(2, 100), target=target, starts=x[found.attacked & (y == 9)], queries=100)
    assert torch.equal(lost.success, lost.attacked & (target == 9))
    assert (lost.queries[lost.attacked & (target != 9)] == 1 + (found.attacked & (y == 9)).sum()).all()


@pytest.mark.parametrize(("norm", "theirs"), [(2, 1.2646), (inf, 0.1397)])
def test_hop_skip_jump_comes_as_near_as_foolbox(norm, theirs, small):
    model, x, y = small  # theirs: foolbox 3.3.4 with four steps, at least 744 queries
    found = attacks.hop_skip_jump(model, x[:40], y[:40], Threat(norm, 100), queries=744)
    assert found.success.all()
    assert distance(x[:40], found.adversarial, norm).mean() <= theirs


# Transfer


def test_transfer_to_itself_is_the_attack_and_to_others_is_judged_by_them(model, data):
    x, y = data
    threat, attack = Threat(inf, 0.2), partial(attacks.pgd, steps=8)
    own = attack(model, x, y, threat)
    same = attacks.transfer(model, x, y, threat, surrogate=model, attack=attack)
    assert torch.equal(own.adversarial, same.adversarial)
    assert (same.queries == 1).all()
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, dtype=torch.float64))
    with torch.no_grad():
        means = torch.stack([x[y == k].flatten(1).mean(0) for k in range(10)])
        other[1].weight.copy_(means)
        other[1].bias.copy_(-(means**2).sum(1) / 2)  # the nearest mean
    judged = attacks.transfer(model, x, y, threat, surrogate=other, attack=attack)
    assert torch.equal(judged.predictions, model(judged.adversarial).argmax(1))
    assert torch.equal(judged.attacked, model(x).argmax(1) == y)
    assert torch.equal(judged.adversarial[~judged.attacked], x[~judged.attacked])
    assert 0 < judged.success.sum() < own.success.sum()


def test_transfer_hands_targets_and_generator_on(model, data):
    x, y = data
    threat, target = Threat(inf, 0.2), (y + 1) % 10
    own = attacks.pgd(model, x, y, threat, target=target, generator=seeded(4))
    same = attacks.transfer(
        model, x, y, threat, surrogate=model, attack=attacks.pgd, target=target, generator=seeded(4)
    )
    assert torch.equal(own.adversarial, same.adversarial)
    assert torch.equal(own.success, same.success)
    none = attacks.transfer(model, x[:0], y[:0], threat, surrogate=model, attack=attacks.pgd)
    assert none.success.shape == (0,)
    with pytest.raises(ValueError, match=r"model returns \(24, 1, 8, 8\); expected logits"):
        attacks.transfer(model, x, y, threat, surrogate=nn.Identity(), attack=attacks.pgd)
    model.train()
    attacks.transfer(model, x, y, threat, surrogate=model, attack=attacks.fgsm)
    assert model.training
    model.eval()
