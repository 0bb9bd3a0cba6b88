"""Random weights, the loss around them, and what can be read off features."""

from functools import partial

import pytest
import torch
from attack_table import Mixed, digits, victim
from model_state import state
from torch import nn
from torch.nn import functional as F

from cnnlib import visualize
from cnnlib.data import sets, tensors
from cnnlib.evaluate import evaluate, unit_floats


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def colours(n=6):
    return torch.rand(n, 3, 8, 8, generator=seeded(1)), torch.arange(n) % 4


def test_guided_backprop_hardly_notices_that_the_top_is_random_and_the_gradient_does():
    model, (x, y) = victim(), digits(24)
    alike = {
        method: [
            value.mean().item()
            for value in visualize.randomisation(model, x, y, getattr(visualize, method), generator=seeded()).values()
        ]
        for method in ("gradient", "guided_backprop")
    }
    assert alike["guided_backprop"][0] > 0.7  # the layer that tells the classes apart is random
    assert alike["gradient"][0] < 0.5
    assert all(guided > plain + 0.2 for guided, plain in zip(alike["guided_backprop"], alike["gradient"], strict=True))


def test_layers_are_randomised_from_the_top_and_the_rest_is_as_it_was():
    model, (x, y), seen = victim(), digits(3), []

    def note(random, x, y):
        seen.append({name: value.clone() for name, value in random.state_dict().items()})
        return visualize.gradient(random, x, y)

    found = visualize.randomisation(model, x, y, note, generator=seeded())
    assert list(found) == ["network.7", "network.3", "network.0"]
    for stage, values in enumerate(seen):
        fresh = {name.rsplit(".", 1)[0] for name, value in values.items() if not torch.equal(value, seen[0][name])}
        assert fresh == set(list(found)[:stage])
    old, new = seen[0]["network.7.weight"], seen[-1]["network.7.weight"]
    assert new.std().item() == pytest.approx(old.std().item(), rel=0.1)
    assert all(value.shape == (3,) for value in found.values())


def test_randomisation_is_repeatable_and_leaves_the_model_as_it_was():
    (x, y), model = colours(), Mixed()
    before, random = state(model), torch.get_rng_state()
    first, again = (
        visualize.randomisation(model, x, y, partial(visualize.grad_cam, layer="conv"), generator=seeded(2))
        for _ in range(2)
    )
    assert list(first) == ["out", "norm", "conv"]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), random)
    signs = iter([1, -1, -1, -1])
    flipped = visualize.randomisation(model, x, y, lambda *_: next(signs) * x)
    assert all(value.allclose(torch.ones(6).double()) for value in flipped.values())  # of magnitudes
    with pytest.raises(ValueError, match=r"attribution returns \(8, 8\); expected maps \(6, …\)"):
        visualize.randomisation(model, x, y, lambda *_: torch.zeros(8, 8))
    with pytest.raises(ValueError, match="attribution returns 1152 numbers that are not finite; expected none"):
        visualize.randomisation(model, x, y, lambda *_: x * torch.nan)


