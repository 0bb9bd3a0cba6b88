"""What the engines promise by themselves: the ascent, its steps, a frozen model, and what a result remembers."""

from itertools import combinations
from math import inf

import pytest
import torch
from attack_table import Mixed
from model_state import state
from torch import nn

from cnnlib.attacks import fgsm, survival
from cnnlib.inputs import APGD, Adam, Kept, Threat, ascend, attack_on, cross_entropy, difference_ratio, frozen, steepest

X = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def climb(objective, steps=3):
    return ascend(
        torch.zeros(2, 1, 1, 2), objective, step_rule=steepest(2, 1), project=lambda x: x.clamp(-9, 9), steps=steps
    )


def test_an_objective_that_cannot_be_climbed_is_named():
    with pytest.raises(ValueError, match="objective does not depend on its inputs"):
        climb(lambda x: torch.zeros(2))
    with pytest.raises(ValueError, match=r"objective returns \(1,\); expected one number for each of 2 inputs"):
        climb(lambda x: x.sum()[None])
    with pytest.raises(ValueError, match=r"returns tensor\(\[inf, inf\]\) at step 1; expected finite numbers"):
        climb(lambda x: x.flatten(1).sum(1) / (x.flatten(1).sum(1) < 1))


def test_views_are_drawn_anew_at_every_step_also_without_a_generator():
    drawn = []

    def shifted(x, generator):
        drawn.append(torch.rand(1, generator=generator))
        return torch.cat([x, x + drawn[-1]])

    found = ascend(
        torch.zeros(2, 1, 1, 2),
        lambda x: x.sum((1, 2, 3)),
        step_rule=lambda x, gradient, values: x,
        project=lambda x: x,
        transforms=shifted,
        steps=3,
    )
    assert len({draw.item() for draw in drawn}) == 3
    torch.testing.assert_close(found.history, torch.cat(drawn)[:, None].expand(3, 2))  # the mean of 0 and 2 draws


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        ((1, 0.1), ValueError, "norm is 1; expected 0, 2 or math.inf"),
        ((2, -1), ValueError, "eps is -1; expected a number of at least 0"),
        ((2, float("nan")), ValueError, "eps is nan; expected a finite number"),
        ((0, 1.5), ValueError, "eps is 1.5; expected an integer of at least 0"),
        ((2, 1, (1, 0)), ValueError, r"box is \(1, 0\); expected the least number of a pixel, and a larger one"),
        ((2, 1, 1), ValueError, "box is 1; expected the least number of a pixel, and a larger one"),
        ((2, 1, (0, 1, 2)), ValueError, r"box is \(0, 1, 2\); expected the least"),
        ((2, 1, (0, 1), 1), ValueError, "levels is 1; expected an integer of at least 2"),
    ],
)
def test_a_threat_of_another_kind_is_refused(bad, error, says):
    with pytest.raises(error, match=says):
        Threat(*bad)


@pytest.mark.parametrize("lr", [0, -0.1, float("nan")])
def test_a_rate_that_leads_nowhere_is_refused(lr):
    with pytest.raises(ValueError, match=f"lr is {lr}; expected a"):
        Adam(lr)


def test_adam_is_that_of_torch():
    start, target = torch.zeros(1, 1, 1, 3, dtype=torch.float64), torch.tensor([1.0, -2.0, 30.0], dtype=torch.float64)

    def objective(x):
        return -((x - target) ** 2).sum((1, 2, 3))

    found = ascend(start, objective, step_rule=Adam(0.1), project=lambda x: x, steps=20)
    weight = start.clone().requires_grad_()
    theirs = torch.optim.Adam([weight], lr=0.1)
    for _ in range(20):
        theirs.zero_grad()
        (-objective(weight)).sum().backward()
        theirs.step()
    torch.testing.assert_close(found.x, weight.detach(), rtol=1e-9, atol=0)


