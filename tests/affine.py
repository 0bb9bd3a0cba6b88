"""`twins.compare` for operators whose weights and biases may be left out, or that return more than y."""

from __future__ import annotations

import numpy as np
from twins import agree, as_tuple, backward_of, by_autograd, tensor

from cnnlib import ops_numpy, ops_torch
from cnnlib.testing import adjoint_gap


def hold(name, arguments, reference, *, seed, absent=(), linear=(), magnitudes=None, **options):
    """Hold both twins of an operator, and their backwards, to each other and to torch's `reference`.

    `arguments` maps the names of all that has a gradient to NumPy arrays. Those in `absent` the operator is given as
    None, and torch as they are (ones for a weight, zeros for a bias): the gradients are those at these values.
    `reference` returns a tuple where the operator does; gradients are of the first. Float32's bound is relative to
    `magnitudes(grad_output)`, one number per gradient.
    """
    given = {k: None if k in absent else v for k, v in arguments.items()}
    torchs, torch_options = ({k: tensor(v) for k, v in d.items()} for d in (arguments, options))
    held = {k: tensor(v) for k, v in given.items()} | torch_options
    values = as_tuple(getattr(ops_numpy, name)(**given, **options))
    y, present = values[0], [i for i, v in enumerate(values) if v is not None]
    for other in (as_tuple(getattr(ops_torch, name)(**held)), as_tuple(reference(**torchs))):
        assert [i for i, v in enumerate(other) if v is not None] == present
        agree(tuple(values[i] for i in present), tuple(other[i] for i in present))
    grad_output = np.random.default_rng((seed, 1)).normal(size=y.shape).astype(y.dtype)
    grads = backward_of(ops_numpy, name, {**given, **options, "grad_output": grad_output})
    scales = None if magnitudes is None else tuple(np.array(m) for m in magnitudes(grad_output))
    agree(grads, backward_of(ops_torch, name, {**held, "grad_output": tensor(grad_output)}), scales)

    def first(*leaves):
        return as_tuple(reference(**dict(zip(arguments, leaves, strict=True))))[0]

    agree(grads, by_autograd(first, tensor(grad_output), *torchs.values()), scales)
    for k in linear if y.dtype == np.float64 else ():
        base = arguments[k] * 0
        flat = as_tuple(getattr(ops_numpy, name)(**{**given, k: base}, **options))[0]
        full = as_tuple(getattr(ops_numpy, name)(**{**given, k: arguments[k]}, **options))[0]
        assert adjoint_gap(full - flat, grad_output, arguments[k], grads[list(arguments).index(k)]) < 1e-12, k
