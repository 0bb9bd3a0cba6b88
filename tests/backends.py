"""The two packages of operators, and how each makes an array: tests run on both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from cnnlib import ops_numpy, ops_torch


class Backend(NamedTuple):
    """`ops` is a package of operators, `array(values, dtype)` makes what it works on."""

    name: str
    ops: object
    array: object


def numpy_array(values, dtype="float64"):
    return np.array(values, dtype)


def torch_array(values, dtype="float64"):
    return torch.tensor(np.array(values, dtype))


BACKENDS = (Backend("numpy", ops_numpy, numpy_array), Backend("torch", ops_torch, torch_array))
both = pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
