"""Images to learn from: some come with the package, MNIST and CIFAR-10 are fetched when first asked for."""

from cnnlib.data.included import digits, photo, split
from cnnlib.data.published import cifar10, mnist, tensors

__all__ = ["cifar10", "digits", "mnist", "photo", "split", "tensors"]
