"""Attacks that survive change, and attacks of another shape than one image for one: what they keep to."""

import random
from math import inf

import numpy as np
import pytest
import torch
from attack_table import Mixed, digits, victim
from test_attacks import BAD, Breaks, colours, seeded, state
from torch import nn

from cnnlib import attacks
from cnnlib.inputs import Threat
from cnnlib.inputs.transforms import compose, random_affine, random_light, random_noise, views

THREAT, STICKER = Threat(inf, 0.2), attacks.Sticker(0.5)
OTHERS = {
    "universal": lambda *at, **how: attacks.universal(*at, THREAT, **{"steps": 3, "batch_size": 2, **how}),
    "patch": lambda *at, **how: attacks.patch(*at, STICKER, **{"steps": 3, "batch_size": 2, **how}),
    "ascent": lambda *at, **how: attacks.fooling_by_ascent(*at, **{"steps": 3, **how}),
    "evolution": lambda *at, **how: attacks.fooling_by_evolution(*at, **{"budget": 30, **how}),
}
every_other = pytest.mark.parametrize("name", OTHERS)


@pytest.fixture(scope="module")
def model():
    return victim()


@pytest.fixture(scope="module")
def data():
    return digits(40)


def made(found):
    """The numbers that an attack made."""
    return next(getattr(found, name) for name in ("perturbation", "image", "images") if hasattr(found, name))


def drawn(name, seed):
    return {} if name == "ascent" else {"generator": seeded(seed)}


@every_other
def test_same_generator_same_bytes_and_nobody_elses_is_touched(name, model, data):
    x, y = data
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()  # noqa: NPY002
    first, again, other = (made(OTHERS[name](model, x[:8], y[:8], **drawn(name, seed))) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "ascent")
    assert 0 <= first.abs().min() <= first.max() <= 1
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tobytes(), random.getstate()) == before[1:]  # noqa: NPY002


@every_other
def test_queries_are_counted(name, model, data):
    asked, handle = [], model.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    found = OTHERS[name](model, *data)
    handle.remove()
    assert torch.as_tensor(found.queries).sum() == sum(asked) > 0


@every_other
def test_the_model_is_identical_afterwards_also_where_something_was_raised(name):
    x, y = colours()
    for model in (Mixed(), Breaks()):
        before = state(model)
        wanted = (y + 1) % 4 if name in ("ascent", "evolution") else y
        if isinstance(model, Breaks):
            with pytest.raises(OverflowError, match="midway"):
                OTHERS[name](model, x, wanted)
        else:
            OTHERS[name](model, x, wanted)
        assert state(model) == before


@every_other
def test_nothing_to_do_is_allowed(name, model, data):
    x, y = data
    assert torch.as_tensor(OTHERS[name](model, x[:0], y[:0]).queries).sum() == 0
    still = OTHERS[name](model, x, y, **{"budget" if name == "evolution" else "steps": 0})
    expected = {"universal": torch.zeros(1, 1, 8, 8), "patch": torch.full((1, 1, 5, 5), 0.5)}.get(name, x)
    assert torch.equal(made(still), expected.double())
    assert (torch.as_tensor(still.queries) <= len(x)).all()


@every_other
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named(name, what, model):
    make, error, says = BAD[what]
    x, y, target = make(*digits())
    if target is not None and name in ("ascent", "evolution"):
        return
    with pytest.raises(error, match=says):
        OTHERS[name](model, x, y, **({} if target is None else {"target": target}))


# Expectation over transformation, and the printed channel


def test_with_views_that_are_the_image_it_is_pgd(model, data):
    x, y = data
    plain = attacks.pgd(model, x, y, THREAT, steps=6)
    found = attacks.eot(model, x, y, THREAT, steps=6, transforms=lambda x, generator: x)
    assert torch.equal(found.adversarial, plain.adversarial)
    with pytest.raises(ValueError, match="transforms returns 37 views of 38 inputs; expected as many of each"):
        attacks.eot(model, x, y, THREAT, transforms=lambda x, generator: x[1:])


