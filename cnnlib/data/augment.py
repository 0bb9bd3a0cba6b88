"""The augmentations of the papers, as functions of a batch and a generator.

images are (N, C, H, W) tensors, on any device; the generator is torch's, on the CPU, so that a seed means the same on
every device. All return new tensors of the same shape and type, and raise ValueError for images of another rank.
"""

from __future__ import annotations

import torch

from cnnlib.checks import choice
from cnnlib.geometry import as_int


def random_crop(
    images: torch.Tensor, generator: torch.Generator, *, padding: int = 4, mode: str = "constant"
) -> torch.Tensor:
    """Pad every side, then cut the old size out at a place drawn for each image.

    He et al. (2016), section 4.2, https://arxiv.org/abs/1512.03385, with 4 pixels. All (2 · padding + 1)² places are
    equally likely. The `mode` "constant" pads with zeros; these are black where 0 is, and the mean colour where the
    mean was taken off before, as in the paper. "reflect" mirrors the image at its edges instead. Any dtype. Raises
    ValueError for a negative padding, another mode, and a mirror image that is larger than the image.

    >>> random_crop(torch.ones(2, 3, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 8, 8])
    """
    padding = as_int("padding", padding, 0)
    (n, _, h, w), device = _batch(images).shape, images.device
    choice("mode", mode, ("constant", "reflect"))
    if mode == "reflect" and padding >= min(h, w):
        raise ValueError(f"padding is {padding}; expected less than {min(h, w)}, to mirror images of {h} × {w}")
    padded = torch.nn.functional.pad(images, (padding,) * 4, mode=mode)
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
    """Crop after padding by 4, then mirror, as He et al. (2016) do on CIFAR-10, where 0 is the mean and not black."""
    return random_flip(random_crop(images, generator), generator)


def reflect_and_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Crop after padding by 4 with the image's own reflection, then mirror: no black edges.

    Zagoruyko and Komodakis (2016), section 3, https://arxiv.org/abs/1605.07146.
    """
    return random_flip(random_crop(images, generator, mode="reflect"), generator)


def cutout(images: torch.Tensor, generator: torch.Generator, *, size: int = 16) -> torch.Tensor:
    """Paint a square of `size` × `size` pixels over each image, in its mean colour, centred at a pixel drawn for it.

    DeVries and Taylor (2017), https://arxiv.org/abs/1708.04552, who take 16 of CIFAR-10's 32 pixels and the mean colour
    of the data. The square may lie partly outside. Raises ValueError for a negative size.

    >>> cutout(torch.tensor([4, 0, 2, 2, 7, 3]).view(1, 1, 1, 6), torch.Generator().manual_seed(0), size=2).flatten()
    tensor([4, 0, 3, 3, 7, 3])
    """
    size = as_int("size", size, 0)
    n, _, h, w = _batch(images).shape
    top = torch.randint(h, (n, 1), generator=generator) - size // 2
    left = torch.randint(w, (n, 1), generator=generator) - size // 2
    rows = (torch.arange(h) >= top) & (torch.arange(h) < top + size)  # (N, H)
    columns = (torch.arange(w) >= left) & (torch.arange(w) < left + size)  # (N, W)
    square = (rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
    return torch.where(square, images.double().mean((2, 3), keepdim=True).to(images.dtype), images)


def reflect_flip_and_cutout(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Crop and mirror with reflected edges, then paint over a square of 8 × 8: half the usual side, for small nets."""
    return cutout(reflect_and_flip(images, generator), generator, size=8)


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
