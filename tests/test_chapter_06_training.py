"""What the chapter on back-propagation says of checking gradients and of training, each computed again."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_06 import functions
from torch.autograd.gradcheck import GradcheckError

from cnnlib import nn_numpy
from cnnlib.data import digits, split
from cnnlib.ops_numpy import (
    conv2d,
    conv2d_backward,
    cross_entropy,
    cross_entropy_backward,
    linear,
    relu,
)
from cnnlib.testing import adjoint_gap


@pytest.fixture(scope="module")
def chapter():
    return functions()


# Finite differences


@pytest.fixture(scope="module")
def smooth():
    """The chapter's loss without corners, its kernel and its exact slope along one weight."""
    images, labels = digits()
    rng = np.random.default_rng(2)
    kernel, readout = rng.normal(size=(8, 1, 3, 3))[:1], rng.normal(size=(10, 64)) / 8
    few, classes = images[:64, None], labels[:64]

    def loss(k, dtype=np.float64):
        x, k, m = (v.astype(dtype) for v in (few, k, readout))
        return cross_entropy(linear(conv2d(x, k, padding=1).reshape(64, 64), m), classes)

    logits = linear(conv2d(few, kernel, padding=1).reshape(64, 64), readout)
    grad = (cross_entropy_backward(1.0, logits, classes) @ readout).reshape(64, 1, 8, 8)
    one = np.zeros((1, 1, 3, 3))
    one[0, 0, 1, 1] = 1
    return loss, kernel, one, conv2d_backward(grad, few, kernel, padding=1)[1][0, 0, 1, 1]


def _errors(smooth, steps, dtype=np.float64):
    loss, kernel, one, exact = smooth
    central = [(loss(kernel + e * one, dtype) - loss(kernel - e * one, dtype)) / (2 * e) for e in steps]
    forward = [(loss(kernel + e * one, dtype) - loss(kernel, dtype)) / e for e in steps]
    return [np.abs(np.array(q, float) / exact - 1) for q in (central, forward)]


def test_the_error_of_a_difference_quotient_is_a_v(smooth):
    steps = np.array([1e-12, 1e-8, 1e-5, 1e-2])
    central, forward = _errors(smooth, steps)
    assert central.argmin() == 2  # near the cube root of the rounding unit
    assert forward.argmin() == 1  # near its square root
    assert central[2] < 1e-8 < forward[2]
    assert central.min() < forward.min() / 100


def test_the_arms_rise_by_one_and_by_two_decades_per_decade(smooth):
    central, forward = _errors(smooth, np.array([1e-3, 1e-2]))
    assert np.log10(forward[1] / forward[0]) == pytest.approx(1, abs=0.1)
    assert np.log10(central[1] / central[0]) == pytest.approx(2, abs=0.1)


def test_in_float32_the_check_is_blunt(smooth):
    loss, kernel, one, _ = smooth
    steps = np.array([1e-5, 0.1, 0.3])
    (central, _), (exact, _) = _errors(smooth, steps, np.float32), _errors(smooth, steps)
    assert central[0] > 1e-4
    np.testing.assert_allclose(central[1:], exact[1:], rtol=0.2)  # the right arm does not know the precision
    assert loss(kernel + 1e-12 * one, np.float32) == loss(kernel, np.float32)  # the weight does not move


def test_a_fresh_network_stands_on_corners():
    images, labels = digits()
    rng = np.random.default_rng(2)
    kernel, readout = rng.normal(size=(8, 1, 3, 3))[:1], rng.normal(size=(10, 64)) / 8
    few, classes = images[:64, None], labels[:64]

    def loss(bias):
        h = relu(conv2d(few, kernel, np.array([bias]), padding=1))
        return cross_entropy(linear(h.reshape(64, 64), readout), classes).item()

    h = conv2d(few, kernel, np.zeros(1), padding=1)
    assert 0.1 < (h == 0).mean() < 0.16
    upstream = cross_entropy_backward(1.0, linear(relu(h).reshape(64, 64), readout), classes) @ readout
    backward = np.sum(upstream.reshape(h.shape) * (h > 0))
    left, right = (loss(0.0) - loss(-1e-6)) / 1e-6, (loss(1e-6) - loss(0.0)) / 1e-6
    assert backward == pytest.approx(left, rel=1e-4)  # ReLU'(0) = 0: the side where these pixels are off
    assert (loss(1e-6) - loss(-1e-6)) / 2e-6 == pytest.approx((left + right) / 2, rel=1e-4)
    central = (left + right) / 2
    assert 0.07 < (central - backward) / central < 0.1  # nearly a tenth of their value


