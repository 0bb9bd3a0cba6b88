"""What the tests of the networks ask of a model: its parameters, the shape of every module's output, multiply–adds."""

import torch
from torch import nn


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def on_meta(build, **options):
    """The network without memory: shapes only."""
    with torch.device("meta"):
        return build(**options)


def outputs(model, shape):
    """Run zeros of `shape`, where the model lies, and return {name of module: shape of its output}, batch left out."""
    seen, hooks = {}, []
    for name, module in model.named_modules():

        def keep(module, args, y, name=name):
            assert name not in seen, f"{name} is used twice"
            seen[name] = tuple(y[0].shape if isinstance(y, tuple) else y.shape)[1:]

        hooks.append(module.register_forward_hook(keep))
    with torch.no_grad():
        model.eval()(torch.zeros(shape, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    assert set(seen) == {name for name, _ in model.named_modules()}, "a module is not used"
    return seen


def macs(model, shape, under=""):
    """Multiply–adds of one image in the convolutions and linear layers whose names begin with `under`."""
    seen, total = outputs(model, shape), 0
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and name.startswith(under):
            positions = seen[name][1] * seen[name][2] if isinstance(module, nn.Conv2d) else 1
            total += module.weight.numel() * positions
    return total


def assert_drawn_by_seed(build):
    """One seed, one network; another seed, another; and torch's own generator stays where it was."""
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = build(seed=3), build(seed=3), build(seed=4)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in first.state_dict().items())
    drawn = [name for name, p in first.named_parameters() if p.ndim > 1]
    assert not any(torch.equal(first.state_dict()[k], other.state_dict()[k]) for k in drawn)
    return first


def assert_gradients_reach_everything(model, loss):
    model.zero_grad()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
