"""Generated shapes: where they lie, how large they are, and that nothing but the form tells the class."""

import numpy as np
import pytest

from cnnlib import data
from cnnlib.data.generated import _distance

CLASSES = range(len(data.SHAPE_CLASSES))


@pytest.fixture(scope="module")
def drawn():
    return data.shapes(3000, seed=0)


def test_types_and_shapes(drawn):
    assert [a.shape for a in drawn] == [(3000, 3, 32, 32), (3000,), (3000, 4), (3000, 32, 32)]
    assert [a.dtype for a in drawn] == [np.uint8, np.int64, np.int64, bool]
    assert np.bincount(drawn.labels).min() > 3000 / 6 - 5 * (3000 / 6 * 5 / 6) ** 0.5


@pytest.mark.parametrize(("size", "scale"), [(32, (0.4, 0.9)), (24, (0.2, 0.25)), (5, (0.8, 1.0)), (64, (0.1, 1.0))])
def test_a_box_is_the_smallest_around_its_mask(size, scale):
    _, _, boxes, masks = data.shapes(600, seed=1, size=size, scale=scale)
    for (left, top, right, bottom), mask in zip(boxes, masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_the_seed_decides_and_few_are_the_first_of_many():
    np.random.seed(3)  # noqa: NPY002 — the global state must not matter
    few, many = data.shapes(130, seed=7), data.shapes(300, seed=7)
    for a, b in zip(few, many, strict=True):
        assert np.array_equal(a, b[:130])
    other = data.shapes(130, seed=8)
    assert not np.array_equal(few.labels, other.labels)
    assert not np.array_equal(few.images, other.images)


def test_objects_have_the_size_asked_for():
    size = 96
    _, labels, boxes, masks = data.shapes(900, seed=2, size=size, scale=(0.5, 0.5))
    diameter, area = size / 2, masks.sum((1, 2)) / (np.pi * (size / 4) ** 2)
    extent = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    inner = np.sin(np.pi / 5) * 0.45 * 5 / np.pi  # a star is ten triangles between a point and an inner corner
    cross = (4 * 0.28 * 2 * (1 - 0.28**2) ** 0.5 - 4 * 0.28**2) / np.pi
    expected = {"circle": 1, "square": 2 / np.pi, "triangle": 27**0.5 / 4 / np.pi, "star": inner, "ring": 0.75}
    for label, name in enumerate(data.SHAPE_CLASSES):
        chosen = labels == label
        assert abs(area[chosen] - {**expected, "cross": cross}[name]).max() < 0.02, name
        assert extent[chosen].max() <= diameter + 1
        assert extent[chosen].min() >= diameter / 2**0.5 - 1
    assert abs(extent[labels == 0] - diameter).max() <= 1


def test_sizes_spread_between_the_two_fractions():
    _, labels, boxes, _ = data.shapes(2000, seed=3, size=64, scale=(0.25, 0.75))
    widths = (boxes[:, 2] - boxes[:, 0])[labels == 0]
    assert 15 <= widths.min() < 20
    assert 44 < widths.max() <= 49
    assert abs(widths.mean() - 32) < 2


def test_positions_and_angles_vary(drawn):
    centres = (drawn.boxes[:, :2] + drawn.boxes[:, 2:]) / 2
    assert np.all(drawn.boxes[:, :2] >= 0)
    assert np.all(drawn.boxes[:, 2:] <= 32)
    assert np.all(abs(centres.mean(0) - 16) < 0.5)
    assert np.all(centres.std(0) > 3)
    squares = drawn.labels == data.SHAPE_CLASSES.index("square")
    width = drawn.boxes[squares, 2] - drawn.boxes[squares, 0]
    filled = drawn.masks[squares].sum((1, 2)) / width**2  # 1 for a square on its side, 1/2 on a corner
    assert filled.min() < 0.6
    assert filled.max() > 0.9


def test_a_square_and_a_cross_pixel_by_pixel():
    x, y = np.meshgrid(np.arange(5.0) - 2, np.arange(5.0) - 2)
    radius = np.full((1, 1, 1), 2 * 2**0.5)  # the square reaches 2 to each side, along its axes
    square = _distance(np.array([1]), x[None], y[None], radius)[0]
    turned = abs(x + y) / 2**0.5, abs(x - y) / 2**0.5  # a point lies on the axis, so the sides do not
    assert np.allclose(square, np.maximum(*turned) - 2)
    cross = _distance(np.array([4]), x[None], y[None], np.full((1, 1, 1), 2.2))[0] < 0
    assert np.array_equal(cross, (x == 0) | (y == 0))


def test_the_class_does_not_show_in_the_colours(drawn):
    inner = drawn.masks[:, None] & np.ones((1, 3, 1, 1), bool)
    of_shape = np.sum(drawn.images, (2, 3), where=inner) / drawn.masks.sum((1, 2))[:, None]
    of_ground = np.sum(drawn.images, (2, 3), where=~inner) / (~drawn.masks).sum((1, 2))[:, None]
    colours = np.concatenate([of_shape, of_ground], 1)
    train, test = slice(2000), slice(2000, None)
    features = np.c_[np.ones(3000), colours / 255, (colours / 255) ** 2]
    targets = np.eye(len(CLASSES))[drawn.labels]
    weights = np.linalg.lstsq(features[train], targets[train], rcond=None)[0]
    right = ((features[test] @ weights).argmax(1) == drawn.labels[test]).mean()
    assert abs(right - 1 / 6) < 4 * (5 / 36 / 1000) ** 0.5
    # Equal means, too, of dark and of light ground: the spread between classes is what chance gives.
    dark = of_ground.max(1) < of_shape.max(1)
    for chosen in (dark, ~dark):
        for label in CLASSES:
            some = colours[chosen & (drawn.labels == label)]
            assert np.all(abs(some.mean(0) - colours[chosen].mean(0)) < 4.5 * colours[chosen].std(0) / len(some) ** 0.5)


def test_every_shape_stands_out_from_its_ground(drawn):
    images = drawn.images.astype(float)
    for image, mask in zip(images[:500], drawn.masks[:500], strict=True):
        contrast = abs(image[:, mask].mean(1) - image[:, ~mask].mean(1)).max()
        assert contrast > 25  # of 255


def test_edges_are_smooth():
    """Pixels on the edge of a shape lie between its colour and that of the ground."""
    images, _, _, masks = data.shapes(200, seed=4, size=64)
    edge = masks & ~(np.roll(masks, 1, 1) & np.roll(masks, -1, 1) & np.roll(masks, 1, 2) & np.roll(masks, -1, 2))
    deep = masks & ~edge
    nearer = 0
    for image, rim, inside, mask in zip(images.astype(float), edge, deep, masks, strict=True):
        shape, ground = image[:, inside].mean(1), image[:, ~mask].mean(1)
        along = (shape - ground) / ((shape - ground) ** 2).sum()
        share = along @ (image[:, rim] - ground[:, None])
        nearer += 0.6 < share.mean() < 0.95
    assert nearer > 190


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "n is 0; expected an integer of at least 1"),
        ({"n": 2.0}, "n is 2.0; expected an integer"),
        ({"seed": -1}, "seed is -1; expected an integer of at least 0"),
        ({"size": "32"}, "size is '32'; expected an integer"),
        ({"scale": 0.5}, "scale is 0.5; expected two fractions"),
        ({"scale": (0.5,)}, r"scale is \(0.5,\); expected two fractions"),
        ({"scale": (0.9, 0.4)}, r"scale is \(0.9, 0.4\); expected two fractions"),
        ({"scale": (0.5, 1.1)}, r"scale is \(0.5, 1.1\); expected two fractions"),
        ({"scale": (float("nan"), 1.0)}, "scale is .*; expected two fractions"),
        ({"scale": (0.1, 0.9)}, r"scale is \(0.1, 0.9\) and size 32; expected .* 4 pixels across, not 3.2"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        data.shapes(**{"n": 2, "seed": 0, **change})