# B6: autograd


def test_b6_gradcheck_and_the_adjoint_test_pass_ours_and_catch_each_wrong_one(chapter):
    rng = np.random.default_rng(11)
    tensors = [torch.tensor(rng.normal(size=s), requires_grad=True) for s in ((2, 3, 6, 4), (4, 3, 3, 3), (4,))]
    x, weight, bias = tensors
    v = torch.tensor(rng.normal(size=(2, 4, 6, 4)))

    def gap(name):
        y = chapter[name].apply(x, weight, 0 * bias)
        return adjoint_gap(y, v, x, torch.autograd.grad(y, x, v)[0])

    assert torch.autograd.gradcheck(chapter["Convolution"].apply, tensors)
    assert gap("Convolution") < 1e-12
    for name in ("OneSlip", "SecondDeck", "Severed"):
        with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
            torch.autograd.gradcheck(chapter[name].apply, tensors)
        assert gap(name) > 1e-3, name


def test_b6_gradcheck_catches_the_second_decks_weights_too(chapter):
    rng = np.random.default_rng(11)
    x = torch.tensor(rng.normal(size=(2, 3, 5, 4)))
    weight, bias = (torch.tensor(rng.normal(size=s), requires_grad=True) for s in ((4, 3, 3, 3), (4,)))
    assert torch.autograd.gradcheck(chapter["OneSlip"].apply, (x, weight, bias))  # its only slip is towards x
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):  # the weights
        torch.autograd.gradcheck(chapter["SecondDeck"].apply, (x, weight, bias))


@pytest.fixture(scope="module")
def runs(chapter):
    """Losses (seeds, epochs) and shares misread (seeds,) of the chapter's four recipes."""
    found = {}
    for name in ("Convolution", "OneSlip", "Severed", "SecondDeck"):
        losses, missed = zip(*(chapter["train"](chapter[name], seed) for seed in range(3)), strict=True)
        found[name] = np.array(losses), np.array(missed)
    return found


def test_b6_a_right_gradient_reads_more_than_nine_digits_in_ten(runs):
    losses, missed = runs["Convolution"]
    assert (missed < 0.09).all()
    assert (np.diff(losses, axis=1) < 0).all()


def test_e8_newsons_rules_in_a_correlating_layer_misread_several_times_as_many(runs):
    losses, missed = runs["SecondDeck"]
    assert (missed > 3 * runs["Convolution"][1]).all()
    assert (missed > 0.2).all()
    assert (losses[:, -1] < losses[:, 0] - 0.3).all()  # and yet the loss comes down


def test_b6_one_slip_or_passing_nothing_down_costs_a_few_digits_in_a_hundred(runs):
    right_losses, right = runs["Convolution"]
    for name in ("OneSlip", "Severed"):
        losses, missed = runs[name]
        assert (np.diff(losses, axis=1) < 0).all()  # as smoothly as it should
        assert (losses[:, -1] < 0.6).all()
        assert (missed < 0.14).all()  # about nine digits in ten are read
        assert (missed - right < 0.07).all()
        assert (right_losses[:, -1] < losses[:, -1]).all()  # the right one falls fastest


