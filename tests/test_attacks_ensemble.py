"""Several attacks together: each is needed for some networks, and on a linear one the outcome is known."""

from math import inf

import pytest
import torch
from attack_table import digits, victim
from torch import nn

from cnnlib.attacks import apgd, ensemble, square
from cnnlib.inputs import Threat

EPS = 0.02


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(scale=1.0, classes=5, pixels=16):
    model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes)).double()
    with torch.no_grad():
        model[1].weight.copy_(scale * torch.randn(classes, pixels, generator=seeded(1), dtype=torch.float64))
        model[1].bias.zero_()
    return model


def images(model, n=60):
    """Images well inside the box, of the classes that the model gives them."""
    x = 0.5 + 0.3 * (torch.rand(n, 1, 4, 4, generator=seeded(2), dtype=torch.float64) - 0.5)
    return x, model(x).argmax(1)


def can_be_fooled(model, x, y):
    """Whether another logit is nearer, in L∞, than EPS: its margin is less than EPS times the sum of the weights."""
    weight, logits = model[1].weight, model(x)
    margins = logits.gather(1, y[:, None]) - logits
    reach = EPS * (weight[y][:, None] - weight[None]).abs().sum(2)
    return ((margins < reach) & (margins > 0)).any(1)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_on_a_linear_model_it_fools_whom_it_can(scale):
    """Logits that are ten thousand times larger saturate the softmax: its gradient is zero, and the ratio's is not."""
    model = linear(scale)
    x, y = images(model)
    expected = can_be_fooled(model, x, y)
    assert 5 < expected.sum() < 55
    found = ensemble(model, x, y, Threat(inf, EPS), steps=30, queries=50)
    assert torch.equal(found.success, expected)
    alone = apgd(model, x, y, Threat(inf, EPS), steps=30).success
    assert (alone & ~expected).sum() == 0
    assert (alone.sum() < expected.sum() / 2) == (scale > 1)


class Steps(nn.Module):
    """A linear model behind pixels of eleven levels: no gradient says anything."""

    def __init__(self):
        super().__init__()
        self.linear = linear()

    def forward(self, x):
        return self.linear((10 * x).round() / 10)


def test_where_there_are_no_gradients_only_square_fools():
    model = Steps()
    x, y = images(model)
    found = ensemble(model, x, y, Threat(inf, 0.1), steps=5, queries=200, generator=seeded())
    assert found.success.sum() > 20
    by_gradient = found.history[-2].sum()
    assert found.history[-1].sum() == found.success.sum() > by_gradient + 10
    assert found.success.sum() >= square(model, x, y, Threat(inf, 0.1), queries=200).success.sum() - 3


def test_the_history_tells_what_was_fooled_by_when_and_all_parts_count():
    model, (x, y) = victim(), digits(40)
    found = ensemble(model, x, y, Threat(inf, 0.06), steps=20, targets=3, queries=60, generator=seeded())
    assert found.history.shape == (1 + 3 + 1, int(found.attacked.sum()))
    assert (found.history.diff(dim=0) >= 0).all()
    assert torch.equal(found.history[-1] > 0, found.success[found.attacked])
    assert 0 < found.success.sum() < found.attacked.sum()
    assert torch.equal(found.adversarial[~found.success], x[~found.success])
    withstood = found.attacked & ~found.success
    assert found.queries[withstood].unique().tolist() == [1 + 4 * (20 + 3) + 60 + 1]  # each part is asked about at last
    first = found.history[0].bool()
    assert (found.queries[found.attacked][first] == 1 + 20 + 3).all()


def test_as_many_targets_as_there_are_other_classes():
    model = linear(classes=4)
    x, y = images(model)
    found = ensemble(model, x, y, Threat(inf, EPS), steps=2, targets=9, queries=2)
    assert len(found.history) == 1 + 3 + 1


def test_bad_options_are_named():
    model = linear(classes=3)
    with pytest.raises(ValueError, match="model has 3 classes; expected at least 4"):
        ensemble(model, *images(model), Threat(inf, 0.001), steps=1, queries=1)
    for name in ("steps", "targets", "queries"):
        with pytest.raises(ValueError, match=f"{name} is -1; expected an integer of at least"):
            ensemble(linear(), *images(linear()), Threat(inf, EPS), **{name: -1})
