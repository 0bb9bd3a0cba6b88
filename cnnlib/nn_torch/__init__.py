"""The twin of `cnnlib.nn_numpy` in torch."""

from cnnlib.nn_torch.layers import *  # noqa: F403