def test_exercise_6_alone_the_first_layer_needs_the_right_gradient(chapter):
    def losses(name, seed, epochs=8):
        return chapter["train"](chapter[name], seed, moving=2, epochs=epochs)[0]

    for seed in (5, 6):
        right = losses("Convolution", seed, epochs=3)
        assert right[-1] < right[0] - 0.1
    climbs, stays = losses("OneSlip", 6), losses("OneSlip", 5)
    assert climbs[-1] == pytest.approx(3.8 * climbs[0], rel=0.2)  # almost four times as high
    assert abs(stays[-1] - stays[0]) < 0.2  # a lottery


# NumPy alone


def _twins(backward=None):
    images, labels = digits()
    rng = np.random.default_rng(0)
    model = nn_numpy.digits_cnn(rng)
    if backward is not None:
        model.layers[3].backward = lambda g: backward(model.layers[3], g)
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 10),
    ).double()
    twin.load_state_dict({name: torch.tensor(value) for name, value in model.parameters.items()})
    ours = nn_numpy.SGD(model, lr=0.05, momentum=0.9)
    theirs = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9)
    learn, held_out = split(labels, 0.2, rng)
    gaps = []
    for rows in (learn[b] for _ in range(6 if backward is None else 1) for b in nn_numpy.batches(len(learn), 32, rng)):
        theirs.zero_grad()
        loss = F.cross_entropy(twin(torch.tensor(images[rows, None])), torch.tensor(labels[rows]))
        loss.backward()
        theirs.step()
        gaps.append(abs(nn_numpy.train_step(model, ours, images[rows, None], labels[rows]) - loss.item()))
    return gaps, nn_numpy.accuracy(model, images[held_out, None], labels[held_out])


def test_the_numpy_network_and_its_twin_stay_together_for_270_steps():
    gaps, right = _twins()
    assert len(gaps) == 270
    assert max(gaps) < 1e-13  # the last few of some sixteen digits, of losses between 3 and 0.01
    assert np.median(gaps[-60:]) > np.median(gaps[:60]) / 10  # the loss falls, the gap does not
    assert right > 0.95


def test_with_one_slip_the_twins_part_at_the_second_step():
    def slip(layer, grad_output):
        weight = layer.parameters["weight"]
        _, grad_weight, grad_bias = conv2d_backward(grad_output, layer.x, weight, padding=1)
        layer._gradients = {"weight": grad_weight, "bias": grad_bias}
        return conv2d_backward(grad_output, layer.x, weight[..., ::-1, ::-1], padding=1)[0]

    gaps, _ = _twins(slip)
    assert gaps[0] < 1e-12
    assert gaps[1] > 1e-6


# Exercises


def test_exercise_1(chapter):
    x, w, g = np.array([[3.0, 1, 4, 1, 5]]), np.array([[1.0, 2, -1]]), np.array([[1.0, -1]])
    np.testing.assert_array_equal(chapter["grad_x_scatter"](g, w, (1, 5), 2), [[1, 2, -2, -2, 1]])
    np.testing.assert_array_equal(chapter["grad_weight_loops"](g, x, (1, 3), 2), x[:, :3] - x[:, 2:])


def test_exercise_3_the_wrong_size_is_caught_and_keeps_its_direction():
    rng = np.random.default_rng(13)
    x, w = rng.normal(size=(2, 1, 6, 6)), rng.normal(size=(1, 1, 3, 3))
    y = conv2d(x, w)
    v = rng.normal(size=y.shape)
    right = conv2d_backward(v, x, w)[1]
    wrong = right / 16
    assert adjoint_gap(y, v, w, wrong) > 1e-3
    assert np.sum(right * wrong) / np.sqrt(np.sum(right**2) * np.sum(wrong**2)) == pytest.approx(1)


def test_exercise_5_automatic_differentiation_differentiates_the_program():
    def slope(f):
        t = torch.zeros((), requires_grad=True)
        return torch.autograd.grad(f(t), t)[0].item()

    assert slope(torch.relu) == 0
    assert slope(lambda t: torch.relu(-t) + t) == 1
    assert slope(lambda t: torch.relu(-t) + t - torch.relu(t) / 2) == 1  # the slopes at 0 are 0 and 1/2
