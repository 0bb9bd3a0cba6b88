"""What every attack keeps to, whatever it does."""

import inspect
import random

import numpy as np
import pytest
import torch
from attack_table import CASES, Mixed, digits, victim
from model_state import Breaks, state
from torch import nn

from cnnlib.inputs import Threat, distance

every_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def model():
    return victim()


@pytest.fixture(scope="module")
def data():
    return digits()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def colours():
    x = torch.rand(3, 3, 8, 8, generator=seeded(1))
    with torch.no_grad():
        return x, Mixed().eval()(x).argmax(1)


@every_case
def test_it_fools_within_what_is_allowed(name, model, data):
    case, (x, y) = CASES[name], data
    found = case.run(model, x, y, generator=seeded())
    assert found.adversarial.shape == x.shape
    assert found.adversarial.dtype == x.dtype
    assert (distance(x, found.adversarial, case.threat.norm) <= case.threat.eps + 1e-6).all()
    assert 0 <= found.adversarial.min() <= found.adversarial.max() <= 1
    attacked = model(x).argmax(1) == y
    assert (found.attacked == attacked).all()
    assert found.history.shape[1:] == (attacked.sum(),)
    assert found.success[attacked].double().mean() >= case.fools  # doing nothing fools none
    with torch.no_grad():
        for images, predictions, success in (
            (found.adversarial, found.predictions, found.success),
            ((255 * found.adversarial).round() / 255, found.rounded_predictions, found.rounded_success),
        ):
            assert (model(images).argmax(1) == predictions).all()
            assert (success == attacked & (predictions != y)).all()


@every_case
def test_images_that_are_misclassified_come_back_unchanged(name, model, data):
    x, y = data
    found = CASES[name].run(model, x, y, generator=seeded())
    assert (~found.attacked).sum() == 2
    assert torch.equal(found.adversarial[~found.attacked], x[~found.attacked])
    assert not found.success[~found.attacked].any()


@every_case
def test_with_a_target_the_class_is_the_targets(name, model, data):
    case, (x, y) = CASES[name], data
    if not case.targeted:
        with pytest.raises(TypeError, match="target"):
            case.run(model, x, y, target=(y + 1) % 10)
        return
    found = case.run(model, x, y, target=(y + 1) % 10, generator=seeded())
    assert (found.success == found.attacked & (found.predictions == (y + 1) % 10)).all()
    assert found.success.any()


@every_case
def test_same_generator_same_bytes_and_nobody_elses_is_touched(name, model, data):
    case, (x, y) = CASES[name], data
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()  # noqa: NPY002
    first, again = (case.run(model, x[:4], y[:4], generator=seeded(3)) for _ in range(2))
    assert torch.equal(first.adversarial, again.adversarial)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tobytes(), random.getstate()) == before[1:]  # noqa: NPY002


@every_case
def test_a_row_of_a_batch_is_what_the_image_alone_becomes(name, model, data):
    case, (x, y) = CASES[name], data
    together = case.run(model, x[:6], y[:6], generator=seeded())
    for i in range(6):
        alone = case.run(model, x[i : i + 1], y[i : i + 1], generator=seeded())
        torch.testing.assert_close(alone.adversarial[0], together.adversarial[i], rtol=0, atol=1e-9)
        assert alone.queries[0] == together.queries[i]


@every_case
def test_queries_are_counted(name, model, data):
    other = {"surrogate": victim()} if name == "transfer" else {}  # whose questions do not count
    asked, handle = [], model.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    x, y = data
    found = CASES[name].run(model, x, y, generator=seeded(), **other)
    handle.remove()
    assert found.queries.sum() == sum(asked)
    assert (found.queries > 0).all()


@every_case
def test_the_model_is_identical_afterwards(name):
    (x, y), model = colours(), Mixed()
    before = state(model)
    CASES[name].run(model, x, y, generator=seeded())
    assert state(model) == before


@every_case
def test_the_model_is_identical_where_something_was_raised_midway(name):
    (x, y), model = colours(), Breaks()
    before = state(model)
    if name in ("fgsm", "fgsm, 2", "transfer"):
        model.asked = 1
    with pytest.raises(OverflowError, match="midway"):
        CASES[name].run(model, x, y, generator=seeded())
    assert state(model) == before


@every_case
def test_an_empty_batch_is_allowed(name, model, data):
    x, y = data
    found = CASES[name].run(model, x[:0], y[:0])
    assert found.adversarial.shape == (0, 1, 8, 8)
    for each in (found.success, found.rounded_success, found.queries, found.l0, found.l2, found.linf):
        assert each.shape == (0,)


@every_case
def test_a_threat_of_nothing_does_nothing(name, model, data):
    case, (x, y) = CASES[name], data
    found = case._replace(threat=Threat(case.threat.norm, 0)).run(model, x, y, generator=seeded())
    assert torch.equal(found.adversarial, x)
    assert not found.success.any()


