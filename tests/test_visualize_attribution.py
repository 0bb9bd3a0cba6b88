"""Attributions: exact on small networks, whatever kind of ReLU they have, and without a trace."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from attack_table import Mixed, digits, victim
from model_state import Breaks, state
from torch import nn

from cnnlib import visualize
from cnnlib.visualize import rectifiers

METHODS = {
    "saliency": visualize.saliency,
    "guided_backprop": visualize.guided_backprop,
    "deconvnet": visualize.deconvnet,
    "integrated_gradients": partial(visualize.integrated_gradients, steps=5),
    "grad_cam": partial(visualize.grad_cam, layer="conv"),
    "occlusion": partial(visualize.occlusion, window=4, stride=3),
}
every_method = pytest.mark.parametrize("name", METHODS)


def colours(n=3, generator_seed=1):
    return torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(generator_seed)), torch.arange(n) % 4


class Twisted(nn.Module):
    """ReLUs in every guise: one module twice, in place, in place on a view, and as functions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.deep, self.out = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 5, 3, padding=1), nn.Linear(180, 4)
        self.relu, self.again = nn.ReLU(inplace=True), nn.Linear(4, 4)

    def forward(self, x):
        x = self.relu(self.conv(x))
        x = torch.relu(x + F.relu(self.deep(x)))
        return self.again(self.relu(self.out(x.flatten(1).mul(1).view(len(x), 180).relu_())))


class Ruled(torch.autograd.Function):
    """The rule written out for one ReLU."""

    @staticmethod
    def forward(ctx, x, rule):
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, above):
        (x,) = ctx.saved_tensors
        return ctx.rule(above, x), None


def ruled(net, x, rule):
    relu = partial(Ruled.apply)
    x = relu(net.conv(x), rule)
    x = relu(x + relu(net.deep(x), rule), rule)
    return net.again(relu(net.out(relu(x.flatten(1), rule)), rule))


@pytest.mark.parametrize(
    ("method", "rule"),
    [
        (visualize.gradient, lambda above, x: above * (x > 0)),
        (visualize.guided_backprop, lambda above, x: above * ((x > 0) & (above > 0))),
        (visualize.deconvnet, lambda above, x: above * (above > 0)),
    ],
)
def test_relus_of_every_guise_follow_the_rule(method, rule):
    net, (x, y) = Twisted().double(), colours()
    x = x.double().requires_grad_()
    ruled(net, x, rule).gather(1, y[:, None]).sum().backward()
    torch.testing.assert_close(method(net, x.detach(), y), x.grad, rtol=0, atol=1e-15)
    assert x.grad.abs().sum() > 0


def test_the_rules_on_two_units_by_hand():
    # Weights in: 1 and −1 (on for x = 2: the first alone); weights out: −3 and 5.
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    x, y = torch.ones(1, 1, 1, 1), torch.tensor([0])
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net[3].weight.copy_(torch.tensor([[-3.0, 5.0]]))
    assert visualize.gradient(net, x, y).item() == -3
    assert visualize.saliency(net, x, y).item() == 3
    assert visualize.guided_backprop(net, x, y).item() == 0
    assert visualize.deconvnet(net, x, y).item() == -5


OTHERS = [nn.LeakyReLU(), nn.PReLU(), nn.RReLU(), nn.ELU(), nn.SELU(), nn.CELU(), nn.GELU(), nn.SiLU(), nn.Mish()]
OTHERS += [nn.Softplus(), nn.ReLU6(), nn.Hardtanh(), nn.Hardswish(), nn.GLU(), nn.Threshold(0.1, 0)]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: type(other).__name__)
def test_rectifiers_of_another_kind_are_refused(other):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), other, nn.Flatten(), nn.LazyLinear(4))
    x, y = colours()
    with torch.no_grad():
        net(x)
    for method in (visualize.guided_backprop, visualize.deconvnet):
        with pytest.raises(ValueError, match=r"model has a.*; expected only ReLUs"):
            method(net, x, y)
    assert visualize.saliency(net, x, y).shape == x.shape


@pytest.mark.parametrize("other", [nn.Tanh(), nn.Identity()])
def test_a_network_without_a_relu_is_refused(other):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), other, nn.Flatten(), nn.Linear(144, 4))
    with pytest.raises(ValueError, match="model has no ReLU of torch between its input and its logits"):
        visualize.guided_backprop(net, *colours())


