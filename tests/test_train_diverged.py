"""A loss that is no number: the training stops, says where and why, and keeps the last good checkpoint."""

import os

import pytest
import torch
from small_training import STEPS, digits, network, run
from torch import nn

from cnnlib.divergence import Diverged, check_losses


def test_the_error_is_an_arithmetic_one():
    assert issubclass(Diverged, ArithmeticError)


def test_a_rate_that_is_too_large_from_some_step_on(tmp_path):
    path = tmp_path / "checkpoint.pt"
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def rate(step):
        return 1e38 if step >= 2 * STEPS + 3 else 0.01

    with pytest.raises(
        Diverged, match=rf"the loss is (nan|inf) at step {2 * STEPS + 4}; probably the learning rate, 1e\+38"
    ):
        run(linear, *digits(), schedule=rate, checkpoint=path)
    stored = torch.load(path, weights_only=True)
    assert [row["epoch"] for row in stored["history"]] == [1, 2]
    assert all(value.isfinite().all() for value in stored["model"].values())
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_the_last_step_of_an_epoch_cannot_spoil_the_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"

    def rate(step):
        return torch.inf if step == 2 * STEPS - 1 else 0.01

    with pytest.raises(
        Diverged, match=rf"0.weight is not finite after step {2 * STEPS - 1}; probably the learning rate, inf"
    ):
        run(network(), *digits(), schedule=rate, checkpoint=path)
    assert len(torch.load(path, weights_only=True)["history"]) == 1


def test_images_that_hold_nan():
    images = digits()[0].float()
    images[37, 0, 2, 2] = torch.nan
    with pytest.raises(
        Diverged, match=r"the loss is nan at step [0-5]; probably because the images hold NaN or infinity"
    ):
        run(network(), images, digits()[1])


def test_an_augmentation_that_divides_by_zero():
    def brighten(x, generator):
        return x / x.amax((1, 2, 3), keepdim=True).sub(x.max())

    with pytest.raises(
        Diverged, match=r"at step 0; probably because the augmentation made NaN or infinity of the images"
    ):
        run(network(), *digits(), augment=brighten)


def test_weights_that_were_no_numbers_before():
    model = network()
    with torch.no_grad():
        model[6].bias[3] = torch.inf
    with pytest.raises(
        Diverged, match="at step 0; probably because the weights were not finite, or far too large, before"
    ):
        run(model, *digits())


def test_numbers_that_float16_cannot_hold():
    model = network()

    class Larger(nn.Module):
        def forward(self, x):
            return x * (70000 if self.training and x.dtype == torch.float16 and self.late() else 1)

        calls = 0

        def late(self):
            Larger.calls += 1
            return Larger.calls > 3

    with pytest.raises(Diverged, match="at step 3; probably because float16 ends at 65504: try bfloat16"):
        run(nn.Sequential(model, Larger()), *digits(), precision="float16", schedule=lambda step: 1e-3)


def test_a_validation_loss_that_is_no_number(tmp_path):
    images, labels = digits(20)
    images = images.float().fill_(torch.inf)
    with pytest.raises(
        Diverged, match=f"the validation loss is nan after step {STEPS - 1}; probably the learning rate"
    ):
        run(network(), *digits(), validation=(images, labels), checkpoint=tmp_path / "checkpoint.pt")
    assert os.listdir(tmp_path) == []


def test_where_losses_are_looked_at_late_the_first_wrong_one_and_its_rate_are_told():
    """As on a GPU, where 50 steps are checked together."""
    losses = torch.tensor([2.0, 1.5, torch.inf, torch.nan])
    kept = {"images": torch.zeros(1, dtype=torch.uint8), "batch": torch.zeros(1), "precision": "float32"}
    with pytest.raises(Diverged, match="the loss is inf at step 102; probably the learning rate, 103, is too large"):
        check_losses(losses, first_step=100, schedule=lambda step: step + 1.0, **kept)
    assert check_losses(losses[:2], first_step=100, schedule=lambda step: 0.1, **kept) is None