@pytest.mark.parametrize("channel", [compose(random_affine(degrees=20), random_light()), attacks.printed()])
def test_it_survives_where_pgd_does_not(channel, model, data):
    (x, y), threat = data, Threat(inf, 0.1)
    plain = attacks.pgd(model, x, y, threat, steps=20)
    found = attacks.eot(model, x, y, threat, steps=20, transforms=views(channel, 8), generator=seeded(1))

    def share(images, **options):
        return attacks.survival(model, images, y, channel, generator=seeded(2), count=30, **options)[plain.attacked]

    assert share(x).mean() < share(plain.adversarial).mean() < share(found.adversarial).mean() - 0.05
    taken = share(found.adversarial, target=(y + 1) % 10)
    assert (taken <= share(found.adversarial)).all()
    assert taken.any()


def test_survival_is_the_share_of_views_that_fool():
    model = nn.Flatten()  # the larger of two pixels is the class
    x, y = torch.tensor([[[[0.5, 0.9]]], [[[0.3, 0.4]]]]), torch.tensor([1, 1])
    turn = [False, True, True, True]
    found = attacks.survival(model, x, y, lambda x, generator: x.flip(3) if turn.pop() else x, count=4)
    assert found.tolist() == [0.75, 0.75]
    noisy = attacks.survival(model, x, y, random_noise(0.1), count=2000)
    assert noisy[1].item() == pytest.approx(0.24, abs=0.03)  # that a normal number exceeds 0.1 / (0.1 √2)
    assert attacks.survival(model, x[:0], y[:0], random_noise()).shape == (0,)
    with pytest.raises(ValueError, match="count is 0; expected an integer of at least 1"):
        attacks.survival(model, x, y, random_noise(), count=0)
    with pytest.raises(ValueError, match="y runs from 1 to 2; expected classes from 0 to 1"):
        attacks.survival(model, x, y + torch.tensor([0, 1]), random_noise())


# One perturbation for all images


def test_on_a_linear_model_it_is_the_sign_of_the_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    x = 0.3 + 0.4 * torch.rand(20, 1, 4, 4, generator=seeded())
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(2, 16, generator=seeded(1)))
        model[1].bias.copy_(torch.tensor([5.0, 0.0]))
    y = torch.zeros(20, dtype=torch.int64)
    for threat, expected in (
        (Threat(inf, 0.1), lambda w: 0.1 * w.sign()),
        (Threat(2, 0.1), lambda w: 0.1 * w / w.norm()),
    ):
        found = attacks.universal(model, x, y, threat, steps=40)
        away = (model[1].weight[1] - model[1].weight[0]).detach().view(1, 1, 4, 4)
        torch.testing.assert_close(found.perturbation, expected(away), rtol=0, atol=1e-6)
        assert (found.history[1:] >= found.history[:-1] - 1e-6).all()


def test_it_fools_on_images_that_it_has_not_seen(model):
    x, y = digits(359)
    found = attacks.universal(model, x[:200], y[:200], THREAT, steps=40)
    with pytest.raises(ValueError, match="threat has the norm 0; expected 2 or inf for random signs"):
        attacks.random_signs(x, Threat(0, 3))
    chance = attacks.random_signs(x, THREAT, generator=seeded())
    unseen = found.on(model, x[200:], y[200:])
    assert unseen.linf.max() <= 0.2 + 1e-6
    assert (unseen.queries == 1).all()
    rate = [one.success.sum() / one.attacked.sum() for one in (unseen, chance.on(model, x[140:], y[140:]))]
    assert rate[0] > rate[1] + 0.1
    with pytest.raises(ValueError, match=r"x has shape \(1, 3, 8, 8\); expected \(N, 1, 8, 8\)"):
        found.on(model, torch.zeros(1, 3, 8, 8), y[:1])
    with pytest.raises(ValueError, match="threat has the norm 0"):
        attacks.universal(model, x, y, Threat(0, 3))


# A patch


class Colour(nn.Module):
    """Takes an image for red, green or blue, by the mean of each."""

    def forward(self, x):
        return x.mean((2, 3))


