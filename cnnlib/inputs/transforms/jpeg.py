"""JPEG, as a file would have the image, with a gradient through its rounding."""

from __future__ import annotations

from math import pi

import torch
from torch.nn import functional as F

from cnnlib.checks import number
from cnnlib.inputs.transforms.chain import Range, Transform, checked

# ITU-T T.81 (1992), tables K.1 and K.2: how coarsely each frequency is rounded, at quality 50; down, then across.
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))  # JFIF 1.02
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def jpeg(x: torch.Tensor, quality: int) -> torch.Tensor:
    """Return images (N, 1 or 3, H, W) in [0, 1] as they are after compression, with colours at full resolution (4:4:4).

    ITU-T T.81 (1992): blocks of 8 × 8, their cosine transform, divided by a table and rounded. The `quality` from 1 to
    100 scales the tables as the Independent JPEG Group's library does. The values are the file's; the gradient is that
    of Shin and Song's rounding (2017, https://machine-learning-and-security.github.io/papers/mlsec17_paper_54.pdf),
    round(z) + (z − round(z))³: none where a frequency is lost, most where it is about to return. Raises ValueError for
    another quality or number of channels.

    >>> jpeg(torch.full((1, 1, 8, 8), 0.5), 50).unique()
    tensor([0.5020])
    """
    if not 1 <= number("quality", quality) <= 100 or quality != int(quality):
        raise ValueError(f"quality is {quality!r}; expected an integer from 1 to 100")
    channels = x.shape[1]
    if channels not in (1, 3):
        raise ValueError(f"x has {channels} channels; expected 1 or 3, grey or red, green, blue")
    h, w = x.shape[2:]
    grey = torch.tensor([0.0, 128, 128]).to(x).view(3, 1, 1)  # where a file has the colours of a grey pixel
    pixels = _whole(255 * F.pad(x, (0, -w % 8, 0, -h % 8), mode="replicate"))
    if channels == 3:
        pixels = _whole(_mixed(pixels, TO_YCBCR) + grey)
    tables = torch.stack([_table(LUMINANCE, quality), *[_table(CHROMINANCE, quality)] * (channels - 1)])
    pixels = _whole(_compressed(pixels - 128, tables.to(x)) + 128).clamp(0, 255)
    if channels == 3:
        pixels = _whole(_mixed(pixels - grey, TO_RGB)).clamp(0, 255)
    return pixels[..., :h, :w] / 255


def random_jpeg(quality: Range = (50, 95)) -> Transform:
    """Return a transform that compresses with a quality in a range; ValueError for a range beyond 1 to 100."""
    least, most = (round(end) for end in checked("quality", quality, 1, 100))
    return lambda x, generator: jpeg(x, int(torch.randint(least, most + 1, (1,), generator=generator)))


def _table(base: tuple[int, ...], quality: int) -> torch.Tensor:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(base) * percent + 50) // 100).clamp(1, 255).view(8, 8)


def _cosines() -> torch.Tensor:
    """Return the orthonormal cosine transform of eight numbers, (8, 8)."""
    k, n = torch.arange(8.0, dtype=torch.float64)[:, None], torch.arange(8.0, dtype=torch.float64)
    return torch.where(k == 0, 0.125**0.5, 0.5 * torch.cos((2 * n + 1) * k * pi / 16))


def _mixed(pixels: torch.Tensor, matrix: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    return torch.einsum("dc,nchw->ndhw", torch.tensor(matrix).to(pixels), pixels)


def _compressed(pixels: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Return pixels (N, C, H, W) with the frequencies of each block rounded to multiples of tables (C, 8, 8)."""
    cosines, tables = _cosines().to(pixels), tables[:, None, None]
    blocks = pixels.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)  # (N, C, rows, columns, 8, 8)
    kept = tables * _rounded(cosines @ blocks @ cosines.T / tables)
    return (cosines.T @ kept @ cosines).transpose(3, 4).flatten(4).flatten(2, 3)


def _whole(z: torch.Tensor) -> torch.Tensor:
    """Return whole numbers, with the gradient of z: pixels are rounded so finely that an attack need not care."""
    return z + (z.round() - z).detach()


def _rounded(z: torch.Tensor) -> torch.Tensor:
    """Return whole numbers, with the gradient of round(z) + (z − round(z))³."""
    whole = (z.detach().abs() + (0.5 + 1e-6)).floor() * z.detach().sign()
    smooth = (z - whole) ** 3
    return whole + smooth - smooth.detach()
