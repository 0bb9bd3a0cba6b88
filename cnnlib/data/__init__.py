"""Images to learn from, as NumPy arrays.

Some come with the package (`digits`, `photos`), some are generated (`shapes`), and two are read from the files
that their authors published (`mnist`, `cifar10`), which are downloaded when first asked for.
"""

from cnnlib.data.generated import SHAPE_CLASSES, Shapes, shapes
from cnnlib.data.included import digits, photo, photos, split
from cnnlib.data.lookup import DataError
from cnnlib.data.published import (
    CIFAR10_CLASSES,
    CIFAR10_MEAN,
    CIFAR10_STD,
    MNIST_MEAN,
    MNIST_STD,
    cifar10,
    mnist,
    tensors,
)

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "MNIST_MEAN",
    "MNIST_STD",
    "SHAPE_CLASSES",
    "DataError",
    "Shapes",
    "cifar10",
    "digits",
    "mnist",
    "photo",
    "photos",
    "shapes",
    "split",
    "tensors",
]
