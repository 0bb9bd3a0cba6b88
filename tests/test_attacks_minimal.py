"""Attacks that look for the nearest image: what they find where it can be written down."""

from itertools import combinations
from math import inf, sqrt

import pytest
import torch
from attack_table import digits, victim
from torch import nn

from cnnlib.attacks import carlini_wagner, deepfool, fgsm, fool_linear, lbfgs
from cnnlib.inputs import LBFGS, Threat, ascend, attack_on, minimise_norm

BOTH = pytest.mark.parametrize("attack", [carlini_wagner, lbfgs])
EVERY = pytest.mark.parametrize("attack", [deepfool, carlini_wagner, lbfgs])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(classes, numbers=16, count=8, spread=0.5):
    """A linear model of 4×4 images, images that it has right, at most `spread` from the middle, and their labels."""
    weight, bias = torch.randn(classes, numbers + 1, generator=seeded(1)).double().split([numbers, 1], 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(numbers, classes)).double()
    model.load_state_dict({"1.weight": weight, "1.bias": bias[:, 0]})
    x = 0.5 + spread * (2 * torch.rand(count, 1, 4, 4, generator=seeded(2)).double() - 1)
    with torch.no_grad():
        return model, x, model(x).argmax(1), (weight, bias[:, 0])


def by_hand(x, y, weight, bias, norm):
    """The least of the distances to the borders with the other classes, one image and one class after the other."""
    sizes = []
    for image, label in zip(x.flatten(1), y.tolist(), strict=True):
        logits = weight @ image + bias
        sizes.append(
            min(
                (logits[label] - logits[k]) / torch.linalg.vector_norm(weight[label] - weight[k], norm)
                for k in range(len(weight))
                if k != label
            )
        )
    return torch.stack(sizes)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("norm", "dual"), [(inf, 1), (2, 2)])
def test_the_nearest_border_of_a_linear_classifier(classes, norm, dual):
    model, x, y, (weight, bias) = linear(classes)
    change, sizes = fool_linear(weight, bias, x.flatten(1), y, norm=norm)
    torch.testing.assert_close(sizes, by_hand(x, y, weight, bias, dual), rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.linalg.vector_norm(change, norm, dim=1), sizes, rtol=1e-12, atol=0)
    for share, fools in ((1.0001, True), (0.9999, False)):
        assert ((model(x + share * change.view_as(x)).argmax(1) != y) == fools).all()


def test_numbers_without_room_stop_and_the_others_make_up_for_it():
    weight, bias, x = torch.tensor([[4.0, -1.0, 0.0]]), torch.tensor([-3.75]), torch.tensor([[0.9375, 0.5, 0.5]])
    y = torch.tensor([0])  # 4 a − b is 0.5 short of 3.75
    for norm, moved, size in (
        (inf, [0.0625, -0.25, 0], 0.25),
        (2, [0.0625, -0.25, 0], sqrt(17) / 16),
        (0, [0, -0.5, 0], 1),
    ):
        change, sizes = fool_linear(weight, bias, x, y, norm=norm, box=(0, 1))
        assert change.tolist() == [moved]
        assert sizes.item() == pytest.approx(size)


def test_in_a_box_nothing_smaller_does_it():
    _, x, y, (weight, bias) = linear(2, count=30)
    x = x.flatten(1)
    towards = weight[1 - y] - weight[y]
    lead = (x @ weight.T + bias)[range(30), y] - (x @ weight.T + bias)[range(30), 1 - y]
    room = torch.where(towards > 0, 1 - x, x)
    reach = (towards.abs() * room).sum(1) >= lead
    assert reach.any()
    for norm in (2, inf):
        change, sizes = fool_linear(weight, bias, x, y, norm=norm, box=(0, 1))
        assert ((sizes < inf) == reach).all()
        torch.testing.assert_close((change * towards).sum(1)[reach], lead[reach])
        pace = change.abs() / (towards.abs() if norm == 2 else 1)
        stopped = change.abs() >= room - 1e-12
        most = pace.masked_fill(stopped, 0).amax(1, keepdim=True)  # the conditions of Karush, Kuhn and Tucker:
        assert (stopped | (pace > most - 1e-12)).all()  # whatever has room left has gone at the same pace,
        assert (~stopped | (pace <= most + 1e-12))[reach].all()  # and what has none, no faster
    assert (~reach).any() == (sizes == inf).any()


def test_as_few_numbers_as_can_do_it():
    _, x, y, (weight, bias) = linear(3)
    weight, x = weight[:, :6], x.flatten(1)[:, :6]
    y = (x @ weight.T + bias).argmax(1)
    change, sizes = fool_linear(weight, bias, x, y, norm=0, box=(0, 1))
    ends = torch.where(weight - weight[y][:, None] > 0, 1.0, 0.0).double()  # (N, K, 6), the best of every number
    for row, (image, label) in enumerate(zip(x, y, strict=True)):
        for count in range(7):
            moved = [
                image.where(~torch.tensor([i in chosen for i in range(6)]), ends[row, k])
                for chosen in combinations(range(6), count)
                for k in range(3)
            ]
            if ((torch.stack(moved) @ weight.T + bias).argmax(1) != label).any():
                break
        else:
            count = inf
        assert sizes[row] == count
    assert ((change != 0).sum(1) == torch.where(sizes < inf, sizes, 0)).all()


