"""Winograd's minimal filtering: 3 × 3 convolutions at stride 1 with a quarter of the multiplications.

F(m, 3) computes m outputs of a 3-tap filter with m + 2 multiplications instead of 3m: y = Aᵀ[(G w) ⊙ (Bᵀ x)], exactly.
It is polynomial multiplication by evaluation at m + 1 points and infinity: Bᵀ and G evaluate, Aᵀ interpolates. In two
dimensions the transforms act on both axes, (Bᵀ ⊗ Bᵀ), an m × m tile takes (m + 2)² multiplications, and with many
channels each of those is one matrix product over channels. For m = 4 that is 36 against 144. What is saved is paid for
in rounding: the points 0, ±1, ±2 make entries up to 8, and float32 errs by some 5e-6 instead of 5e-7.

The transforms themselves are matrix products. Gradients: grad_x is the convolution with the turned filter; grad_weight
is the exact adjoint, Gᵀ[(Bᵀ x) · (A g)] summed over the tiles.

Winograd, *Arithmetic Complexity of Computations* (1980), https://doi.org/10.1137/1.9781611970364; Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks" (2016), https://arxiv.org/abs/1509.09308, whose matrices these are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import channels_last, empty_channels_last
from cnnlib.fast.lowering import Reading, as_pixels, blocks, padded
from cnnlib.fast.products import multiply
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

PER_NANOSECOND = 40  # multiply-adds of the direct way that this way replaces
BLOCK = 4 << 20  # bytes of a block of tiles in its four forms: large products are worth more than the second cache
LEAST_TILES = 32  # of a block: fewer rows make slow products

# (Bᵀ, G, Aᵀ) of F(2, 3) and F(4, 3), of the points 0, 1, −1, ∞ and 0, 1, −1, 2, −2, ∞
MATRICES = {
    2: (
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
        ((1, 1, 1, 0), (0, 1, -1, -1)),
    ),
    4: (
        (
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        (
            (1 / 4, 0, 0),
            (-1 / 6, -1 / 6, -1 / 6),
            (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6),
            (0, 0, 1),
        ),
        ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    ),
}


class Transforms(NamedTuple):
    """The three transforms of F(m × m, 3 × 3), each both axes at once."""

    input: np.ndarray  # Bᵀ ⊗ Bᵀ, ((m + 2)², (m + 2)²)
    filter: np.ndarray  # G ⊗ G, ((m + 2)², 9)
    output: np.ndarray  # Aᵀ ⊗ Aᵀ, (m², (m + 2)²)


@functools.cache
def transforms(m: int, dtype: str) -> Transforms:
    """Return the transforms of F(m, 3), m = 2 or 4."""
    return Transforms(*(np.kron(matrix, matrix).astype(dtype) for matrix in MATRICES[m]))


def _reading(output_size: tuple[int, ...], top: int, left: int, m: int) -> Reading:
    """Say which tiles an image is cut into: (m + 2)², every m."""
    rows, columns = (-(-size // m) for size in output_size)
    return Reading(rows, columns, m + 2, m, top, m + 2, m, left, 1)


def _tile_blocks(images: int, reading: Reading, channels: int, itemsize: int) -> Iterator[tuple[slice, slice]]:
    """Cut a batch into blocks of tiles; `channels` counts those of all the forms that a block is held in."""
    tile = reading.taps**2 * channels * itemsize
    return blocks(images, reading.rows, reading.groups * tile, max(BLOCK, LEAST_TILES * tile))


def _transformed_tiles(
    image: np.ndarray, reading: Reading, rows: slice, transform: np.ndarray, buffers: Workspace
) -> np.ndarray:
    """Return (Bᵀ ⊗ Bᵀ) of the tiles of image (n, H, W, C), as ((m + 2)², tiles, C)."""
    n, _, _, C = image.shape
    t, m, count = reading.taps, reading.step, rows.stop - rows.start
    pixels = as_pixels(padded(image, reading, rows.start, rows.stop, buffers))
    per_image, down, right = pixels.strides
    shape = (t, t, n, count, reading.groups)
    tiles = buffers.take("tiles", (*shape, C), image.dtype)
    as_pixels(tiles)[...] = as_strided(pixels, shape, (down, right, per_image, m * down, m * right))
    out = buffers.take("transformed", (t * t, n * count * reading.groups, C), image.dtype)
    multiply(transform, tiles.reshape(t * t, -1), out.reshape(t * t, -1))
    return out


def _correlate(
    x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, padding: tuple[int, int], y: np.ndarray, m: int
) -> None:
    """Write the convolution of x (N, C, H, W) with transformed filters ((m + 2)², C, F) into y (N, F, H', W')."""
    t, C, F = m + 2, x.shape[1], y.shape[1]
    reading = _reading(y.shape[2:], *padding, m)
    to_tiles, _, to_outputs = transforms(m, x.dtype.name)

    def work(part: slice, buffers: Workspace) -> None:
        image, out = channels_last(x[part]), channels_last(y[part])
        for images, rows in _tile_blocks(out.shape[0], reading, 2 * C + 2 * F, x.itemsize):
            seen = _transformed_tiles(image[images], reading, rows, to_tiles, buffers)
            products = buffers.take("products", (t * t, seen.shape[1], F), x.dtype)
            multiply(seen, filters, products)
            outputs = buffers.take("outputs", (m * m, seen.shape[1] * F), x.dtype)
            multiply(to_outputs, products.reshape(t * t, -1), outputs)
            if bias is not None:
                outputs.reshape(-1, F)[...] += bias
            block = out[images, rows.start * m : rows.stop * m]
            _swap_tiles(outputs.reshape(m, m, block.shape[0], -1, reading.groups, F), block, write=True)

    over_batch(work, x.shape[0], y.size * C * 9 / PER_NANOSECOND)


def _swap_tiles(tiles: np.ndarray, image: np.ndarray, *, write: bool) -> None:
    """Copy tiles (m, m, n, rows, columns, F) into image (n, H, W, F), or out of it, with zeros beyond it."""
    m = tiles.shape[0]
    for a, b in np.ndindex(m, m):
        pixels, tile = image[:, a::m, b::m], tiles[a, b]
        inside = tile[:, : pixels.shape[1], : pixels.shape[2]]
        if write:
            as_pixels(pixels)[...] = as_pixels(inside)
        else:
            tile[:, pixels.shape[1] :], tile[:, :, pixels.shape[2] :] = 0, 0
            inside[...] = pixels


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry, m: int = 4) -> np.ndarray:
    """Compute `conv2d` of 3 × 3 filters at stride 1, for one group and dilation 1, in tiles of m × m."""
    F, C = weight.shape[:2]
    filters = transforms(m, x.dtype.name).filter @ weight.transpose(2, 3, 1, 0).reshape(9, C * F)
    y = empty_channels_last((x.shape[0], F, *geometry.output_size), x.dtype)
    (top, _), (left, _) = geometry.padding
    _correlate(x, filters.reshape(-1, C, F), bias, (top, left), y, m)
    return y


def grad_x(
    grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, input_size: tuple[int, int], m: int = 4
) -> np.ndarray:
    """Compute the gradient of x: the convolution of grad_output, padded by 2 − p, with the filters turned by 180°."""
    F, C = weight.shape[:2]
    turned = weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1).reshape(9, F * C)
    filters = transforms(m, weight.dtype.name).filter @ turned
    gradient = empty_channels_last((grad_output.shape[0], C, *input_size), grad_output.dtype)
    (top, _), (left, _) = geometry.padding
    _correlate(grad_output, filters.reshape(-1, F, C), None, (2 - top, 2 - left), gradient, m)
    return gradient


def grad_weight(
    grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, shape: tuple[int, ...], m: int = 4
) -> np.ndarray:
    """Compute the gradient of the weight: the adjoint, in the filters, of transforming, multiplying, transforming."""
    t, (F, C) = m + 2, shape[:2]
    (top, _), (left, _) = geometry.padding
    reading = _reading(geometry.output_size, top, left, m)
    to_tiles, of_filters, to_outputs = transforms(m, x.dtype.name)

    def work(part: slice, buffers: Workspace) -> np.ndarray:
        image, upstream = channels_last(x[part]), channels_last(grad_output[part])
        total = np.zeros((t * t, C, F), x.dtype)
        partial = buffers.take("partial", total.shape, x.dtype)
        for images, rows in _tile_blocks(image.shape[0], reading, 2 * C + 2 * F, x.itemsize):
            seen = _transformed_tiles(image[images], reading, rows, to_tiles, buffers)
            block = upstream[images, rows.start * m : rows.stop * m]
            gradients = buffers.take("outputs", (m * m, seen.shape[1] * F), x.dtype)
            _swap_tiles(gradients.reshape(m, m, block.shape[0], -1, reading.groups, F), block, write=False)
            products = buffers.take("products", (t * t, seen.shape[1], F), x.dtype)
            multiply(to_outputs.T, gradients, products.reshape(t * t, -1))
            total += multiply(seen.swapaxes(1, 2), products, partial)
        return total

    parts = over_batch(work, x.shape[0], grad_output.size * C * 9 / PER_NANOSECOND)
    total = of_filters.T @ sum(parts[1:], start=parts[0]).reshape(t * t, C * F)
    return total.reshape(3, 3, C, F).transpose(3, 2, 0, 1)
