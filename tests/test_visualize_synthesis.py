"""Images made to order: closed forms on linear models, and what all of them keep to."""

import copy
from functools import partial

import pytest
import torch
from attack_table import Mixed, digits, victim
from model_state import Breaks, state
from torch import nn
from torch.nn import functional as F

from cnnlib import visualize
from cnnlib.visualize.natural import spread
from cnnlib.visualize.synthesis import squared_gradient


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def colours(n=2, size=8):
    return torch.rand(n, 3, size, size, generator=seeded(1))


def linear(outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, outputs)).double()


def maximised(model, generator=None, prefix="", steps=5):
    units = [(0, 1, 2), (1,), ()]
    return visualize.maximise_activation(
        model, f"{prefix}conv", units, shape=(3, 8, 8), norm=3.0, steps=steps, generator=generator
    ).x


MAKERS = {
    "maximise_activation": maximised,
    "class_model": lambda model, generator=None, prefix="", steps=5: (
        visualize.class_model(model, torch.tensor([0, 3]), shape=(3, 8, 8), steps=steps, generator=generator).x
    ),
    "invert": lambda model, generator=None, prefix="", steps=5: (
        visualize.invert(model, colours(), f"{prefix}conv", tv=0.1, steps=steps, generator=generator).x
    ),
    "style_transfer": lambda model, generator=None, prefix="", steps=5: (
        visualize.style_transfer(
            model, colours(), colours(3)[2:], content_layer=f"{prefix}norm", style_layers=[f"{prefix}conv"], steps=steps
        ).x
    ),
    "deep_dream": lambda model, generator=None, prefix="", steps=5: visualize.deep_dream(
        model, colours(), f"{prefix}conv", octaves=1, steps=steps, generator=generator
    ),
}
every_maker = pytest.mark.parametrize("name", MAKERS)


@every_maker
def test_same_generator_same_bytes_and_the_model_is_as_it_was(name):
    model = Mixed()
    before, random = state(model), torch.get_rng_state()
    first = MAKERS[name](model, seeded(4))
    with torch.no_grad():
        again = MAKERS[name](model, seeded(4))
    assert torch.equal(first, again)
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), random)
    assert not first.requires_grad
    if name != "style_transfer":
        assert not torch.equal(first, MAKERS[name](model, seeded(5)))
    if name != "maximise_activation":
        assert 0 <= first.min() < first.max() <= 1


@every_maker
def test_the_model_is_as_it_was_where_something_was_raised_midway(name):
    model = Breaks()
    before = state(model)
    with pytest.raises(OverflowError, match="midway"):
        MAKERS[name](model, prefix="inner.")
    assert state(model) == before


@every_maker
def test_no_steps_do_nothing(name):
    found = MAKERS[name](Mixed(), seeded(), steps=0)
    if name in {"style_transfer", "deep_dream"}:
        torch.testing.assert_close(found, colours())
    if name == "class_model":
        assert (found == 0.5).all()
    if name == "invert":
        noise = 0.1 * spread(torch.randn(1, 3, 8, 8, generator=seeded()))
        torch.testing.assert_close(found, (0.5 + noise).clamp(0, 1).expand_as(found))
    if name == "maximise_activation":
        assert torch.equal(found, found[:1].expand_as(found))
        start = visualize.maximise_activation(
            Mixed(), "conv", [(0,)], shape=(3, 8, 8), norm=3, steps=0, natural=False, generator=seeded()
        )
        assert (start.x - 0.5).norm().item() == pytest.approx(3, rel=1e-6)
        torch.testing.assert_close(found[:1] - 0.5, spread(start.x - 0.5))