def test_within_a_threat_the_nearest_is_found_without_touching_what_was_given():
    x, z = torch.tensor([0.0, 0.5, 0.9]).view(1, 1, 1, 3), torch.tensor([-3.0, 0.6, 3.0]).view(1, 1, 1, 3)
    assert Threat(inf, 0.2).around(x)(z).flatten().tolist() == pytest.approx([0, 0.6, 1])
    gradient, size = torch.tensor([-2.0, 0.0, 4.0]).view(1, 1, 1, 3), torch.full((1, 1, 1, 1), 0.5)
    assert steepest(inf, size)(x, gradient, gradient).flatten().tolist() == pytest.approx([-0.5, 0.5, 1.4])
    assert x.flatten().tolist() == pytest.approx([0.0, 0.5, 0.9])
    assert (z.flatten().tolist(), gradient.flatten().tolist()) == (pytest.approx([-3, 0.6, 3]), [-2, 0, 4])


def test_the_few_pixels_that_bring_an_image_nearest_move():
    """Of all pairs of four pixels, that with which what is allowed comes nearest to z, also from outside the box."""
    x = torch.rand(3, 2, 2, 2, generator=torch.Generator().manual_seed(1))
    z = x + 2 * torch.rand(3, 2, 2, 2, generator=torch.Generator().manual_seed(2)) - 1
    x[0], z[0] = 0.5, torch.tensor([[0.5, 0.6], [0.7, 0.8]])
    x[0, :, 0, 0], z[0, :, 0, 0] = 0.99, 1.5  # farthest away, but the box ends soon
    found = Threat(0, 2).around(x)(z)
    for row in range(3):
        tries = []
        for pair in combinations(range(4), 2):
            tried = x[row].flatten(1).clone()
            tried[:, pair] = z[row].flatten(1)[:, pair].clamp(0, 1)
            tries.append(tried.view(2, 2, 2))
        best = min(tries, key=lambda tried: (tried - z[row]).square().sum())
        torch.testing.assert_close(found[row], best, rtol=0, atol=0)


def test_apgd_halves_a_step_that_goes_nowhere_and_goes_back_to_the_best():
    """With 100 steps it looks after 22, 41, 57 and 70: 16 rises of 22 are too few, 17 enough unless nothing is won."""

    def values(t):
        sixteen, seventeen = (min(t, most) - max(0, min(t, 22) - most) / 10 for most in (16, 17))
        later = 1000.0 * max(0, t - 22)
        below = 0.0 if t == 0 else t / 10 - 100  # grows, and is never what it was at first
        return torch.tensor([float(t), sixteen + later, seventeen + later, below])

    rule, sizes = APGD(inf, 1.0, lambda x: x, steps=100), {}
    for t in range(71):
        moved = rule(torch.full((4, 1, 1, 1), float(t)), torch.ones(4, 1, 1, 1), values(t)).flatten().tolist()
        sizes[t] = rule.size.flatten().tolist()
        if t == 22:
            back = [22, 16, 22, 22]
            expected = [at + 0.75 * size + 0.25 * (at - 21) for at, size in zip(back, sizes[t], strict=True)]
            assert moved == pytest.approx(expected)
    for looks, expected in (
        ((0, 21), [1, 1, 1, 1]),
        ((22, 40), [1, 0.5, 1, 1]),
        ((41, 57, 69), [1, 0.5, 1, 0.5]),
        ((70,), [1, 0.5, 1, 0.25]),
    ):
        assert [sizes[t] for t in looks] == [expected] * len(looks)


def test_the_ratio_of_differences_by_hand():
    logits, y = torch.tensor([[5.0, 3.0, 2.0, 1.0], [5.0, 3.0, 2.0, 1.0]]), torch.tensor([0, 1])
    assert difference_ratio(logits, y, None).tolist() == pytest.approx([-2 / 3, 2 / 3])
    assert difference_ratio(logits, y, torch.tensor([2, 0])).tolist() == pytest.approx([-3 / 3.5, 2 / 3.5])


def test_in_training_or_in_use_a_model_is_attacked_in_use():
    model = Mixed()
    with torch.no_grad():
        y = Mixed().eval()(X).argmax(1)
    model.train()
    first = fgsm(model, X, y, Threat(inf, 0.1))
    assert model.training
    assert torch.equal(first.adversarial, fgsm(Mixed().eval(), X, y, Threat(inf, 0.1)).adversarial)


