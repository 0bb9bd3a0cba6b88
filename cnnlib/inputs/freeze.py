"""A model that is looked at and not changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from cnnlib.evaluate import modes_kept


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Let a model act as in use, and ask for no gradients of its parameters; afterwards it is what it was.

    Every module has its mode and its hooks back, every parameter its `requires_grad` and its gradient, every buffer its
    values, whatever was done inside and also if something was raised. Gradients with respect to inputs are computed as
    ever.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> with frozen(model):
    ...     model.training, model[0].weight.requires_grad
    (False, False)
    >>> model.training, model[0].weight.requires_grad
    (True, True)
    """
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    tables = [
        (table, dict(table))
        for module in model.modules()
        for name, table in vars(module).items()
        if isinstance(table, dict) and (name == "_buffers" or "_hooks" in name)
    ]
    values = [
        (kept, kept.clone()) for kept in [*model.buffers(), *(p.grad for p in model.parameters())] if kept is not None
    ]
    with modes_kept(model):
        try:
            model.eval()
            model.requires_grad_(False)
            yield
        finally:
            for table, entries in tables:
                table.clear()
                table.update(entries)
            for parameter, required, gradient in parameters:
                parameter.requires_grad_(required)
                parameter.grad = gradient
            with torch.no_grad():
                for tensor, before in values:
                    tensor.copy_(before)
