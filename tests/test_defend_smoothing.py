"""Randomised smoothing: the bounds, and what they prove about a linear classifier, where the truth is known."""

import math
from statistics import NormalDist

import pytest
import torch
from attack_table import Mixed
from test_attacks import Silent, state
from torch import nn

from cnnlib.defend import ABSTAIN, certify, lower_bound, noisy, predict

GAUSS = NormalDist()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(pixels=12):
    """Two classes with a plane between them, and the distance of images from it, positive on the side of class 1."""
    model, w = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 2)), torch.randn(pixels, generator=seeded(1))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.zeros(pixels), w]))
        model[1].bias.copy_(torch.tensor([0.0, -w.sum() / 2]))
    return model, lambda x: ((x.flatten(1) - 0.5) @ w / w.norm()).double()


def images(n=60):
    return torch.rand(n, 3, 2, 2, generator=seeded(2))


@pytest.mark.parametrize(
    ("successes", "trials", "alpha", "bound"),
    [(9, 10, 0.05, 0.6058367), (99, 100, 0.001, 0.9113731), (8000, 10_000, 0.001, 0.7873894), (1, 1, 0.3, 0.3)],
)
def test_the_lower_bound_is_that_of_clopper_and_pearson(successes, trials, alpha, bound):
    """Values of scipy's beta.ppf(alpha, k, n - k + 1), and one that needs no table."""
    assert lower_bound(successes, trials, alpha) == pytest.approx(bound, abs=5e-8)


@pytest.mark.parametrize("trials", [1, 3, 20, 1000])
def test_the_lower_bound_of_all_and_of_none(trials):
    assert lower_bound(trials, trials, 0.001) == pytest.approx(0.001 ** (1 / trials), rel=1e-12)
    assert lower_bound(0, trials, 0.001) == 0


def test_the_lower_bound_is_too_high_as_seldom_as_it_says():
    """Exactly, for every probability in a table: the sum of what is likely to lead to a bound above it."""
    n, alpha = 30, 0.05
    bounds = [lower_bound(k, n, alpha) for k in range(n + 1)]
    assert bounds == sorted(bounds)
    mistaken = [
        sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1) if bounds[k] > p)
        for p in (i / 200 for i in range(1, 200))
    ]
    assert max(mistaken) <= alpha
    assert max(mistaken) > 0.9 * alpha  # and it is not higher than it must be


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_on_a_linear_classifier_the_radius_is_the_distance_from_the_plane(sigma):
    """Infinitely many votes would give it exactly, whatever σ; so many give less, by what they leave uncertain."""
    (model, distance), x, n, alpha = linear(), images(), 2000, 0.001
    found, away = certify(model, x, sigma=sigma, samples=n, alpha=alpha), distance(x)
    assert (found.radius <= away.abs()).all()
    for radius, cls, d in zip(found.radius.tolist(), found.classes.tolist(), away.tolist(), strict=True):
        p = GAUSS.cdf(abs(d) / sigma)
        unlucky = max(0, math.floor(n * p - 5 * math.sqrt(n * p * (1 - p)) - 5))
        least = lower_bound(unlucky, n, alpha)
        assert radius >= (sigma * GAUSS.inv_cdf(least) if least > 0.5 else 0) - 1e-6
        assert cls == (ABSTAIN if radius == 0 else int(d > 0))
    assert (found.classes != ABSTAIN).double().mean() > 0.7
    assert (predict(model, x, sigma=sigma, samples=n)[found.radius > 0] == (away > 0)[found.radius > 0]).all()


def test_no_radius_is_larger_than_that_of_a_unanimous_vote():
    model, distance = linear()
    x = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    x = torch.where(model[1].weight[1].detach().view(3, 2, 2) > 0, x, 1 - x)  # the farthest corners
    assert (distance(x).abs() > 0.8).all()
    for n, alpha in ((100, 0.001), (1000, 0.01)):
        found = certify(model, x, sigma=0.05, samples=n, alpha=alpha)
        assert found.classes.tolist() == [0, 1]
        assert found.radius.tolist() == pytest.approx([0.05 * GAUSS.inv_cdf(alpha ** (1 / n))] * 2, rel=1e-6)


def test_it_abstains_on_the_plane_itself():
    model, x = linear()[0], torch.full((1, 3, 2, 2), 0.5)
    assert predict(model, x, sigma=0.5).item() == ABSTAIN
    found = certify(model, x, sigma=0.5)
    assert (found.classes.item(), found.radius.item()) == (ABSTAIN, 0)


class Leading(nn.Module):
    """Class 2 leads where all of an image's noise is below 1.2 σ, class 0 otherwise."""

    def forward(self, x):
        low = (x.amax((1, 2, 3)) < 1.2).float()
        return torch.stack([1 - low, torch.full_like(low, 0.5), low], 1)


def test_the_classes_of_many_are_counted():
    """Class 2 has a share of Φ(1.2)⁴ = 0.61 of the votes, so that a few hundred cannot tell and many can."""
    x = torch.zeros(1, 1, 2, 2)
    assert predict(Leading(), x, sigma=1, samples=50).item() == ABSTAIN
    assert predict(Leading(), x, sigma=1, samples=2000).item() == 2
    found, share = certify(Leading(), x, sigma=1, samples=20_000), GAUSS.cdf(1.2) ** 4
    assert found.classes.item() == 2
    assert GAUSS.inv_cdf(share) - 0.06 < found.radius.item() < GAUSS.inv_cdf(share)