def test_the_image_that_excites_a_linear_unit_is_its_weights():
    model = linear()
    found = visualize.maximise_activation(model, "1", [(0,), (2,), (1,)], shape=(1, 4, 4), norm=0.7, natural=False)
    expected = 0.5 + 0.7 * F.normalize(model[1].weight[[0, 2, 1]].detach())
    torch.testing.assert_close(found.x.flatten(1), expected, rtol=0, atol=1e-3)
    natural = visualize.maximise_activation(model, "1", [(0,), (2,), (1,)], shape=(1, 4, 4), norm=0.7)
    weighed = spread(model[1].weight[[0, 2, 1]].detach().view(3, 1, 4, 4))
    expected = 0.5 + 0.7 * spread(F.normalize(weighed.flatten(1)).view(3, 1, 4, 4))
    torch.testing.assert_close(natural.x, expected, rtol=0, atol=1e-3)


def test_the_image_that_excites_a_linear_layer_is_its_first_singular_vector():
    model = linear()
    model[1].bias.data = -0.5 * model[1].weight.data.sum(1)  # nothing for grey
    found = visualize.maximise_activation(model, "1", [()], shape=(1, 4, 4), norm=2.0, steps=300, natural=False)
    values, vectors = torch.linalg.svd(model[1].weight.detach())[1:]
    assert found.history[-1].item() == pytest.approx(2 * values[0].item(), rel=1e-4)
    assert (vectors[0] @ (found.x - 0.5).flatten()).abs().item() == pytest.approx(2, rel=1e-3)


def test_a_unit_a_channel_and_a_layer_of_a_network():
    model, units = victim(), [(3, 1, 2), (3,), ()]
    found = visualize.maximise_activation(model, "network.3", units, shape=(1, 8, 8), norm=2.0)
    planes = visualize.activations(nn.Sequential(*model.network[:4]), found.x.clamp(0, 1), "3")
    assert planes.shape == (3, 32, 4, 4)
    assert (found.history[-1] > found.history[0] + 1).all()
    assert (
        (found.history[-1] - found.history[-4:]).abs() < 0.01 * found.history[-1]
    ).all()  # at rest; equal steps vary by 4 %
    fine = visualize.maximise_activation(model, "network.3", units, shape=(1, 8, 8), norm=2.0, natural=False)
    torch.testing.assert_close((fine.x - 0.5).flatten(1).norm(dim=1), torch.full((3,), 2.0).double())
    roughness = [squared_gradient(x) / (x - 0.5).square().sum((1, 2, 3)) for x in (found.x, fine.x)]
    assert (roughness[0] < roughness[1]).all()
    alone = visualize.maximise_activation(model, "network.3", units[1:2], shape=(1, 8, 8), norm=2.0)
    torch.testing.assert_close(alone.x[0], found.x[1], rtol=0, atol=1e-6)


def test_a_class_model_in_closed_form_and_on_digits():
    model = linear()
    exact = partial(visualize.class_model, shape=(1, 4, 4), l2=2.0, tv=0.0, steps=200, transforms=None)
    found = exact(model, torch.tensor([2, 0]))
    expected = 0.5 + model[1].weight[[2, 0]].detach() / 4
    torch.testing.assert_close(found.x.flatten(1), expected, rtol=0, atol=1e-3)
    classes = partial(visualize.class_model, victim(), shape=(1, 8, 8), l2=0.5, steps=100)
    deep = classes(torch.arange(10))
    with torch.no_grad():
        assert (victim()(deep.x).softmax(1).diagonal() > 0.99).all()
    smooth = classes(torch.arange(10), tv=1.0)
    assert (squared_gradient(smooth.x) < squared_gradient(deep.x)).all()
    alone = classes(torch.tensor([3]))
    torch.testing.assert_close(alone.x[0], deep.x[3], rtol=0, atol=1e-5)


def test_a_class_model_maximises_the_mean_over_views():
    model = linear()

    def halves(x, generator):  # each of the two views is what the other is not
        return torch.cat([x.roll(2, 2), 1 - x.roll(1, 3)])

    found = visualize.class_model(
        model, torch.tensor([1, 2]), shape=(1, 4, 4), l2=2.0, tv=0.0, steps=200, transforms=halves
    )
    weight = model[1].weight[[1, 2]].detach().view(2, 1, 4, 4)
    expected = 0.5 + (weight.roll(-2, 2) - weight.roll(-1, 3)) / 8
    torch.testing.assert_close(found.x, expected, rtol=0, atol=1e-3)


