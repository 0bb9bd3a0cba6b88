"""HOG and SIFT-like descriptors against loops over pixels, and what they do not change under."""

from math import atan2, exp, floor, hypot, pi

import numpy as np
import pytest

from cnnlib.features import hog, sift


def by_loops(image, *, cell, cells, bins, step, turn):
    """Return (rows, columns, cells · cells · bins) of one image (C, H, W): each pixel votes for eight neighbours."""
    _, height, width = image.shape
    window = cell * cells
    rows, columns = ((size - window) // step + 1 for size in (height, width))
    y = np.zeros((rows, columns, cells, cells, bins))

    def pixel(plane, i, j):
        return plane[min(max(i, 0), height - 1), min(max(j, 0), width - 1)]

    def gradient(i, j):
        pairs = [(pixel(p, i, j + 1) - pixel(p, i, j - 1), pixel(p, i + 1, j) - pixel(p, i - 1, j)) for p in image]
        return max(pairs, key=lambda pair: hypot(*pair))

    for row, column, i, j in np.ndindex(rows, columns, window, window):
        across, down = gradient(row * step + i, column * step + j)
        distance = (i + 0.5 - window / 2) ** 2 + (j + 0.5 - window / 2) ** 2
        vote = hypot(across, down) * exp(-distance / (2 * (window / 2) ** 2))
        turns = atan2(down, across) / turn * bins
        for a, b, c in np.ndindex(cells, cells, 2):
            near = max(0, 1 - abs((i + 0.5) / cell - 0.5 - a)) * max(0, 1 - abs((j + 0.5) / cell - 0.5 - b))
            part = turns - floor(turns)
            y[row, column, a, b, (floor(turns) + c) % bins] += vote * near * (part if c else 1 - part)
    y = y.reshape(rows, columns, -1)
    y = np.minimum(y / np.linalg.norm(y, axis=-1, keepdims=True), 0.2)
    return y / np.linalg.norm(y, axis=-1, keepdims=True)


@pytest.mark.parametrize(("shape", "cell", "bins", "block"), [((1, 13, 9), 3, 9, 2), ((3, 8, 11), 2, 4, 3)])
def test_hog_is_what_each_pixel_votes(shape, cell, bins, block):
    images = np.random.default_rng(1).random((2, *shape))
    expected = [by_loops(image, cell=cell, cells=block, bins=bins, step=cell, turn=pi) for image in images]
    np.testing.assert_allclose(hog(images, cell=cell, bins=bins, block=block), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "step", "options"), [((1, 19, 16), 3, {}), ((2, 9, 7), 2, {"cell": 2, "cells": 3, "bins": 5})]
)
def test_sift_is_what_each_pixel_votes(shape, step, options):
    images = np.random.default_rng(2).random((2, *shape))
    sizes = {"cell": 4, "cells": 4, "bins": 8} | options
    expected = [by_loops(image, step=step, turn=2 * pi, **sizes) for image in images]
    np.testing.assert_allclose(sift(images, step=step, **options), expected, atol=1e-12)


def test_brightness_and_contrast_change_nothing():
    images = np.random.default_rng(3).random((2, 1, 16, 16))
    for describe in (hog, sift):
        np.testing.assert_allclose(describe(images / 2 + 0.2), describe(images), atol=1e-12)


def test_the_negative_is_the_same_to_hog_and_turned_by_half_to_sift():
    images = np.random.default_rng(4).random((2, 1, 16, 16))
    np.testing.assert_allclose(hog(1 - images), hog(images), atol=1e-12)
    turned = np.roll(sift(images).reshape(2, 16, 8), 4, axis=-1)
    np.testing.assert_allclose(sift(1 - images).reshape(2, 16, 8), turned, atol=1e-12)


def test_a_transposed_image_mirrors_the_directions_on_the_diagonal():
    images = np.random.default_rng(5).random((1, 1, 16, 16))
    there = sift(images).reshape(4, 4, 8)
    here = sift(images.swapaxes(2, 3)).reshape(4, 4, 8)
    np.testing.assert_allclose(here, there.swapaxes(0, 1)[..., (2 - np.arange(8)) % 8], atol=1e-12)


def test_what_is_flat_has_no_direction_and_what_is_faint_has_little():
    faint = np.zeros((1, 1, 16, 16))
    assert not sift(faint).any()
    faint[..., 8:] = 1e-9
    assert 0 < np.linalg.norm(sift(faint)) < 1e-3


def test_bytes_are_pixels_from_0_to_1_whatever_the_number_of_images():
    images = np.random.default_rng(6).integers(0, 256, (600, 1, 8, 8), dtype=np.uint8)
    y = hog(images, cell=4)
    assert y.dtype == np.float32
    assert y.shape == (600, 1, 1, 36)
    np.testing.assert_allclose(y, hog(images / 255, cell=4), atol=1e-5)
    np.testing.assert_array_equal(y[300:], hog(images[300:], cell=4))
    assert hog(images[:0], cell=4).shape == (0, 1, 1, 36)


@pytest.mark.parametrize("describe", [hog, sift])
@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((16, 16)), "images is float64 (16, 16); expected uint8, float32 or float64 of shape (N, C, H, W)"),
        (np.zeros((1, 1, 16, 16), int), "images is int64 (1, 1, 16, 16); expected uint8, float32 or float64"),
        ([[0.0]], "images is list; expected"),
        (np.zeros((1, 1, 16, 15)), "images is of shape (1, 1, 16, 15); expected at least 16 pixels a side"),
        (np.zeros((1, 0, 16, 16)), "images is of shape (1, 0, 16, 16); expected at least one channel"),
    ],
)
def test_other_images_are_refused(describe, images, told):
    with pytest.raises(ValueError, match=told.replace("(", r"\(").replace(")", r"\)")):
        describe(images)


@pytest.mark.parametrize("option", ["cell", "bins", "block"])
def test_hog_refuses_other_options(option):
    with pytest.raises(ValueError, match=f"{option} is 0; expected"):
        hog(np.zeros((1, 1, 16, 16)), **{option: 0})


@pytest.mark.parametrize("option", ["step", "cell", "bins", "cells"])
def test_sift_refuses_other_options(option):
    with pytest.raises(ValueError, match=f"{option} is 0; expected"):
        sift(np.zeros((1, 1, 16, 16)), **{option: 0})
