"""The augmentations of the papers, as functions of a batch and a generator.

images are (N, C, H, W) tensors, on any device; the generator is torch's, on the CPU, so that a seed means the same on
every device. All return new tensors of the same shape and type, and raise ValueError for images of another rank.
"""

from __future__ import annotations

import torch

from cnnlib.geometry import as_int


def random_crop(images: torch.Tensor, generator: torch.Generator, *, padding: int = 4) -> torch.Tensor:
    """Pad every side with zeros, then cut the old size out at a place drawn for each image.

    He et al. (2016), section 4.2, https://arxiv.org/abs/1512.03385, with 4 pixels. All (2 · padding + 1)² places are
    equally likely. Any dtype. Raises ValueError for a negative padding.

    >>> random_crop(torch.ones(2, 3, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 8, 8])
    """
    padding = as_int("padding", padding, 0)
    (n, _, h, w), device = _batch(images).shape, images.device
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    top, left = torch.randint(2 * padding + 1, (2, n, 1), generator=generator)
    rows = (top + torch.arange(h)).to(device)  # (N, H)
    columns = (left + torch.arange(w)).to(device)  # (N, W)
    which = torch.arange(n, device=device)[:, None, None]
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror every image left to right with probability one half.

    Krizhevsky et al. (2012), section 4.1, https://doi.org/10.1145/3065386.

    >>> random_flip(torch.arange(6.0).view(3, 1, 1, 2), torch.Generator().manual_seed(1)).flatten().tolist()
    [1.0, 0.0, 3.0, 2.0, 4.0, 5.0]
    """
    flip = torch.randint(2, (len(_batch(images)), 1, 1, 1), generator=generator).bool().to(images.device)
    return torch.where(flip, images.flip(3), images)


def crop_and_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Crop after padding by 4, then mirror: what He et al. (2016) train on CIFAR-10 with."""
    return random_flip(random_crop(images, generator), generator)


def shift(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Move every image by up to two pixels each way: enough for digits, which a mirror would spoil."""
    return random_crop(images, generator, padding=2)


def colour_components(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eigenvalues (3,), ascending, and eigenvectors (3, 3), in columns, of the covariance of RGB pixels.

    images (N, 3, H, W) of floats: the whole training set. Raises ValueError for others.

    >>> grey = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(4, 3, 8, 8)
    >>> values, vectors = colour_components(grey)
    >>> [round(v, 3) for v in values.clamp(min=0).tolist()], vectors[:, 2].abs()  # grey varies along (1, 1, 1) alone
    ([0.0, 0.0, 0.244], tensor([0.5774, 0.5774, 0.5774]))
    """
    return torch.linalg.eigh(torch.cov(_colour(images).transpose(0, 1).flatten(1)))


def colour_pca(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    components: tuple[torch.Tensor, torch.Tensor],
    std: float = 0.1,
) -> torch.Tensor:
    """Add to each image one colour: the principal components, each times its eigenvalue and a draw from N(0, std²).

    Krizhevsky et al. (2012), section 4.1, https://doi.org/10.1145/3065386; `components` are those that
    `colour_components` returns. The paper multiplies by the eigenvalue, not by its root, and so does this. Raises
    ValueError for images that are not (N, 3, H, W) of floats.

    >>> components = torch.tensor([0.0, 0.0, 1.0]), torch.eye(3)  # all the variance is blue
    >>> colour_pca(torch.zeros(1, 3, 1, 1), torch.Generator().manual_seed(0), components=components).flatten()
    tensor([ 0.0000,  0.0000, -0.2179])
    """
    _colour(images)
    values, vectors = components
    draws = std * torch.randn(len(images), 3, generator=generator)
    colours = (draws * values.cpu()) @ vectors.cpu().T  # (N, 3)
    return images + colours.to(images)[:, :, None, None]


def _batch(images: torch.Tensor) -> torch.Tensor:
    if images.ndim != 4:
        raise ValueError(f"images has shape {tuple(images.shape)}; expected (N, C, H, W)")
    return images


def _colour(images: torch.Tensor) -> torch.Tensor:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images is {images.dtype} {tuple(images.shape)}; expected floats of shape (N, 3, H, W)")
    return images