@pytest.mark.parametrize("shape", ["disc", "square"])
def test_of_a_model_of_colours_the_patch_has_the_targets(shape):
    sticker = attacks.Sticker(0.5, shape=shape)
    x = torch.rand(12, 3, 16, 16, generator=seeded())
    y = Colour()(x).argmax(1)
    x, y = x[y != 2], y[y != 2]
    target = torch.full_like(y, 2)
    found = attacks.patch(Colour(), x, y, sticker, target=target, steps=60)
    blue = torch.tensor([0.0, 0, 1]).view(1, 3, 1, 1)
    inside = found.image[:, :, 3:-3, 3:-3]
    torch.testing.assert_close(inside, blue.expand_as(inside), rtol=0, atol=1e-6)
    on = found.on(Colour(), x, y, target=target)
    assert on.success.all()
    assert on.l0.max() <= sticker.pixels((16, 16))
    assert not attacks.random_patch(x, sticker).on(Colour(), x, y, target=target).success.all()


@pytest.mark.parametrize("shape", ["disc", "square"])
def test_a_sticker_lies_inside_and_covers_what_it_says(shape):
    sticker = attacks.Sticker(0.4, shape=shape, degrees=180, scale=(1, 1))
    x = torch.zeros(200, 1, 30, 40)
    put = sticker.put(torch.ones(1, 1, 12, 12), x, seeded())
    area = put.flatten(1).sum(1)
    assert area.mean().item() == pytest.approx(144 * (torch.pi / 4 if shape == "disc" else 1), rel=0.02)
    assert area.max() <= sticker.pixels((30, 40))
    assert torch.equal(sticker.put(torch.ones(1, 1, 12, 12), x[:7], seeded()), put[:7])
    centres = put.nonzero()[:, 2:].double().mean(0)
    assert (centres - torch.tensor([14.5, 19.5])).abs().max() < 2
    with pytest.raises(ValueError, match="shape is 'star'; expected one of 'disc', 'square'"):
        attacks.Sticker(0.4, shape="star")
    with pytest.raises(ValueError, match="width is 2; expected a number from 0 to 1"):
        attacks.Sticker(2)


# Fooling images


@pytest.mark.parametrize("start", ["grey", "noise"])
def test_the_model_is_sure_of_what_shows_nothing(start, model):
    y = torch.arange(10)
    x = (
        torch.full((10, 1, 8, 8), 0.5).double()
        if start == "grey"
        else torch.rand(10, 1, 8, 8, generator=seeded()).double()
    )
    for found in (
        attacks.fooling_by_ascent(model, x, y),
        attacks.fooling_by_evolution(model, x, y, budget=2000, generator=seeded()),
    ):
        with torch.no_grad():
            sure = model(found.images).softmax(1)[torch.arange(10), y]
        torch.testing.assert_close(sure, found.confidence)
        assert (sure >= 0.99).all()
        assert 0 <= found.images.min() <= found.images.max() <= 1
        for again in (attacks.fooling_by_ascent, attacks.fooling_by_evolution):
            assert torch.equal(again(model, found.images, y).images, found.images)  # sure enough


def test_evolution_never_goes_back(model):
    x, y = torch.rand(10, 1, 8, 8, generator=seeded()).double(), torch.arange(10)
    sure = [
        attacks.fooling_by_evolution(model, x, y, budget=budget, children=1, generator=seeded()).confidence
        for budget in (0, 1, 2, 3, 5, 8, 13, 21)
    ]
    assert (torch.stack(sure).diff(dim=0) >= 0).all()
    assert (sure[-1] > sure[0]).all()


def test_each_fooling_image_is_that_of_its_own_line(model):
    x, y = torch.rand(5, 1, 8, 8, generator=seeded()).double(), torch.arange(5)
    together = attacks.fooling_by_evolution(model, x, y, budget=45, generator=seeded(1))
    alone = attacks.fooling_by_evolution(model, x[3:4], y[3:4], budget=45, generator=seeded(1))
    assert torch.equal(alone.images[0], together.images[3])
    assert alone.queries[0] == together.queries[3] <= 46
    with pytest.raises(ValueError, match=r"confidence is 1\.5; expected a number from 0 to 1"):
        attacks.fooling_by_ascent(model, x, y, confidence=1.5)