def test_the_mode_ends_with_the_pass_also_where_it_refuses():
    x = torch.randn(4, requires_grad=True)
    with pytest.raises(ValueError, match="a GELU"):
        rectifiers.input_gradient(x, F.gelu, rectifiers.guided)
    (gradient,) = torch.autograd.grad(-x.relu().sum(), x)
    assert torch.equal(gradient, -(x > 0).float())


def test_integrated_gradients_sum_to_what_was_gained():
    model, (x, y) = victim(), digits(6)
    with torch.no_grad():
        gained = (model(x) - model(torch.full_like(x, 0.25))).gather(1, y[:, None])[:, 0]
    errors = [
        visualize.integrated_gradients(model, x, y, baseline=0.25, steps=steps).sum((1, 2, 3)).sub(gained).abs().max()
        for steps in (5, 500)
    ]
    assert errors[1] < errors[0] / 50  # the gradient is constant between kinks: the error falls with 1 / steps
    assert errors[1] < 0.003 * gained.abs().max()


def test_integrated_gradients_are_exact_where_the_gradient_is_a_polynomial():
    class Cubic(nn.Module):
        def forward(self, x):
            return (x**3).flatten(1)

    x, y = torch.rand(2, 1, 2, 2).double(), torch.tensor([1, 3])
    found = visualize.integrated_gradients(Cubic(), x, y, steps=2)  # exact up to degree 3
    torch.testing.assert_close(found.flatten(1), (x**3).flatten(1) * F.one_hot(y, 4), rtol=0, atol=1e-15)


def test_occlusion_of_a_linear_model_in_closed_form():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()
    x, y = torch.rand(2, 1, 3, 4).double(), torch.tensor([2, 0])
    share = (x - 0.5) * net[1].weight[y].detach().view(2, 1, 3, 4)  # what a pixel adds to the logit, over grey
    one = visualize.occlusion(net, x, y, window=1, baseline=0.5)
    torch.testing.assert_close(one, share, rtol=0, atol=1e-14)
    halves = visualize.occlusion(net, x, y, window=(3, 3), stride=(3, 3), baseline=0.5)  # columns 0–2, and 3
    expected = torch.stack([share[..., :3].sum((1, 2, 3)), share[..., 3:].sum((1, 2, 3))], 1)
    torch.testing.assert_close(halves[:, 0, 1, [0, 3]], expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(halves[:, 0, 2, [2, 3]], expected, rtol=0, atol=1e-14)
    overlapping = visualize.occlusion(net, x, y, window=(3, 2), stride=1, baseline=0.5)[:, 0, 0]  # at columns 0, 1, 2
    a, b, c = (share[..., start : start + 2].sum((1, 2, 3)) for start in range(3))
    torch.testing.assert_close(overlapping, torch.stack([a, (a + b) / 2, (b + c) / 2, c], 1), rtol=0, atol=1e-14)


def test_grad_cam_in_closed_form():
    # Logit y is Σ_k w[y, k] · mean of plane k: the weight of a plane is w[y, k] / (h · w).
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)).double()
    x, y = colours()
    found = visualize.grad_cam(net, x.double(), y, "0")
    planes = net[0](x.double()).detach()
    expected = (planes * net[3].weight[y].detach()[:, :, None, None] / 64).sum(1, keepdim=True).relu()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


REFERENCE = {  # of captum 0.9.0: the sum of squares of what it says about one digit
    "guided_backprop": 690.1369101722926,
    "deconvnet": 608.1819059848783,
    "integrated_gradients": 63.13830808180998,
    "grad_cam": 1.650810661899314,
}


@pytest.mark.parametrize("name", REFERENCE)
def test_what_captum_once_said(name):
    x, y = (part[5:6] for part in digits(12))
    method = partial(visualize.grad_cam, layer="network.3") if name == "grad_cam" else getattr(visualize, name)
    assert method(victim(), x, y).square().sum().item() == pytest.approx(REFERENCE[name], rel=1e-6)


@every_method
def test_shapes_rows_and_the_random_state(name):
    (x, y), model = colours(4), Mixed().double()
    x, before = x.double(), torch.get_rng_state()
    found = METHODS[name](model, x, y)
    maps = 1 if name in {"grad_cam", "occlusion"} else 3
    assert (found.shape, found.dtype, found.requires_grad) == ((4, maps, 8, 8), x.dtype, False)
    assert found.abs().sum() > 0
    for i in range(4):
        alone = METHODS[name](model, x[i : i + 1], y[i : i + 1])
        torch.testing.assert_close(alone[0], found[i], rtol=0, atol=1e-12)
    assert METHODS[name](model, x[:0], y[:0]).shape == (0, maps, 8, 8)
    assert torch.equal(torch.get_rng_state(), before)


