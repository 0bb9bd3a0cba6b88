"""What is none of what was asked for is named, with the argument, its value and what was expected."""

import pytest
import torch
from attack_table import Mixed
from torch import nn

from cnnlib import attacks, visualize
from cnnlib.defend import Adversary, noisy
from cnnlib.inputs import Threat

X = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1])
NEAR = Threat(torch.inf, 0.1)
WEIGHT, BIAS, ROWS = torch.eye(2), torch.zeros(2), torch.tensor([[0.7, 0.2], [0.1, 0.4]])


def still(images, generator):
    return images


REFUSED = {
    "a sticker": (lambda m: attacks.patch(m, X, Y, 0.3), "sticker is 0.3; expected a Sticker"),
    "a random sticker": (lambda m: attacks.random_patch(X, 0.3), "sticker is 0.3; expected a Sticker"),
    "images of one": (lambda m: attacks.random_patch(3, attacks.Sticker(0.3)), "x is int; expected a torch.Tensor"),
    "a threat": (lambda m: attacks.random_signs(X, 0.1), "threat is 0.1; expected a Threat"),
    "images of signs": (lambda m: attacks.random_signs(3, NEAR), "x is int; expected a torch.Tensor"),
    "a surrogate": (
        lambda m: attacks.transfer(m, X, Y, NEAR, surrogate=3, attack=attacks.fgsm),
        "surrogate is int; expected a torch.nn.Module",
    ),
    "an attack": (
        lambda m: attacks.transfer(m, X, Y, NEAR, surrogate=m, attack=3),
        "attack is 3; expected a function",
    ),
    "a loss": (lambda m: attacks.apgd(m, X, Y, NEAR, loss=3), "loss is 3; expected a function"),
    "transforms": (lambda m: attacks.eot(m, X, Y, NEAR, transforms=3), "transforms is 3; expected a function"),
    "a transform": (lambda m: attacks.survival(m, X, Y, 3), "transform is 3; expected a function"),
    "an attribution": (lambda m: visualize.randomisation(m, X, Y, 3), "attribution is 3; expected a function"),
    "a target that is the label": (
        lambda m: attacks.fool_linear(WEIGHT, BIAS, ROWS, Y, norm=2, target=Y),
        "target is 0 for image 0, its label; expected another class",
    ),
    "a box": (lambda m: attacks.fool_linear(WEIGHT, BIAS, ROWS, Y, norm=2, box=3), "box is 3; expected"),
    "a box upside down": (
        lambda m: attacks.fool_linear(WEIGHT, BIAS, ROWS[:0], Y[:0], norm=2, box=(1, 0)),
        r"box is \(1, 0\); expected",
    ),
    "planes": (lambda m: visualize.gram(3), r"planes is 3; expected \(N, C, H, W\)"),
    "a direction": (
        lambda m: visualize.loss_line(m, X, Y, 3, [0]),
        "direction is 3; expected a tensor for each parameter, by name",
    ),
    "distances": (
        lambda m: visualize.loss_line(m, X, Y, visualize.filter_direction(m), 0.5),
        "distances is 0.5; expected a list",
    ),
    "two directions": (
        lambda m: visualize.loss_plane(m, X, Y, visualize.filter_direction(m), [0]),
        "directions are .*; expected two",
    ),
    "units": (
        lambda m: visualize.maximise_activation(m, "conv", 0, shape=(3, 8, 8), norm=1),
        "units is 0; expected a list",
    ),
    "channels": (lambda m: visualize.top_patches(m, X, "conv", channels=1, count=1), "channels is 1; expected a list"),
    "a baseline": (
        lambda m: visualize.integrated_gradients(m, X, Y, baseline="a"),
        "baseline is 'a'; expected a finite number",
    ),
    "maps of two shapes": (
        lambda m: visualize.rank_correlation(X, X[:1]),
        r"a is \(2, 3, 8, 8\) and b \(1, 3, 8, 8\); expected \(N, …\), the same twice",
    ),
    "starts that are none": (
        lambda m: attacks.boundary(m, X, Y, Threat(2, 1), starts=X * torch.nan),
        "starts runs from nan to nan; expected pixels from 0 to 1",
    ),
    "starts outside": (
        lambda m: attacks.hop_skip_jump(m, X, Y, NEAR, starts=X + 1),
        "starts runs from .* expected pixels from 0 to 1",
    ),
    "a model in training": (
        lambda m: Adversary(NEAR)(3, X, Y, torch.Generator(), step=0),
        "model is int; expected a torch.nn.Module",
    ),
    "images in training": (
        lambda m: Adversary(NEAR)(m, X.double(), Y, torch.Generator(), step=0),
        "model has parameters of torch.float32; expected torch.float64, as x has",
    ),
    "a generator in training": (
        lambda m: Adversary(NEAR)(m, X, Y, 3, step=0),
        "generator is 3; expected a torch.Generator",
    ),
    "a generator of noise": (lambda m: noisy(X, 3, sigma=0.1), "generator is 3; expected a torch.Generator"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_none_is_named(what):
    call, says = REFUSED[what]
    with pytest.raises((TypeError, ValueError), match=says):
        call(Mixed().eval())


def test_without_a_generator_nobody_elses_is_touched():
    model, before = Mixed(), torch.get_rng_state()
    worst = [Adversary(NEAR)(model, X, Y, None, step=0) for _ in range(2)]
    assert torch.equal(*worst)
    assert torch.equal(noisy(X, None, sigma=0.1), noisy(X, None, sigma=0.1))
    assert torch.equal(torch.get_rng_state(), before)


class Aliased(nn.Module):
    """Goes on in place with what one of its layers only handed on."""

    def __init__(self):
        super().__init__()
        self.handed_on, self.flat = nn.Identity(), nn.Flatten()

    def forward(self, x):
        h = 1 * x
        self.handed_on(h)
        h.add_(10)
        return self.flat(h)


def test_a_layer_that_hands_on_what_it_gets_is_read_before_that_is_changed():
    assert torch.equal(visualize.activations(Aliased(), X, "handed_on"), X)
    assert torch.equal(visualize.activations(Aliased(), X, ""), X.flatten(1) + 10)
