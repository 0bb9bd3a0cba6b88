"""MNIST and CIFAR-10, read from the files their authors published."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MNIST_PARTS = {"train": "train", "test": "t10k"}
CIFAR10_PARTS = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}


def mnist(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return MNIST: images uint8 (60000, 1, 28, 28) and labels int64 (60000,); "test" has 10,000."""
    stem = MNIST_PARTS[part]
    folder = Path(os.environ["CNNLIB_DATA"]) / "MNIST" / "raw"
    images = gzip.decompress((folder / f"{stem}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{stem}-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28).copy()
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def cifar10(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return CIFAR-10: images uint8 (50000, 3, 32, 32) and labels int64 (50000,); "test" has 10,000."""
    folder = Path(os.environ["CNNLIB_DATA"]) / "cifar-10-batches-bin"
    records = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in CIFAR10_PARTS[part]])
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def tensors(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two arrays as torch tensors of the same types: uint8 stays uint8."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(np.ascontiguousarray(labels))