def test_a_vote_is_clear_where_a_fair_coin_would_seldom_lean_as_much_to_either_side():
    """All of ten alike: 2 / 2¹⁰ = 0.00195; all of eleven: 0.00098."""
    model, x = linear()[0], torch.ones(1, 3, 2, 2)
    x = torch.where(model[1].weight[1].detach().view(1, 3, 2, 2) > 0, x, 0)
    for samples, alpha, found in ((10, 0.0019, ABSTAIN), (10, 0.002, 1), (11, 0.00098, 1), (11, 0.00097, ABSTAIN)):
        assert predict(model, x, sigma=0.01, samples=samples, alpha=alpha).item() == found


class Fickle(nn.Module):
    """Says class 1 to the first 100 questions, and class 0 from then on."""

    def forward(self, x):
        self.asked = getattr(self, "asked", 0) + len(x)
        return torch.tensor([[0.0, 1.0]] if self.asked <= 100 else [[1.0, 0.0]]).expand(len(x), 2)


def test_the_votes_that_choose_a_class_do_not_certify_it():
    found = certify(Fickle(), torch.zeros(1, 1, 2, 2), sigma=1, samples=100)
    assert (found.classes.item(), found.radius.item()) == (ABSTAIN, 0)


@pytest.mark.parametrize("function", [predict, certify])
def test_a_row_is_what_the_image_alone_gives_and_batches_do_not_matter(function):
    model, x = linear()[0], images(6)
    together = function(model, x, sigma=0.3, samples=90, generator=seeded(3))
    for options in ({"batch_size": 7}, {"batch_size": 1000}):
        again = function(model, x, sigma=0.3, samples=90, generator=seeded(3), **options)
        for a, b in zip(together, again, strict=True):
            assert torch.equal(a, b)
    for i in range(6):
        alone = function(model, x[i : i + 1], sigma=0.3, samples=90, generator=seeded(3))
        for a, b in zip(together, alone, strict=False) if function is certify else [(together, alone)]:
            assert a[i] == b[0]
    other = certify(model, x, sigma=0.3, samples=90, generator=seeded(4))
    assert not torch.equal(other.radius, certify(model, x, sigma=0.3, samples=90, generator=seeded(3)).radius)


@pytest.mark.parametrize("function", [predict, certify])
def test_the_model_and_nobody_elses_generator_are_touched(function):
    model, x = Mixed(), torch.rand(2, 3, 8, 8, generator=seeded())
    model.train()
    before, drawn = state(model), torch.get_rng_state()
    function(model, x, sigma=0.1, samples=20)
    model.seen.clear()
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), drawn)


def test_an_empty_batch_is_allowed():
    found = certify(linear()[0], images(0), sigma=0.1)
    assert found.classes.shape == found.radius.shape == predict(linear()[0], images(0), sigma=0.1).shape == (0,)


def test_noise_is_each_images_own():
    x = torch.full((40, 1, 16, 16), 0.5)
    noise = noisy(x, seeded(), sigma=0.25) - x
    assert noise.std().item() == pytest.approx(0.25, rel=0.03)
    assert len({image[0, 0, 0].item() for image in noise}) == 40


class Undefined(nn.Module):
    """Says NaN to what is dark, which argmax would take for a vote."""

    def forward(self, x):
        return x.flatten(1)[:, :3].where(x.flatten(1)[:, :3] > 0, torch.nan)


@pytest.mark.parametrize("function", [predict, certify])
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"sigma": 0}, ValueError, "sigma is 0; expected a positive number"),
        ({"sigma": math.inf}, ValueError, "sigma is inf; expected a finite number"),
        ({"samples": 0}, ValueError, "samples is 0; expected an integer of at least 1"),
        ({"alpha": 0}, ValueError, "alpha is 0; expected a number between 0 and 1"),
        ({"alpha": 1}, ValueError, "alpha is 1; expected a number between 0 and 1"),
        ({"batch_size": 0}, ValueError, "batch_size is 0; expected an integer of at least 1"),
        ({"generator": 3}, TypeError, "generator is 3; expected a torch.Generator"),
        ({"x": images() + 0.5}, ValueError, "x runs from 0.502141 to 1.49938; expected pixels from 0 to 1"),
        ({"x": images()[0]}, ValueError, r"expected float32 or float64 \(N, C, H, W\)"),
        ({"model": Silent()}, ValueError, r"model returns list; expected logits \(.00, classes\)"),
        ({"model": Undefined()}, ValueError, "model returns NaN; expected numbers"),
        ({"model": abs}, TypeError, "model is builtin_function_or_method; expected a torch.nn.Module"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_named(function, options, error, says):
    given = {"model": linear()[0], "x": images(), "sigma": 0.1, **options}
    with pytest.raises(error, match=says):
        function(given.pop("model"), given.pop("x"), **given)


def test_a_bound_of_more_successes_than_trials_is_refused():
    with pytest.raises(ValueError, match="successes is 11; expected at most 10, the trials"):
        lower_bound(11, 10, 0.1)
