"""The images that experiments on inputs look at."""

from __future__ import annotations

import torch

from cnnlib.data import sets, tensors
from cnnlib.evaluate import unit_floats
from experiments.harness import first


def first_images(name: str, part: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first n images of the part "train" or "test" of a data set, from 0 to 1, and their labels.

    >>> x, y = first_images("digits", "test", 5)
    >>> x.shape, x.dtype, y.shape
    (torch.Size([5, 1, 8, 8]), torch.float32, torch.Size([5]))
    """
    data = sets.load(name)
    images, labels = tensors(*(first(data, n).train if part == "train" else (values[:n] for values in data.test)))
    return unit_floats(images), labels