def test_targets_and_what_is_out_of_reach_or_done_already():
    _, x, y, (weight, bias) = linear(3)
    x = x.flatten(1)
    change, _ = fool_linear(weight, bias, x, y, norm=2, target=(y + 1) % 3)
    logits = (x + change) @ weight.T + bias
    rows = range(len(x))
    torch.testing.assert_close(logits[rows, y], logits[rows, (y + 1) % 3])
    change, sizes = fool_linear(weight, bias, x, (y + 1) % 3, norm=inf)
    assert not change.any()
    assert not sizes.any()
    for norm in (0, 2, inf):
        change, sizes = fool_linear(
            weight, bias + 99 * nn.functional.one_hot(y[0], 3), x[:1], y[:1], norm=norm, box=(0, 1)
        )
        assert not change.any()
        assert sizes == inf


def test_bad_arguments_of_a_linear_classifier_are_named():
    w, b, x, y = torch.ones(3, 2), torch.ones(3), torch.ones(1, 2), torch.tensor([0])
    for change, says in (
        ({"weight": w[0]}, r"weight is \(2,\), bias \(3,\) and x \(1, 2\); expected \(K, D\), \(K,\) and \(N, D\)"),
        ({"bias": b.long()}, "bias is torch.int64"),
        ({"x": x * torch.nan}, "x is torch.float32.*expected finite floats"),
        ({"y": y + 3}, "y runs from 3 to 3; expected classes from 0 to 2"),
        ({"norm": 1}, "norm is 1; expected 0, 2 or math.inf"),
        ({"box": (0, 0.5)}, "x runs from 1 to 1; expected numbers from 0 to 0.5"),
    ):
        with pytest.raises(ValueError, match=says):
            fool_linear(**{"weight": w, "bias": b, "x": x, "y": y, "norm": 2} | change)


def test_fgsm_needs_the_least_epsilon_of_all():
    model, x, y, (weight, bias) = linear(2)
    _, sizes = fool_linear(weight, bias, x.flatten(1), y, norm=inf, box=(0, 1))
    reached = [i for i in range(len(x)) if sizes[i] < inf]
    assert len(reached) > 4
    for i in reached:
        image, label, size = x[i : i + 1], y[i : i + 1], sizes[i].item()
        assert fgsm(model, image, label, Threat(inf, size * 1.00001)).success
        assert not fgsm(model, image, label, Threat(inf, size * 0.99999)).success


@pytest.mark.parametrize(("norm", "dual"), [(inf, 1), (2, 2)])
def test_deepfool_steps_across_the_nearest_border_of_a_linear_model_at_once(norm, dual):
    model, x, y, parts = linear(5, spread=0.1)
    found = deepfool(model, x, y, Threat(norm, 99), overshoot=0.03)
    assert found.success.all()
    assert found.queries.tolist() == [3] * 8
    size = found.linf if norm == inf else found.l2
    torch.testing.assert_close(size, 1.03 * (by_hand(x, y, *parts, dual) + 1e-4), rtol=0, atol=1e-6)


@BOTH
@pytest.mark.parametrize("classes", [2, 5])
def test_the_distance_to_the_border_of_a_linear_model_is_found(attack, classes):
    model, x, y, (weight, bias) = linear(classes, spread=0.1)
    found = attack(model, x, y, Threat(2, 99))
    ratio = found.l2 / fool_linear(weight, bias, x.flatten(1), y, norm=2, box=(0, 1))[1]
    assert found.success.all()
    assert (ratio >= 1 - 1e-9).all()
    assert (ratio <= 1.02).all()


@BOTH
def test_pixels_at_the_ends_of_the_box_move(attack):
    model, x, _, (weight, bias) = linear(2)
    x = (x > 0.5).double()
    y = model(x).argmax(1)
    _, sizes = fool_linear(weight, bias, x.flatten(1), y, norm=2, box=(0, 1))
    near = sizes < 1.5
    assert near.sum() > 3
    found = attack(model, x[near], y[near], Threat(2, 99))
    assert ((found.l2 / sizes[near] >= 1 - 1e-9) & (found.l2 / sizes[near] < 1.02)).all()


@EVERY
def test_what_lies_beyond_epsilon_is_not_found_and_what_lies_within_is_the_same(attack):
    (x, y), options = digits(10), {} if attack is deepfool else {"steps": 20, "rounds": 3}
    far = attack(victim(), x, y, Threat(2, 99), **options)
    eps = far.l2[far.attacked].median().item()
    near = attack(victim(), x, y, Threat(2, eps), **options)
    within = far.attacked & (far.l2 <= eps)
    assert 0 < within.sum() < far.attacked.sum()
    assert torch.equal(near.success, within)
    assert torch.equal(near.adversarial, torch.where(within[:, None, None, None], far.adversarial, x))


