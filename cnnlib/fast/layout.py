"""Where the channels lie in memory: shapes are (N, C, H, W) always, but a fast array keeps its channels together.

With channels last, (N, H, W, C) in memory, a row of a k×k window is k·C numbers without a gap, so windows are cut by a
few long copies, and every 1×1 convolution is one matrix product. Element-wise NumPy keeps the order of its inputs, so
a network that begins so stays so. torch calls this `memory_format=torch.channels_last`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

FEW = 8  # channels that are read at once without trouble


def empty_channels_last(shape: tuple[int, int, int, int], dtype: DTypeLike) -> np.ndarray:
    """Return an uninitialised array of shape (N, C, H, W) whose channels lie together.

    >>> empty_channels_last((2, 3, 4, 5), np.float32).transpose(0, 2, 3, 1).flags.c_contiguous
    True
    """
    N, C, H, W = shape
    return np.empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return x (N, C, H, W) seen as (N, H, W, C); nothing is copied."""
    return x.transpose(0, 2, 3, 1)


def gather_channels(image: np.ndarray, out: np.ndarray) -> None:
    """Write image (N, H, W, C), wherever its channels lie, into out of the same shape, where they lie together.

    Channels that lie a power of two apart fall into the same few lines of the cache and drive each other out, so not
    many are read at once: that is four times as fast for planes of 32 × 32.
    """
    C, apart = image.shape[3], abs(image.strides[3])
    together = C
    if apart > abs(image.strides[2]):
        together = 1 if C < FEW else FEW if apart % 1024 == 0 else C
    for c in range(0, C, together):
        out[..., c : c + together] = image[..., c : c + together]


def contiguous_channels_last(x: np.ndarray) -> np.ndarray:
    """Return x (N, C, H, W) as a contiguous (N, H, W, C): itself where it lies so, a copy elsewhere."""
    image = channels_last(x)
    if image.flags.c_contiguous:
        return image
    copy = np.empty(image.shape, x.dtype)
    gather_channels(image, copy)
    return copy