@every_method
def test_the_model_and_the_images_are_identical_afterwards(name):
    (x, y), model = colours(), Mixed()
    before, images = state(model), x.clone()
    METHODS[name](model, x, y)
    assert state(model) == before
    assert torch.equal(x, images)
    assert x.grad is None


@every_method
def test_the_model_is_identical_where_something_was_raised_midway(name):
    (x, y), model = colours(), Breaks()
    model.conv = model.inner.conv
    before = state(model)
    model.asked = 0 if name in {"integrated_gradients", "occlusion"} else 1
    with pytest.raises(OverflowError, match="midway"):
        METHODS[name](model, x, y)
    assert state(model) == before


@every_method
def test_works_without_gradients_and_with_frozen_parameters(name):
    (x, y), model = colours(), Mixed().eval()
    expected = METHODS[name](model, x, y)
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(METHODS[name](model, x, y), expected)


BAD = [
    (lambda x, y: (2 * x, y), ValueError, "x runs from .*; expected pixels from 0 to 1"),
    (lambda x, y: (x * torch.nan, y), ValueError, "x runs from nan"),
    (lambda x, y: ((255 * x).byte(), y), ValueError, "x is torch.uint8"),
    (lambda x, y: (x[0], y), ValueError, r"x is torch.float32 \(3, 8, 8\)"),
    (lambda x, y: (x, F.one_hot(y)), ValueError, "y is torch.int64 .*; expected int64 of shape"),
    (lambda x, y: (x, y + 4), ValueError, "y runs from 4 to 6; expected classes from 0 to 3"),
    (lambda x, y: (x, y.tolist()), TypeError, "y is list; expected a torch.Tensor"),
    (lambda x, y: (x.double(), y), ValueError, "model has parameters of torch.float32; expected torch.float64"),
]


@every_method
@pytest.mark.parametrize(("make", "error", "says"), BAD)
def test_bad_input_is_named(name, make, error, says):
    with pytest.raises(error, match=says):
        METHODS[name](Mixed(), *make(*colours()))


@every_method
def test_a_model_that_cannot_be_explained_is_named(name):
    x, y = colours()
    with pytest.raises(TypeError, match=r"model is function; expected a torch\.nn\.Module"):
        METHODS[name](lambda x: x, x, y)
    model = nn.Sequential()
    model.add_module("conv", nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match=r"model returns \(3, 4, 6, 6\); expected logits \(3, classes\)"):
        METHODS[name](model, x, y)


@every_method
def test_a_model_that_returns_no_tensor_is_named(name):
    model = nn.Sequential()
    model.add_module("conv", nn.Conv2d(3, 4, 3))
    model.add_module("two", Two())
    with pytest.raises(ValueError, match="model returns tuple; expected a tensor"):
        METHODS[name](model, *colours())


class Two(nn.Module):
    def forward(self, x):
        return x, x


@every_method
def test_images_that_ask_for_gradients_are_taken_as_they_are(name):
    (x, y), model = colours(), Mixed()
    found = METHODS[name](model, x.clone().requires_grad_(), y)
    assert not found.requires_grad
    assert torch.equal(found, METHODS[name](model, x, y))


def test_options_are_checked():
    (x, y), model = colours(), Mixed()
    for window, stride, says in ((9, 1, r"window is \(9, 9\)"), (2, 3, r"stride is \(3, 3\)"), (0, 1, "window is 0")):
        with pytest.raises(ValueError, match=says):
            visualize.occlusion(model, x, y, window=window, stride=stride)
    for baseline, says in ((2.0, "baseline runs from 2 to 2"), (torch.zeros(7), r"baseline is \(7,\); expected")):
        with pytest.raises(ValueError, match=says):
            visualize.integrated_gradients(model, x, y, baseline=baseline)
        with pytest.raises(ValueError, match=says):
            visualize.occlusion(model, x, y, window=2, baseline=baseline)
    with pytest.raises(ValueError, match="steps is 0"):
        visualize.integrated_gradients(model, x, y, steps=0)
