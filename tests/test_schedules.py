"""Learning-rate schedules: those of torch, step by step."""

import pytest
import torch

from cnnlib.schedules import cosine, one_cycle, step_decay


def of_torch(make, steps):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = make(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "theirs", "steps"),
    [
        (
            lambda t: step_decay(t, lr=0.3, milestones=(3, 7), factor=0.2),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [3, 7], 0.2),
            10,
        ),
        (
            lambda t: cosine(t, lr=0.3, steps=12, floor=0.01),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12, 0.01),
            12,
        ),
        (lambda t: one_cycle(t, lr=0.3, steps=20), lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.3, 20), 19),
        (
            lambda t: one_cycle(t, lr=0.3, steps=9, rise=0.2, start_divisor=10, end_divisor=100),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o, 0.3, 9, pct_start=0.2, div_factor=10, final_div_factor=100
            ),
            8,
        ),
    ],
    ids=["step_decay", "cosine", "one_cycle", "one_cycle with options"],
)
def test_the_rates_are_those_of_torch(ours, theirs, steps):
    assert [ours(t) for t in range(steps)] == pytest.approx(of_torch(theirs, steps), rel=1e-12)


def test_the_warm_up_is_a_straight_line_to_the_peak():
    rates = [cosine(t, lr=1.0, steps=8, warmup=4) for t in range(9)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates == pytest.approx([*rates[:5], *(cosine(t, lr=1.0, steps=4) for t in range(1, 5))], rel=1e-12)


def test_the_ends():
    assert cosine(5, lr=2.0, steps=5, floor=0.5) == 0.5
    assert one_cycle(19, lr=0.3, steps=20) == pytest.approx(0.3 / 25 / 1e4)
    assert step_decay(0, lr=1.0, milestones=()) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosine(6, lr=1, steps=5), "step is 6; expected at most 5, of 5 steps"),
        (lambda: cosine(-1, lr=1, steps=5), "step is -1"),
        (lambda: cosine(0, lr=1, steps=5, warmup=5), "warmup is 5; expected less than steps, 5"),
        (lambda: one_cycle(5, lr=1, steps=5), "step is 5; expected at most 4"),
        (lambda: one_cycle(0, lr=1, steps=5, rise=1), "rise is 1; expected a number between 0 and 1"),
        (lambda: step_decay(0, lr=1, milestones=(1.5,)), "milestones is 1.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