def test_rank_correlation():
    a = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 2.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    b = torch.tensor([[1.0, 8.0, 27.0, 99.0], [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    expected = torch.tensor([1.0, -2 / 5**0.5, 0.0], dtype=torch.float64)  # with ties: ranks 1.5 1.5 3.5 3.5
    torch.testing.assert_close(visualize.rank_correlation(a, b), expected)


def test_directions_have_the_length_of_each_filter_and_none_for_biases_and_normalisation():
    model = Mixed()
    found = visualize.filter_direction(model, generator=seeded())
    for name, parameter in model.named_parameters():
        lengths = parameter.flatten(1).norm(dim=1) if parameter.ndim > 1 else torch.zeros(())
        direction = found[name].flatten(1).norm(dim=1) if parameter.ndim > 1 else found[name].abs().sum()
        torch.testing.assert_close(direction, lengths.detach())
    other = visualize.filter_direction(model, generator=seeded(1))
    assert not torch.equal(found["conv.weight"], other["conv.weight"])


def test_the_loss_along_a_line_in_closed_form():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).double()
    x, y = colours()
    x, direction = x.double(), visualize.filter_direction(model, generator=seeded())
    line = visualize.loss_line(model, x, y, direction, [-0.5, 0, 2], batch_size=4)
    flat, layer = x.flatten(1), model[1]
    expected = [
        F.cross_entropy(flat @ (layer.weight + t * direction["1.weight"]).T + layer.bias, y) for t in (-0.5, 0, 2)
    ]
    torch.testing.assert_close(line, torch.stack(expected).detach())


def test_a_plane_has_its_lines_and_the_models_own_loss():
    images, labels = tensors(*sets.load("digits").test)
    x, model = unit_floats(images).double(), victim()
    one, two = (visualize.filter_direction(model, generator=seeded(seed)) for seed in (1, 2))
    places = [-1, 0, 1]
    plane = visualize.loss_plane(model, x, labels, (one, two), places)
    torch.testing.assert_close(plane[:, 1], visualize.loss_line(model, x, labels, one, places))
    torch.testing.assert_close(plane[1], visualize.loss_line(model, x, labels, two, places))
    assert plane[1, 1].item() == pytest.approx(evaluate(model, x, labels).loss, rel=1e-6)
    assert plane.min() == plane[1, 1]


class Raises(Mixed):
    def forward(self, x):
        self.train()
        self.norm.running_mean.add_(1)
        self.conv.register_forward_hook(lambda *_: None)
        raise OverflowError("midway")


def test_landscapes_leave_the_model_as_it_was_also_where_something_is_raised():
    x, y = colours()
    for model, raised in ((Mixed(), None), (Raises(), OverflowError)):
        before, kept = state(model), {name: id(p) for name, p in model.named_parameters()}
        direction = visualize.filter_direction(model)
        if raised is None:
            visualize.loss_line(model, x, y, direction, [-1, 0, 1])
        else:
            with pytest.raises(raised, match="midway"):
                visualize.loss_line(model, x, y, direction, [-1, 0, 1])
        assert state(model) == before
        assert {name: id(p) for name, p in model.named_parameters()} == kept


def test_bad_input_to_landscapes_is_named():
    (x, y), model = colours(), Mixed()
    direction = visualize.filter_direction(model)
    for call, error, says in (
        (lambda: visualize.filter_direction(3), TypeError, "model is int"),
        (lambda: visualize.loss_line(model, x, y, {}, [0]), ValueError, r"direction has None for conv\.bias; expected"),
        (lambda: visualize.loss_line(model, x, y, direction, [torch.nan]), ValueError, "distances is"),
        (lambda: visualize.loss_line(model, x, y + 9, direction, [0]), ValueError, "y runs from 9 to 12"),
        (lambda: visualize.loss_line(model, x[:0], y[:0], direction, [0]), ValueError, "x is empty"),
        (lambda: visualize.loss_plane(model, x, y, (direction,), [0]), ValueError, "directions are 1; expected two"),
    ):
        with pytest.raises(error, match=says):
            call()


def test_a_probe_is_the_least_squares_solution_with_either_system():
    y = torch.arange(30) % 3
    for width in (5, 200):
        features = torch.rand(30, width, generator=seeded()).double()
        probe = visualize.linear_probe(features, y, ridge=0.01)
        centred = features - features.mean(0)
        penalty = 0.01 * centred.square().sum()
        wide = torch.cat([centred, penalty.sqrt() * torch.eye(width).double()])
        wanted = torch.cat([F.one_hot(y).double() - 1 / 3, torch.zeros(width, 3).double()])
        expected = torch.linalg.lstsq(wide, wanted).solution.T
        torch.testing.assert_close(probe.weight, expected)
        torch.testing.assert_close(probe.logits(features.mean(0, keepdim=True))[0], torch.full((3,), 1 / 3).double())


def test_classes_become_separable_on_the_way_up():
    train, test = ((unit_floats(x), y) for x, y in (tensors(*part) for part in sets.load("digits")[:2]))
    model = victim().float()
    pixels, deep = (
        visualize.linear_probe(visualize.activations(model, train[0], layer), train[1]).accuracy(
            visualize.activations(model, test[0], layer), test[1]
        )
        for layer in ("normalise", "network.4")
    )
    assert deep > pixels + 0.03
    doubled = visualize.linear_probe(100 * train[0], train[1]).accuracy(100 * test[0], test[1])
    assert doubled == pytest.approx(visualize.linear_probe(*train).accuracy(*test))


def test_neighbours():
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [1.0, 0.0]])
    found = visualize.neighbours(features, torch.tensor([[0.0, 0.0], [3.0, 3.0]]), count=3)
    assert found.images.tolist() == [[0, 2, 3], [1, 2, 3]]
    assert found.distances.tolist() == [[0, 1, 1], [1, pytest.approx(13**0.5), pytest.approx(13**0.5)]]


def test_bad_features_are_named():
    features, y = torch.rand(4, 2), torch.tensor([0, 1, 1, 0])
    probe = visualize.linear_probe(features, y)
    for call, says in (
        (lambda: visualize.linear_probe(features[:0], y[:0]), r"features is \(0, 2\); expected at least one row"),
        (lambda: visualize.linear_probe(features / 0, y), "features has 8 numbers that are not finite"),
        (lambda: visualize.linear_probe(features, y[:2]), r"y is torch\.int64 \(2,\); expected int64 of shape"),
        (lambda: visualize.linear_probe(features, y - 1), "y runs from -1 to 0; expected classes from 0 on"),
        (lambda: visualize.linear_probe(features, y, ridge=0), "ridge is 0; expected a positive number"),
        (lambda: probe.accuracy(features, y[:1]), r"y is torch\.int64 \(1,\); expected int64 of shape \(4,\)"),
        (lambda: probe.accuracy(torch.rand(4, 3), y), r"features is \(4, 3\); expected 2 numbers of each"),
        (lambda: visualize.neighbours(features, features, count=5), "count is 5; expected at most the 4"),
        (lambda: visualize.neighbours(features, features[:, :1]), r"queries is \(4, 1\); expected"),
    ):
        with pytest.raises(ValueError, match=says):
            call()