@EVERY
def test_a_budget_of_nothing_does_nothing(attack):
    model, (x, y) = victim(), digits(4)
    assert torch.equal(attack(model, x, y, Threat(2, 99), steps=0).adversarial, x)
    with pytest.raises(ValueError, match="steps is -1; expected an integer of at least 0"):
        attack(model, x, y, Threat(2, 1), steps=-1)
    if attack is not deepfool:
        assert torch.equal(attack(model, x, y, Threat(2, 99), rounds=0).adversarial, x)
        with pytest.raises(ValueError, match="threat has the norm inf; expected 2 for this attack"):
            attack(model, x, y, Threat(inf, 1))


def test_bad_arguments_of_deepfool_are_named():
    model, (x, y) = victim(), digits(4)
    with pytest.raises(ValueError, match=r"overshoot is -0.1; expected a number of at least 0"):
        deepfool(model, x, y, Threat(2, 1), overshoot=-0.1)
    with pytest.raises(ValueError, match="model has a single class"):
        deepfool(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).double(), x, 0 * y, Threat(2, 1))


@BOTH
def test_pixels_may_lie_in_another_box(attack):
    model, x, y, (weight, bias) = linear(2, spread=0.1)
    found = attack(model, x, y, Threat(2, 99, box=(-2.0, 3.0)))
    _, sizes = fool_linear(weight, bias, x.flatten(1), y, norm=2, box=(-2, 3))
    assert (found.l2 / sizes <= 1.02).all()


@BOTH
def test_with_several_classes_the_nearest_is_that_of_the_best_target(attack):
    """Without a target they go to the class that is strongest, which is not always the one whose border is nearest."""
    model, x, y, (weight, bias) = linear(3)
    _, sizes = fool_linear(weight, bias, x.flatten(1), y, norm=2, box=(-2, 3))
    threat = Threat(2, 99, box=(-2.0, 3.0))
    found = torch.stack([attack(model, x, y, threat, target=(y + k) % 3).l2 for k in (1, 2)])
    assert (found.amin(0) / sizes <= 1.02).all()
    assert (found.amin(0) / sizes >= 1 - 1e-9).all()


def test_constants_go_by_tens_until_one_fools_and_one_does_not():
    tried = []

    def solve(constants, nearest):
        tried.append(constants.tolist())
        nearest.ask(victim.x, torch.arange(2))
        return constants > torch.tensor([0.3, 40.0])

    model, x, y, _ = linear(2, count=2)
    with attack_on(model, x, y, Threat(2, 1), target=None, generator=None) as victim:
        nearest = minimise_norm(victim, solve, rounds=5)
    powers = [[0, 0], [-1, 1], [-0.5, 2], [-0.75, 1.5], [-0.625, 1.75]]
    torch.testing.assert_close(torch.tensor(tried).log10(), torch.tensor(powers))
    assert nearest.history.shape == (5, 2)
    assert torch.equal(nearest.images, x)


def test_lbfgs_ends_at_the_highest_point_of_a_box():
    root = torch.randn(12, 12, generator=seeded(5)).double()
    matrix, centre = root @ root.T + torch.eye(12), torch.linspace(-0.5, 1.5, 12).double()

    def objective(x):
        away = x.flatten(1) - centre
        return -((away @ matrix) * away).sum(1)

    def box(x):
        return x.clamp(0, 1)

    start = torch.rand(3, 1, 3, 4, generator=seeded(6)).double()
    found = ascend(start, objective, step_rule=LBFGS(box), project=box, steps=80).x
    x = found.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(x).sum(), x)
    assert ((found == 0) | (found == 1)).any()
    torch.testing.assert_close(box(found + gradient), found, rtol=0, atol=1e-6)  # nothing in the box is uphill
    alone = ascend(start[1:2], objective, step_rule=LBFGS(box), project=box, steps=10).x
    together = ascend(start, objective, step_rule=LBFGS(box), project=box, steps=10).x
    torch.testing.assert_close(alone, together[1:2], rtol=0, atol=1e-12)


def test_distances_are_those_that_foolbox_found():
    x, y = digits(24)
    found = [
        attack(victim().float(), x.float(), y, Threat(norm, 99))
        for attack, norm in ((deepfool, 2), (deepfool, inf), (carlini_wagner, 2))
    ]
    assert all(each.success.sum() == 22 for each in found)
    assert found[0].l2.sum().item() / 22 == pytest.approx(0.384912, abs=1e-6)  # L2DeepFoolAttack of foolbox 3.3.4
    assert found[1].linf.sum().item() / 22 == pytest.approx(0.080301, abs=1e-6)  # LinfDeepFoolAttack
    assert found[2].l2.sum().item() / 22 <= 0.349229  # L2CarliniWagnerAttack, steps as many, as long and tried as often
