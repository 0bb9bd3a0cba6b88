"""MNIST and CIFAR-10, read from the files that their authors published.

Files are looked for under CNNLIB_DATA, then in the user's cache, and are downloaded to the cache if they are in
neither; `cnnlib.data.lookup` gives the layout. What is read is compared with the published SHA-256, so that a truncated
or altered file is refused by name.
"""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np

from cnnlib.data.lookup import read

if TYPE_CHECKING:
    import torch

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Of the pixels of the training images, from 0 to 1, one number per channel.
MNIST_MEAN, MNIST_STD = (0.1307,), (0.3081,)
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def mnist(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return handwritten digits: images (60000, 1, 28, 28) of uint8, labels (60000,) of int64 from 0 to 9.

    `part` is "train" or "test", which has 10,000. Ink is 255. Raises ValueError for another `part`, and DataError, an
    OSError that says what to do, where a file is altered or cannot be had.

    LeCun, Bottou, Bengio and Haffner (1998), https://doi.org/10.1109/5.726791.

    >>> mnist("validation")
    Traceback (most recent call last):
    ValueError: part is 'validation'; expected 'train' or 'test'
    """
    stem = {"train": "train", "test": "t10k"}[_part(part)]
    images = _idx(gzip.decompress(read(f"MNIST/raw/{stem}-images-idx3-ubyte.gz")))
    labels = _idx(gzip.decompress(read(f"MNIST/raw/{stem}-labels-idx1-ubyte.gz")))
    return images[:, None].copy(), labels.astype(np.int64)


def cifar10(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return small photographs: images (50000, 3, 32, 32) of uint8, RGB, labels (50000,) of int64 from 0 to 9.

    `part` is "train" or "test", which has 10,000; CIFAR10_CLASSES names the labels. Raises ValueError for another
    `part`, and DataError, an OSError that says what to do, where a file is altered or cannot be had.

    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
    https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf, in its binary version.
    """
    stems = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}[_part(part)]
    images, labels = [], []
    for stem in stems:
        records = np.frombuffer(read(f"cifar-10-batches-bin/{stem}.bin"), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
        labels.append(records[:, 0])
        images.append(records[:, 1:].reshape(-1, 3, 32, 32))  # red, green and blue planes, row by row
    return np.concatenate(images), np.concatenate(labels).astype(np.int64)


def tensors(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels as torch tensors of the same types, uint8 and int64, that share their memory.

    Raises ValueError where there are not as many of one as of the other.

    >>> images, labels = tensors(np.zeros((2, 1, 28, 28), np.uint8), np.array([3, 7]))
    >>> images.dtype, labels
    (torch.uint8, tensor([3, 7]))
    """
    import torch

    if len(images) != len(labels):
        raise ValueError(f"labels has {len(labels)} entries; expected one for each of the {len(images)} images")
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(np.ascontiguousarray(labels))


def _part(part: str) -> str:
    if part not in ("train", "test"):
        raise ValueError(f"part is {part!r}; expected 'train' or 'test'")
    return part


def _idx(content: bytes) -> np.ndarray:
    """Return the array of an idx file: two zeros, the type (8 is uint8), the rank, the big-endian shape, the values."""
    rank = content[3]
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
