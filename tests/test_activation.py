"""ReLU at its kink, at NaN and infinity."""

import numpy as np
import pytest
import torch
from backends import both

from cnnlib import nn_torch
from cnnlib.testing import assert_close


@both
def test_special_values(backend):
    x = backend.array([-np.inf, -1, -0.0, 0.0, 1, np.inf, np.nan])
    assert_close(backend.ops.relu(x), backend.array([0, 0, 0, 0, 1, np.inf, np.nan]), rtol=0)
    grad_x = backend.ops.relu_backward(backend.array(np.full(7, 3)), x)
    assert_close(grad_x, backend.array([0, 0, 0, 0, 3, 3, 3]), rtol=0)
    assert_close(backend.ops.relu(backend.ops.relu(backend.array(-1.0))), backend.array(0.0), rtol=0)
    torchs = torch.tensor(np.asarray(x), requires_grad=True)
    torch.relu(torchs).backward(torch.full((7,), 3.0, dtype=torch.float64))
    assert_close(grad_x, torchs.grad, rtol=0)


def test_gradcheck_passes():
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nn_torch.ReLUFunction.apply, x)


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    with pytest.raises(ValueError, match="x has dtype int64"):
        ops.relu(array([1], "int64"))
    with pytest.raises(ValueError, match=r"x is a builtins\.float"):
        ops.relu(1.0)
    with pytest.raises(ValueError, match=r"grad_output has shape \(2,\); expected \(3,\)"):
        ops.relu_backward(array([1, 1]), array([1, 2, 3]))