def test_natural_steps_prefer_what_is_coarse_and_grey():
    h, w = 6, 8
    wave = torch.cos(2 * torch.pi * torch.arange(w) / w).expand(1, 3, h, w).double()
    finer = torch.cos(4 * torch.pi * torch.arange(w) / w).expand(1, 3, h, w).double()
    gains = [(spread(each)[0, 0, 0, 0] / each[0, 0, 0, 0]).item() for each in (torch.ones_like(wave), wave, finer)]
    assert gains[1] / gains[2] == pytest.approx(2)  # 1 / frequency
    assert gains[0] == pytest.approx(gains[1])  # and never more than for one wave across the image
    colour = wave * torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1)
    torch.testing.assert_close(spread(colour), 0.25 * gains[1] * colour)
    a, b = torch.randn(2, 2, 3, h, w, generator=seeded()).double()
    torch.testing.assert_close((spread(a) * b).sum(), (a * spread(b)).sum())  # symmetric: so that an ascent ascends


def test_inversion_brings_back_what_a_layer_keeps():
    model, (x, _) = victim(), digits(4)
    errors = {}
    for layer in ("network.1", "network.4", "network.7"):
        found = visualize.invert(model, x, layer, steps=100)
        errors[layer] = (found.x - x).square().mean().item()
        assert (found.history[-1] > -0.1).all()  # the layer answers nearly as it does to x
    assert errors["network.1"] < 1e-3 < errors["network.4"] < errors["network.7"]


def test_inversion_with_priors_in_closed_form():
    x = torch.rand(2, 1, 3, 3, generator=seeded()).double()
    found = visualize.invert(nn.Sequential(nn.Flatten()), x, "0", l2=0.5, tv=0.0, steps=600, lr=0.02)
    inverse = 1 / x.flatten(1).square().sum(1).view(2, 1, 1, 1)  # minimum of |z − x|² · inverse + |z − ½|² / 2
    torch.testing.assert_close(found.x, (inverse * x + 0.25) / (inverse + 0.5), rtol=0, atol=1e-4)


def test_the_gram_matrix_forgets_where_things_are():
    planes = torch.rand(2, 3, 4, 5, generator=seeded())
    shuffled = planes.flatten(2)[..., torch.randperm(20, generator=seeded())].view_as(planes)
    torch.testing.assert_close(visualize.gram(planes), visualize.gram(shuffled))
    expected = torch.einsum("nchw,ndhw->ncd", planes, planes) / 20
    torch.testing.assert_close(visualize.gram(planes), expected)
    tiled = planes.repeat(1, 1, 2, 3)
    torch.testing.assert_close(visualize.gram(tiled), visualize.gram(planes))


def test_style_moves_towards_the_style_and_away_from_the_content():
    model, content, style = Mixed(), colours(1), 0.2 * colours(2)[1:]
    transfer = partial(visualize.style_transfer, model, content, style, content_layer="conv", style_layers=["norm"])

    def miss(x):
        grams = [visualize.gram(visualize.activations(model, each, "norm")) for each in (x, style)]
        return (grams[0] - grams[1]).square().sum().item()

    nothing, little, much = (transfer(style_weight=weight, steps=60).x for weight in (0, 1, 100))
    assert torch.equal(nothing, content)
    assert miss(much) < miss(little) < miss(content)
    assert (little - content).square().sum() < (much - content).square().sum()


def test_empty_batches():
    model, none = Mixed(), colours(0)
    assert visualize.invert(model, none, "conv").x.shape == (0, 3, 8, 8)
    assert visualize.deep_dream(model, none, "conv", octaves=2).shape == (0, 3, 8, 8)
    assert visualize.class_model(model, torch.zeros(0, dtype=torch.int64), shape=(3, 8, 8)).x.shape == (0, 3, 8, 8)
    assert visualize.maximise_activation(model, "conv", [], shape=(3, 8, 8), norm=1).x.shape == (0, 3, 8, 8)
    options = {"content_layer": "conv", "style_layers": ["conv"]}
    assert visualize.style_transfer(model, none, colours(1), **options).x.shape == (0, 3, 8, 8)


