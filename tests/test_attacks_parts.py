"""Parts of attacks that their outcome hides: where stickers lie, what counts, and what evolution keeps."""

from math import inf

import pytest
import torch
from attack_table import digits, victim
from torch import nn

from cnnlib import attacks
from cnnlib.attacks.square import _Bumps
from cnnlib.attacks.universal import CEILING
from cnnlib.inputs import Threat
from cnnlib.inputs.transforms import random_jpeg


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_towards_a_target_only_the_target_counts():
    model = nn.Flatten()  # the pixels are the logits
    image, y = torch.tensor([0.1, 0.9, 0.2]).view(1, 1, 1, 3), torch.tensor([0])
    shares = [
        attacks.survival(model, image, y, lambda x, generator: x, target=target, count=3).item()
        for target in (None, torch.tensor([1]), torch.tensor([2]))
    ]
    assert shares == [1, 1, 0]


def test_stickers_lie_anywhere_inside():
    x = torch.zeros(300, 1, 12, 12)
    covered = attacks.Sticker(0.3, shape="square").put(torch.ones(1, 1, 4, 4), x, seeded()).squeeze(1) > 0
    assert covered.any(2).any(0).all()  # every row by one of them
    assert covered.any(1).any(0).all()
    assert len(covered.flatten(1).unique(dim=0)) > 200


def test_what_is_fooled_already_draws_no_more_effort():
    model, (x, y) = victim(), digits()
    history = attacks.universal(model, x, y, Threat(inf, 0.5), steps=40).history
    assert history.max() <= CEILING
    assert history[-1] > 0.9 * CEILING


def test_the_ensembles_generator_is_used():
    model, (x, y) = victim(), digits()
    found = [
        attacks.ensemble(model, x, y, Threat(inf, 0.2), generator=seeded(seed), steps=5, targets=2, queries=5)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(found[0].adversarial, found[1].adversarial)
    assert not torch.equal(found[0].adversarial, found[2].adversarial)


def test_a_bump_gets_the_length_that_nobody_uses():
    x = torch.full((1, 2, 16, 16), 0.5, dtype=torch.float64)
    best = x + 0.001  # of a length far below ε
    moved = _Bumps(x, best, Threat(2, 0.3), seeded())(torch.tensor([0]), 3)
    assert torch.linalg.vector_norm(moved - x).item() == pytest.approx(0.3)
    assert 0 < ((moved - best).abs() > 1e-12).any(1).sum() <= 2 * 9  # beyond the two windows nothing was made larger


class Hotter(nn.Module):
    """Has class 1 only if the brightest pixel is at one place, and comes nearer to it the nearer that is."""

    def forward(self, x):
        brightest = x.flatten(1).argmax(1)
        rows, columns = brightest // x.shape[3], brightest % x.shape[3]
        near = 0.5 - torch.hypot(rows - 20.0, columns - 9.0)
        return torch.stack([torch.zeros_like(near), torch.where(x.amax((1, 2, 3)) > 0, near, -99)], 1)


def test_evolution_keeps_the_better():
    """Luck alone would find one place of 1024 in 300 tries once in four."""
    x, y = torch.zeros(1, 1, 32, 32), torch.tensor([0])
    found = [
        attacks.one_pixel(Hotter(), x, y, Threat(0, 1), generator=seeded(seed), queries=300, population=20).success
        for seed in range(12)
    ]
    assert sum(map(int, found)) >= 9


def test_children_beyond_the_border_come_back_on_the_other_side():
    """Cut off there, an eighth of them and more would be black or white."""
    model, asked = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), []
    nn.init.zeros_(model[1].weight)
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([1.0, 0.0]))
    model.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0].clone()))
    x = torch.full((1, 1, 8, 8), 0.5)
    attacks.one_pixel(model, x, torch.tensor([0]), Threat(0, 1), queries=801, population=40)
    children = torch.cat(asked[1:])[40:].flatten(1)
    changed = children[children != 0.5]
    assert len(changed) > 700
    assert ((changed == 0) | (changed == 1)).float().mean() < 0.05


def test_what_was_printed_is_stored_as_a_jpeg():
    still = attacks.printed(distance=0, factor=(1, 1), sigma=(0, 0), gain=(1, 1), offset=0, std=0, quality=(20, 20))
    x = torch.rand(2, 3, 16, 16, generator=seeded())
    torch.testing.assert_close(still(x, seeded()), random_jpeg((20, 20))(x, seeded()), rtol=0, atol=1e-5)
    assert (still(x, seeded()) - x).abs().max() > 0.1
