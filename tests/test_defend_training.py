"""Adversarial training: the examples are the worst that are allowed, and the training with them goes on to the bit."""

from math import inf

import numpy as np
import pytest
import torch
from attack_table import Mixed
from small_training import BATCH, STEPS, digits, network, run, sgd
from test_attacks import state
from torch import nn
from torch.nn import functional as F

from cnnlib.attacks import pgd
from cnnlib.defend import Adversary
from cnnlib.evaluate import evaluate
from cnnlib.inputs import Threat, distance

ADVERSARY = Adversary(Threat(inf, 0.1), steps=2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(pixels=6):
    """Two classes, between which the difference of the logits is that of the pixels, weighted."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 2)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.arange(-2.0, pixels - 2), torch.zeros(pixels)]))
        model[1].bias.zero_()  # or it would be drawn
    return model


def images(n=40, pixels=6):
    x = torch.rand(n, 1, 1, pixels, generator=seeded(9), dtype=torch.float64)
    return x, torch.arange(n) % 2


@pytest.mark.parametrize("steps", [2, 7])
def test_on_a_linear_model_each_image_becomes_the_corner_that_is_worst(steps):
    """From everywhere: 2.5 ε is enough to cross from one corner to the other. The weight of the third pixel is 0."""
    x, y = images()
    worst = Adversary(Threat(inf, 0.1), steps=steps)(linear(), x, y, seeded(), 0)
    away = torch.where(y == 0, -1.0, 1.0)[:, None] * torch.tensor([-1.0, -1, 0, 1, 1, 1])
    expected = (x + 0.1 * away[:, None, None, :]).clamp(0, 1)
    sides = [0, 1, 3, 4, 5]
    torch.testing.assert_close(worst[..., sides], expected[..., sides])
    assert (worst[..., 2] != x[..., 2]).all()  # it has no gradient, and stays where it began


def test_on_a_linear_model_l2_goes_straight_to_the_border():
    x, y = 0.4 + 0.2 * images()[0], images()[1]
    worst = Adversary(Threat(2, 0.25), steps=40, step_size=0.05)(linear(), x, y, seeded(), 0)
    w = linear()[1].weight[0].detach() / linear()[1].weight[0].norm()
    sign = torch.where(y == 0, -1.0, 1.0).double()[:, None]
    torch.testing.assert_close(worst.flatten(1), x.flatten(1) + 0.25 * sign * w, rtol=0, atol=1e-3)


def test_the_cheap_kind_is_one_step_of_five_quarters_from_a_random_start():
    x, y = images()
    start = (x + 0.1 * (2 * torch.rand(x.shape, generator=seeded(4), dtype=x.dtype) - 1)).clamp(0, 1)
    z = start.clone().requires_grad_()
    F.cross_entropy(linear()(z), y, reduction="sum").backward()
    expected = (x + (start + 0.125 * z.grad.sign() - x).clamp(-0.1, 0.1)).clamp(0, 1)
    assert torch.equal(Adversary(Threat(inf, 0.1), steps=1)(linear(), x, y, seeded(4), 0), expected)


@pytest.mark.parametrize("norm", [2, inf])
def test_every_image_has_its_own_start_and_every_call_another(norm):
    flat = linear()
    nn.init.zeros_(flat[1].weight)  # no gradient: all stay where they begin
    x, y = torch.full((50, 1, 1, 6), 0.5, dtype=torch.float64), torch.zeros(50, dtype=torch.int64)
    generator = seeded()
    first, second = (Adversary(Threat(norm, 0.25))(flat, x, y, generator, 0) for _ in range(2))
    assert len({tuple(image.flatten().tolist()) for image in torch.cat([first, second])}) == 100
    away = distance(x, first, norm)
    assert away.max() <= 0.25
    assert len(set(away.tolist())) == 50
    assert away.max() > 0.2
    assert torch.equal(first, Adversary(Threat(norm, 0.25))(flat, x, y, seeded(), 0))


@pytest.mark.parametrize(("step", "eps"), [(0, 0.025), (1, 0.05), (3, 0.1), (100, 0.1)])
def test_epsilon_grows_during_the_ramp(step, eps):
    x, y = images()
    growing = Adversary(Threat(inf, 0.1), ramp=4)(linear(), x, y, seeded(), step)
    assert torch.equal(growing, Adversary(Threat(inf, eps))(linear(), x, y, seeded(), 0))


def test_images_that_are_misclassified_are_attacked_too():
    x, y = images()
    wrong = linear()(x).argmax(1) != y
    assert wrong.sum() > 5
    worst = ADVERSARY(linear(), x, y, seeded(), 0)
    losses = [F.cross_entropy(linear()(z), y, reduction="none") for z in (x, worst)]
    assert (losses[1] > losses[0]).all()


def test_the_model_that_is_attacked_is_the_one_in_use_and_identical_afterwards():
    model = Mixed()
    model.drop.train()
    x = torch.rand(3, 3, 8, 8, generator=seeded(1))
    y, before = model.eval()(x).argmax(1), state(model)
    quiet = ADVERSARY(model, x, y, seeded(), 0)
    assert state(model) == before
    model.train()
    before, global_state = state(model), torch.get_rng_state()
    assert torch.equal(ADVERSARY(model, x, y, seeded(), 0), quiet)
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), global_state)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"threat": Threat(0, 3)}, ValueError, "threat has the norm 0; expected 2 or inf"),
        ({"threat": 0.1}, TypeError, "threat is 0.1; expected a Threat"),
        ({"ramp": -1}, ValueError, "ramp is -1; expected an integer of at least 0"),
        ({"steps": 0}, ValueError, "steps is 0; expected an integer of at least 1"),
        ({"step_size": 0}, ValueError, "step_size is 0; expected a positive number"),
        ({"step_size": torch.nan}, ValueError, "step_size is nan; expected"),
    ],
)
def test_bad_options_are_named(options, error, says):
    with pytest.raises(error, match=says):
        Adversary(**{"threat": Threat(inf, 0.1), **options})


def test_bad_images_are_named():
    with pytest.raises(ValueError, match="x runs from -1 to 1; expected pixels from 0 to 1"):
        run(network(), digits()[0] / 127.5 - 1, digits()[1], adversary=ADVERSARY)


@pytest.mark.parametrize(
    ("model", "y", "says"),
    [
        (linear(), F.one_hot(torch.arange(40) % 2).double(), r"y is torch.float64 \(40, 2\); expected int64"),
        (linear(), torch.arange(40), "y runs from 0 to 39; expected classes from 0 to 1"),
        (nn.Identity(), torch.arange(40) % 2, r"model returns \(40, 1, 1, 6\); expected logits \(40, classes\)"),
    ],
)
def test_labels_that_the_model_has_no_logits_for_are_named(model, y, says):
    with pytest.raises(ValueError, match=says):
        ADVERSARY(model, images()[0], y, seeded(), 0)


def test_the_training_is_a_plain_one_on_the_worst_images_to_the_bit():
    ours, theirs, (data, labels) = network(), network(), digits()
    adversary = Adversary(Threat(inf, 0.1), steps=2, ramp=9)
    history = run(ours, data, labels, seed=5, epochs=2, adversary=adversary, schedule=lambda step: 0.05)
    optimiser = sgd(theirs.train())
    optimiser.param_groups[0]["lr"] = 0.05
    for epoch in range(2):
        order, layers = (int(n) for n in np.random.SeedSequence((5, epoch)).generate_state(2))
        order, losses = torch.randperm(len(data), generator=seeded(order)), []
        with torch.random.fork_rng([]):
            torch.manual_seed(layers)
            for step in range(STEPS):
                chosen = order[step * BATCH : (step + 1) * BATCH]
                x, now = data[chosen].float() / 255, epoch * STEPS + step
                x = adversary(theirs, x, labels[chosen], torch.default_generator, now)
                loss = F.cross_entropy(theirs(x), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.item())
        assert history[epoch]["train_loss"] == pytest.approx(sum(losses) / STEPS, rel=1e-6)
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b)


class Stopped(Exception):
    """What stops a training in a test."""


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_stopped_in_any_epoch_it_ends_the_same(tmp_path, epoch):
    """With dropout and batch normalisation, which draw from the generator that the adversary draws from too."""
    direct, resumed = network(), network()
    rest = {"epochs": 3, "adversary": Adversary(Threat(inf, 0.1), steps=2, ramp=2 * STEPS)}
    rows = run(direct, *digits(), **rest)
    left = epoch * STEPS + 3

    def stop(x, generator):
        nonlocal left
        left -= 1
        if not left:
            raise Stopped
        return x

    def none(x, generator):
        return x

    stop.__qualname__ = none.__qualname__ = "none"
    with pytest.raises(Stopped):
        run(network(), *digits(), augment=stop, checkpoint=tmp_path / "c.pt", **rest)
    again = run(resumed, *digits(), augment=none, checkpoint=tmp_path / "c.pt", **rest)
    for a, b in zip(direct.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert [row["train_loss"] for row in again] == [row["train_loss"] for row in rows]


@pytest.mark.parametrize("other", [None, Adversary(Threat(inf, 0.2), steps=2)], ids=["none", "wider"])
def test_a_checkpoint_of_another_adversary_is_refused(tmp_path, other):
    run(network(), *digits(), epochs=1, adversary=ADVERSARY, checkpoint=tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"begun with adversary 'Adversary\(threat=Threat\(norm=inf, eps=0.1"):
        run(network(), *digits(), epochs=1, adversary=other, checkpoint=tmp_path / "c.pt")


def robust_accuracy(adversary):
    (images, labels), model = digits(700), network()
    run(model, images[:500], labels[:500], epochs=12, adversary=adversary)
    found = pgd(model, images[500:].float() / 255, labels[500:], Threat(inf, 0.1), steps=20)
    assert evaluate(model, images[500:], labels[500:]).accuracy > 0.85
    return (found.attacked & ~found.success).double().mean()


def test_both_kinds_make_a_network_robust():
    plain, cheap, dear = (robust_accuracy(steps and Adversary(Threat(inf, 0.1), steps=steps)) for steps in (None, 1, 3))
    assert plain < 0.35
    assert cheap > plain + 0.1
    assert dear > plain + 0.1