def test_whatever_is_done_to_a_frozen_model_is_undone():
    model = Mixed()
    before = state(model)
    with frozen(model):
        model.train()
        model.requires_grad_(True)
        model.conv.weight.grad = torch.ones_like(model.conv.weight)
        model.out.weight.grad = None
        model.norm.running_var.zero_()
        model.drop.register_forward_pre_hook(lambda *_: None)
        model.relu._forward_hooks.clear()
    assert state(model) == before


def test_queries_about_all_and_about_some_are_counted_where_they_belong():
    model = Mixed()
    with torch.no_grad():
        y = Mixed().eval()(X).argmax(1)
    y[1] = (y[1] + 1) % 4  # which it has wrong
    with attack_on(model, X, y, Threat(inf, 0.1), target=None, generator=None) as victim:
        victim.skip_mistaken()
        victim.ask(victim.x)
        victim.ask(torch.cat([victim.x] * 3))
        victim.ask(victim.x[:1], torch.tensor([1]))
        assert victim.queries.tolist() == victim.queries.tolist() == [5, 1, 6]
        value = victim.objective(cross_entropy)
        views = torch.cat([victim.x, 1 - victim.x])  # two of each
        expected = cross_entropy(model(views), torch.cat([victim.y] * 2), None)
        assert torch.equal(value(views), expected)


def test_what_fools_is_kept_though_the_loss_grows_where_nothing_does():
    model = nn.Flatten()  # the two pixels are the logits
    x, y = torch.tensor([0.6, 0.4]).view(1, 1, 1, 2), torch.tensor([0])

    def brightness(logits, y, target):
        return logits.sum(1)

    def image(*pixels):
        return torch.tensor(pixels).view(1, 1, 1, 2)

    with attack_on(model, x, y, Threat(inf, 1), target=None, generator=None) as victim:
        kept = Kept(victim, brightness)
        for tried, expected in (
            (image(0.6, 0.4), image(0.6, 0.4)),
            (image(0.8, 0.7), image(0.8, 0.7)),  # worse for the model
            (image(0.5, 0.1), image(0.8, 0.7)),
            (image(0.1, 0.2), image(0.1, 0.2)),  # fools
            (image(0.9, 0.8), image(0.1, 0.2)),
            (image(0.0, 0.1), image(0.0, 0.1)),  # the last that does
        ):
            assert kept(tried).tolist() == pytest.approx([tried.sum().item()])
            assert torch.equal(kept.images, expected)


def test_classes_elsewhere_are_named():
    with pytest.raises(ValueError, match="y is on meta; expected cpu, where x is"):
        fgsm(Mixed(), X, torch.zeros(3, dtype=torch.int64, device="meta"), Threat(inf, 0.1))


def test_a_result_does_not_speak_of_another_model():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    x = torch.full((1, 1, 2, 2), 0.5)
    found = fgsm(model, x, model(x).argmax(1), Threat(inf, 0.1))
    with torch.no_grad():
        model[1].bias += 1
    with pytest.raises(RuntimeError, match="model has other parameters than during the attack"):
        _ = found.success


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"images": X + 1}, ValueError, "images runs from .* expected pixels from 0 to 1"),
        ({"images": (255 * X).byte()}, ValueError, "images is torch.uint8"),
        ({"y": torch.eye(4)[:3]}, ValueError, "y is torch.float32"),
        ({"y": torch.tensor([0, 1, 9])}, ValueError, "y runs from 0 to 9; expected classes from 0 to 3"),
        ({"target": torch.tensor([0])}, ValueError, "target is torch.int64"),
        ({"model": len}, TypeError, "model is builtin_function_or_method; expected a torch.nn.Module"),
        ({"target": torch.tensor([1, 0, 2])}, ValueError, "target is 2 for image 2, its label; expected another class"),
        (
            {"transform": lambda x, generator: x[:2]},
            ValueError,
            "transform returns 2 views of 3 images; expected one of each",
        ),
        ({"count": 0}, ValueError, "count is 0; expected an integer of at least 1"),
    ],
)
def test_bad_arguments_of_a_survival_are_named(change, error, says):
    arguments = {"model": Mixed(), "images": X, "y": torch.tensor([0, 1, 2]), "transform": lambda x, generator: x}
    with pytest.raises(error, match=says):
        survival(**(arguments | change))
