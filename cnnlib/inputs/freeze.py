"""A model that is looked at and not changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

TABLES = [  # of a module, in which something may be registered
    name
    for name, value in vars(nn.Module()).items()
    if isinstance(value, dict) and (name == "_buffers" or "_hooks" in name)
]


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
    modules = list(model.modules())
    modes = [(module, module.training) for module in modules]
    tables = [table for module in modules for table in map(vars(module).get, TABLES) if table is not None]
    entries = [dict(table) if table else {} for table in tables]  # most have none, and a copy of none takes long
    held = [tensor for module in modules for tensor in module._parameters.values() if tensor is not None]
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in held]
    buffers = [tensor for module in modules for tensor in module._buffers.values() if tensor is not None]
    values = [(kept, kept.clone()) for kept in [*buffers, *(p.grad for p in held if p.grad is not None)]]
    try:
        if any(training for _, training in modes):
            model.eval()
        for parameter in held:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            if module.training != training:
                module.training = training
        for table, before in zip(tables, entries, strict=True):
            if table or before:
                table.clear()
                table.update(before)
        for parameter, required, gradient in parameters:
            parameter.requires_grad_(required)
            if parameter.grad is not gradient:
                parameter.grad = gradient
        with torch.no_grad():
            for tensor, value in values:
                tensor.copy_(value)