@every_case
def test_a_budget_of_nothing_does_nothing(name, model, data):
    case, (x, y) = CASES[name], data
    taken = inspect.signature(case.function).parameters
    budget = {limit: 0 for limit in ("steps", "rounds", "queries") if limit in taken}
    found = case.run(model, x, y, generator=seeded(), **budget)
    if budget:
        assert torch.equal(found.adversarial, x)
        assert not found.success.any()
    else:
        assert case.attack in ("fgsm", "transfer")


BAD = {
    "outside": (lambda x, y: (x + 0.5, y, None), ValueError, r"x runs from 0.5 to 1.5; expected pixels from 0 to 1"),
    "nan": (lambda x, y: (x * torch.nan, y, None), ValueError, r"x runs from nan to nan; expected pixels from 0 to 1"),
    "bytes": (
        lambda x, y: ((255 * x).byte(), y, None),
        ValueError,
        r"x is torch.uint8 .*; expected float32 or float64",
    ),
    "rank": (lambda x, y: (x[0], y, None), ValueError, r"x is torch.float64 \(1, 8, 8\); expected .* \(N, C, H, W\)"),
    "array": (lambda x, y: (x.numpy(), y, None), TypeError, r"x is ndarray; expected a torch.Tensor"),
    "one-hot": (lambda x, y: (x, torch.eye(10)[y], None), ValueError, r"y is torch.float32 \(24, 10\); expected int64"),
    "label": (lambda x, y: (x, y + 10, None), ValueError, r"y runs from 10 to 19; expected classes from 0 to 9"),
    "negative": (lambda x, y: (x, y - 9, None), ValueError, r"y runs from -9 to 0; expected classes from 0 to 9"),
    "count": (lambda x, y: (x, y[1:], None), ValueError, r"y is torch.int64 \(23,\); expected int64 of shape \(24,\)"),
    "target": (lambda x, y: (x, y, y), ValueError, r"target is \d for image 0, its label; expected another class"),
    "far target": (lambda x, y: (x, y, y + 10), ValueError, r"target runs from 10 to 19; expected classes from 0 to 9"),
}


@every_case
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named(name, what, model, data):
    make, error, says = BAD[what]
    x, y, target = make(*data)
    case = CASES[name]
    if target is not None and not case.targeted:
        return
    with pytest.raises(error, match=says):
        case.run(model, x, y, **({} if target is None else {"target": target}))


class Silent(nn.Module):
    def forward(self, x):
        return [x]


@every_case
def test_a_model_that_cannot_be_attacked_is_named(name, model, data):
    case, (x, y) = CASES[name], data
    with pytest.raises(ValueError, match=r"model returns list; expected logits \(24, classes\)"):
        case.run(Silent(), x, y)
    with pytest.raises(ValueError, match=r"model returns \(24, 1, 8, 8\); expected logits \(24, classes\)"):
        case.run(nn.Identity(), x, y)
    with pytest.raises(TypeError, match=r"model is function; expected a torch.nn.Module"):
        case.run(lambda x: x, x, y)
    with pytest.raises(ValueError, match="model is on meta; expected cpu, where x is"):
        case.run(nn.Sequential(nn.Flatten(), nn.Linear(64, 10, device="meta")), x, y)
    with pytest.raises(ValueError, match=r"model has parameters of torch.float32; expected torch.float64, as x has"):
        case.run(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), x, y)
    with pytest.raises(TypeError, match=r"threat is 0.1; expected a Threat"):
        case._replace(threat=0.1).run(model, x, y)
    with pytest.raises(TypeError, match=r"generator is 3; expected a torch.Generator"):
        case.run(model, x, y, generator=3)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("pgd", {"step_size": 0}, "step_size is 0; expected a positive number"),
        ("pgd", {"step_size": float("nan")}, "step_size is nan; expected a finite number"),
        ("pgd", {"steps": -1}, "steps is -1; expected an integer of at least 0"),
        ("square", {"share": "0.8"}, "share is '0.8'; expected a"),
    ],
)
def test_bad_options_are_named(name, options, says, model, data):
    with pytest.raises((TypeError, ValueError), match=says):
        CASES[name].run(model, *data, **options)


def test_a_surrogate_is_as_it_was_too(data):
    (x, y), surrogate = colours(), Mixed()
    before = state(surrogate)
    CASES["transfer"].run(Mixed(), x, y, surrogate=surrogate)
    assert state(surrogate) == before


def test_the_history_of_a_transfer_is_blank_where_the_surrogate_is_wrong(model, data):
    x, y = data
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    found = CASES["transfer"].run(model, x, y, surrogate=wrong)
    with torch.no_grad():
        right = wrong(x).argmax(1) == y
    assert torch.equal(found.history.isnan()[0], ~right[found.attacked])
