"""Whether a model is what it was: everything of it that could change, and one that changes it all and raises."""

from attack_table import Mixed
from torch import nn


def state(model):
    """Everything of a model that could change."""
    return {
        "modes": [module.training for module in model.modules()],
        "required": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [None if p.grad is None else (id(p.grad), p.grad.tolist()) for p in model.parameters()],
        "values": {key: value.tolist() for key, value in model.state_dict().items()},
        "hooks": [
            {key: dict(value) for key, value in vars(module).items() if "_hooks" in key and isinstance(value, dict)}
            for module in model.modules()
        ],
    }


class Breaks(nn.Module):
    """Raises at the second question, having written to everything."""

    def __init__(self):
        super().__init__()
        self.inner, self.asked = Mixed(), 0

    def forward(self, x):
        self.asked += 1
        if self.asked == 2:
            self.inner.train()
            self.inner.norm.running_mean.add_(1)
            self.inner.out.weight.grad.zero_()
            self.inner.conv.register_forward_hook(lambda *_: None)
            raise OverflowError("midway")
        return self.inner(x)
