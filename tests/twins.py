"""One comparison for every operator: NumPy, torch, and torch's autograd on torch's own operator, values and gradients.

`CNNLIB_DEVICE=cuda` runs the same draws on a GPU.
"""

from __future__ import annotations

import inspect
import os

import numpy as np
import torch
from hypothesis import given, settings

from cnnlib import ops_numpy, ops_torch
from cnnlib.testing import adjoint_gap, assert_close

DEVICE = os.environ.get("CNNLIB_DEVICE", "cpu")
FLOAT32 = 2e-6  # of the largest sum of |terms|: sums of at most a few hundred products, in another order

torch.backends.cudnn.allow_tf32 = False  # on a GPU, compare float32 with float32


def tensors(*values):
    return [torch.from_numpy(np.ascontiguousarray(v)).to(DEVICE) for v in values]


def tensor(value):
    """Return a tensor of an array, which may be of no axes; anything else as it is."""
    return torch.from_numpy(value.copy()).to(DEVICE) if isinstance(value, np.ndarray) else value


def as_tuple(values):
    return values if isinstance(values, tuple) else (values,)


def agree(numpy_values, torch_values, magnitudes=None):
    """Compare float64 to 1e-12 of the largest value, float32 to FLOAT32 of the largest sum of |terms|."""
    ours, theirs = as_tuple(numpy_values), as_tuple(torch_values)
    scales = ours if magnitudes is None else as_tuple(magnitudes)
    for mine, other, scale in zip(ours, theirs, scales, strict=True):
        rtol = None
        if mine.dtype == np.float32:
            rtol = FLOAT32 * float(np.abs(scale).max(initial=0) / (np.abs(mine).max(initial=0) or 1))
        assert_close(other, mine, rtol=rtol)


def by_autograd(f, grad_output, *values):
    """Return the gradients of ⟨grad_output, f(*values)⟩ as torch itself computes them."""
    leaves = [v.clone().requires_grad_() for v in values]
    return torch.autograd.grad(f(*leaves), leaves, grad_output, materialize_grads=True)


def backward_of(ops, name, available):
    """Call `<name>_backward` with what it asks for, found by name in `available`."""
    function = getattr(ops, f"{name}_backward")
    arguments = {k: available[k] for k in inspect.signature(function).parameters if k in available}
    return as_tuple(function(**arguments))


def compare(name, arguments, reference, *, seed, linear=(), magnitudes=None, **options):
    """Hold both twins of an operator, and their backwards, to each other and to torch.

    `arguments` maps names to NumPy arrays: those of floats that are not None get a gradient, in their order.
    `reference` is torch's own operator, called with the same arguments by name; `linear` names the arguments in which
    the operator is linear, whose adjoint identity is checked; `magnitudes` may be (of the output, of each gradient),
    arrays of the sums of |terms| that float32's bound is relative to.
    """
    y = getattr(ops_numpy, name)(**arguments, **options)
    grad_output = np.asarray(np.random.default_rng(seed).normal(size=y.shape)).astype(y.dtype)
    torchs = {k: tensor(v) for k, v in arguments.items()}
    torch_options = {k: tensor(v) for k, v in options.items()}
    above, below = (None, None) if magnitudes is None else magnitudes
    agree(y, getattr(ops_torch, name)(**torchs, **torch_options), above)
    agree(y, reference(**torchs), above)
    known = {"input_size": np.shape(arguments.get("x", ()))[2:]}
    grads = backward_of(ops_numpy, name, {**known, **arguments, **options, "grad_output": grad_output, "y": y})
    ours = {**known, **torchs, **torch_options, "grad_output": tensor(grad_output), "y": tensor(y)}
    agree(grads, backward_of(ops_torch, name, ours), below)
    leaves = [k for k, v in arguments.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]

    def of_leaves(*values):
        return reference(**{**torchs, **dict(zip(leaves, values, strict=True))})

    agree(grads, by_autograd(of_leaves, tensor(grad_output), *(torchs[k] for k in leaves)), below)
    for k in linear if y.dtype == np.float64 else ():
        zero = getattr(ops_numpy, name)(**{**arguments, k: np.zeros_like(arguments[k])}, **options)
        assert adjoint_gap(y - zero, grad_output, arguments[k], grads[leaves.index(k)]) < 1e-12, k


def assert_every_option_is_drawn(strategy, defaults, *, examples=300):
    """Check that each option differs from its default in at least 15 % of the draws; return the options drawn."""
    seen = []

    @settings(max_examples=examples)
    @given(strategy)
    def collect(drawn):
        seen.append(drawn[-1] if isinstance(drawn, tuple) else drawn)

    collect()
    assert len(seen) == examples
    for name, default in defaults.items():
        assert sum(options[name] != default for options in seen) >= 0.15 * len(seen), name
    return seen