def test_bad_input_is_named():
    model, x = Mixed(), colours()
    unit = partial(visualize.maximise_activation, model, "conv", shape=(3, 8, 8), norm=1)
    classes = partial(visualize.class_model, model, shape=(3, 8, 8))
    silent = copy.deepcopy(model)
    nn.init.zeros_(silent.conv.weight)
    nn.init.zeros_(silent.conv.bias)

    def style(canvas, model=model, **options):
        return visualize.style_transfer(
            model, x, canvas, **{"content_layer": "conv", "style_layers": ["conv"]} | options
        )

    for call, error, says in (
        (lambda: unit([(9,)]), ValueError, r"units has \(9,\); expected indices into \(4, 8, 8\)"),
        (lambda: unit([(0, 0, 0, 0)]), ValueError, r"units has \(0, 0, 0, 0\)"),
        (lambda: unit([0]), ValueError, "units has 0; expected"),
        (lambda: unit([(0,)], norm=0), ValueError, "norm is 0; expected a positive number"),
        (lambda: unit([(0,)], shape=(8, 8)), ValueError, r"shape is \(8, 8\); expected \(C, H, W\)"),
        (lambda: unit([(0,)], steps=-1), ValueError, "steps is -1"),
        (lambda: unit([(0,)], generator=3), TypeError, "generator is 3; expected a torch.Generator"),
        (lambda: classes([1]), TypeError, "y is list; expected a torch.Tensor"),
        (lambda: classes(torch.tensor([4])), ValueError, "y runs from 4 to 4; expected classes from 0 to 3"),
        (lambda: classes(torch.tensor([1.0])), ValueError, r"y is torch.float32 \(1,\); expected int64"),
        (lambda: classes(torch.tensor([1]), l2=-1), ValueError, "l2 is -1; expected a number of at least 0"),
        (lambda: visualize.invert(model, 2 * x, "conv"), ValueError, "x runs from .* expected pixels from 0 to 1"),
        (lambda: visualize.invert(model, x, "cnv"), ValueError, "layer is 'cnv'; expected .* 'conv'"),
        (lambda: visualize.invert(model, x, "conv", tv=-2), ValueError, "tv is -2"),
        (lambda: visualize.deep_dream(model, x, "conv", octaves=12), ValueError, "octaves is 12; expected fewer"),
        (lambda: visualize.deep_dream(model, x, "conv", step_size=-1), ValueError, "step_size is -1"),
        (lambda: visualize.deep_dream(model, x, "conv", jitter=-1), ValueError, "jitter is -1"),
        (lambda: style(colours(3)), ValueError, r"style is \(3, 3, 8, 8\); expected 3 channels, and one image or 2"),
        (lambda: style(colours(1), style_layers="conv"), ValueError, "style_layers is 'conv'; expected a list"),
        (lambda: style(colours(1), style_layers=["out"]), ValueError, r"layer is 'out', which puts out \(1, 4\)"),
        (lambda: style(colours(1), style_weight=-1), ValueError, "style_weight is -1"),
        (lambda: style(colours(1), model=silent), ValueError, "layer is 'conv', whose answer to image 0 is zero"),
        (lambda: visualize.invert(silent, x, "conv"), ValueError, "layer is 'conv', whose answer to image 0 is zero"),
        (lambda: visualize.gram(x[0]), ValueError, r"planes is \(3, 8, 8\); expected \(N, C, H, W\)"),
        (
            lambda: classes(torch.tensor([1, 2]), transforms=lambda x, generator: x[:1]),
            ValueError,
            "transforms returns 1 views of 2 inputs",
        ),
    ):
        with pytest.raises(error, match=says):
            call()
