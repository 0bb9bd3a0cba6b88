"""What the times of attacks are taken of."""

import torch

from benchmarks.attacks import compare, passes, right_images
from cnnlib import weights


def test_the_images_are_the_first_that_a_network_has_right():
    model = weights.load("digits_cnn_digits").eval()
    x, y = right_images(model, "digits", 30)
    assert x.shape == (30, 1, 8, 8)
    assert (model(x).argmax(1) == y).all()
    assert torch.equal(right_images(model, "digits", 3)[0], x[:3])


def test_passes_are_those_of_each_image_and_who_cannot_is_left_blank():
    model = torch.nn.Identity()
    calls = {"ours": lambda: [model(torch.zeros(4)) for _ in range(3)], "foolbox": lambda: model(torch.zeros(8))}
    assert passes(model, calls["ours"], 4) == 3
    row = compare(model, calls, 4, 3)
    assert (row["passes_ours"], row["passes_foolbox"], row["passes_torchattacks"]) == ("3", "2", "")
    assert row["torchattacks"] == ""
    assert row["foolbox"] > 0
    assert row["foolbox_frozen"] > 0
    assert not model._forward_hooks
