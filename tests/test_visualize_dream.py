"""Dreams: more of what a layer sees, and octaves that hand on what was added."""

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib import visualize


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def colours(n):
    return torch.rand(n, 3, 24, 24, generator=seeded(1))


def test_a_dream_has_more_of_what_the_layer_sees_and_keeps_the_mean_step():
    model, x = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()), colours(2)
    dreamt = visualize.deep_dream(model, x, "1", octaves=3, steps=6, generator=seeded())
    before, after = (visualize.activations(model, each, "1").flatten(1).norm(dim=1) for each in (x, dreamt))
    assert (after > 1.05 * before).all()
    step = visualize.deep_dream(model, 0.3 + 0.4 * x, "1", octaves=1, steps=1, jitter=0) - (0.3 + 0.4 * x)
    torch.testing.assert_close(step.abs().mean((1, 2, 3)), torch.full((2,), 0.01))
    assert torch.equal(visualize.deep_dream(model, x, "1", octaves=3, steps=0), x)  # nothing added, nothing enlarged
    alone = visualize.deep_dream(model, x[1:], "1", octaves=3, steps=6, generator=seeded())
    torch.testing.assert_close(alone[0], dreamt[1], rtol=0, atol=1e-5)


def test_a_dream_takes_what_was_added_on_to_the_next_octave():
    model, x = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()).double(), 0.3 + 0.4 * colours(1).double()
    added = torch.zeros(1, 3, 1, 1, dtype=x.dtype)
    for side in (12, 17, 24):  # 24 / 1.4², 24 / 1.4
        base = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
        z = (base + F.interpolate(added, (side, side), mode="bilinear")).requires_grad_()
        (slope,) = torch.autograd.grad(model(z).norm(), z)
        added = z.detach() + 0.01 * slope / slope.abs().mean() - base
    found = visualize.deep_dream(model, x, "1", octaves=3, steps=1, jitter=0)
    torch.testing.assert_close(found, x + added, rtol=0, atol=1e-9)
