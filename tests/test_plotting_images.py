"""Sheets and tables show the images that they were given, and say what was done to those that are no images."""

import matplotlib.colors
import numpy as np
import pytest
import torch
from drawn import Brighter, check_text

from cnnlib.attacks import Fooling, Patch, Sticker, fgsm, random_signs
from cnnlib.inputs import Threat
from cnnlib.plotting import attacks, images, inside
from cnnlib.visualize import Neighbours, Patches


def grey(n=3, side=4):
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0))


def colour(n=3, side=4):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def shown(ax):
    """Return what an axes shows, (C, H, W)."""
    array = np.asarray(ax.images[0].get_array())
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def titles(fig):
    return [ax.get_title() for ax in fig.axes]


def test_a_sheet_shows_its_images_in_the_order_of_reading():
    for x in (grey(7), colour(7)):
        fig = images.sheet(x, titles=list("abcdefg"))
        assert len(fig.axes) == 10  # five columns
        for ax, image, title in zip(fig.axes, x, "abcdefg", strict=False):
            np.testing.assert_allclose(shown(ax), image)
            assert ax.get_title() == title
            assert ax.images[0].get_clim() == (0, 1) or len(image) == 3
            assert ax.images[0].get_interpolation() == "nearest"
        assert not any(ax.images or ax.axison for ax in fig.axes[7:])
        check_text(fig)


def test_a_sheet_takes_images_of_several_sizes_and_tensors_with_gradients():
    small, large = torch.zeros(3, 8, 12).requires_grad_(), np.ones((1, 150, 120))
    fig = images.sheet([small, large], columns=1)
    assert [ax.images[0].get_array().shape for ax in fig.axes] == [(8, 12, 3), (150, 120)]
    assert [ax.images[0].get_interpolation() for ax in fig.axes] == ["nearest", "auto"]
    assert len({ax.get_subplotspec().colspan.start for ax in fig.axes}) == 1


def test_a_table_names_its_rows_and_columns():
    fig = images.table({"image": grey(2), "layer 1": grey(1)}, titles=["a", "b"])
    first, second, third, nothing = fig.axes
    assert [first.get_ylabel(), third.get_ylabel()] == ["image", "layer 1"]
    assert titles(fig) == ["a", "b", "", ""]
    np.testing.assert_allclose(shown(second), grey(2)[1])
    assert not nothing.images
    check_text(fig)


def test_stretched_and_magnified_images():
    x = torch.tensor([[[[0.5, -1.5]]], [[[0.4, 0.6]]], [[[0.5, 0.5]]]])
    np.testing.assert_allclose(images.stretched(x).reshape(3, 2), [[0.5, 0], [0, 1], [0.5, 0.5]], atol=1e-6)
    for largest, factor in ((1.0, 0.5), (0.5, 1), (0.26, 1), (0.2, 2), (4 / 255, 20), (1e-3, 500), (0.0, 1)):
        change = np.array([[[[largest, -largest / 2]]]])
        seen, times = images.magnified(change)
        assert times == factor
        np.testing.assert_allclose(seen, 0.5 + factor * change)


def test_changes_show_image_change_and_sum():
    x, z = colour(2), colour(2).flip(0)
    fig = attacks.changes(x, 0.9 * x + 0.1 * z)
    assert titles(fig) == ["image", "change × 5", "attacked", "", "", ""]
    for row in range(2):
        before, change, after = (shown(ax) for ax in fig.axes[3 * row : 3 * row + 3])
        np.testing.assert_allclose(before, x[row], atol=1e-6)
        np.testing.assert_allclose(change, 0.5 + 5 * (after - before), atol=1e-6)
    check_text(fig)


LEVELS = torch.tensor([0.1, 0.45, 0.55, 0.9, 0.6])
X, Y = LEVELS.view(5, 1, 1, 1).expand(5, 1, 4, 4).clone(), torch.tensor([0, 0, 1, 1, 0])  # the last is misread


def test_attacked_images_have_verdicts_and_leave_out_what_was_misread():
    result = fgsm(Brighter(), X, Y, Threat(torch.inf, 0.1))
    fig = attacks.attacked(result, names=("dark", "light"), count=9)
    assert titles(fig)[:6] == [
        "image\ndark",
        "change × 5\nL∞ = 0.1",
        "attacked\nstill dark",
        "dark",
        "L∞ = 0.1",
        "→ light",
    ]
    assert titles(fig)[6::3] == ["light", "light"]
    np.testing.assert_allclose(shown(fig.axes[5]), X[1] + 0.1)
    assert len(attacks.attacked(result, count=1).axes) == 3
    check_text(fig)


def test_a_universal_perturbation_and_a_patch_stand_before_their_victims():
    chance = random_signs(X, Threat(torch.inf, 0.25))
    fig = attacks.universal(chance, chance.on(Brighter(), X, Y), count=3)
    assert titles(fig)[0] == "perturbation\n× 2"
    np.testing.assert_allclose(shown(fig.axes[0]), 0.5 + 2 * chance.perturbation[0])
    np.testing.assert_allclose(shown(fig.axes[1]), (X[0] + chance.perturbation[0]).clamp(0, 1))
    white = Patch(torch.ones(1, 1, 4, 4), Sticker(1.0, "square", degrees=0, scale=(1, 1)), torch.zeros(0), 0)
    fig = attacks.patch(white, white.on(Brighter(), X, Y), names=("dark", "light"))
    assert titles(fig)[:5] == [
        "the patch\n",
        "dark\n→ light",
        "dark\n→ light",
        "light\nstill light",
        "light\nstill light",
    ]
    assert (shown(fig.axes[1]) == 1).all()
    check_text(fig)


def test_fooling_images_have_their_confidence():
    found = Fooling(grey(2), torch.tensor([0.5, 0.99961]), torch.tensor([1, 1]))
    assert titles(attacks.fooling(found, torch.tensor([1, 0]), names=("cat", "dog"))) == ["dog\n50.0 %", "cat\n100.0 %"]


def patches(K=2, P=5):
    crops = torch.rand(K, P, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    none = torch.zeros(K, P, dtype=torch.int64)
    return Patches(torch.tensor([4, 7]), none.float(), none, none, none, crops)


def test_top_patches_read_like_lines_of_text():
    found = patches()
    fig = inside.top_patches(found)
    assert titles(fig) == ["channel 4", "channel 7"]
    mosaic = shown(fig.axes[1])[0]
    assert mosaic.shape == (13, 24)  # two rows of three, a white line between, and two at either side
    assert (mosaic[:, [0, 1, 22, 23]] == 1).all()
    mosaic = mosaic[:, 2:-2]
    np.testing.assert_allclose(mosaic[:6, 14:], found.crops[1, 2, 0])
    np.testing.assert_allclose(mosaic[7:, 7:13], found.crops[1, 4, 0])
    assert (mosaic[6] == 1).all()
    assert (mosaic[:, 6] == 1).all()
    assert (mosaic[7:, 14:] == 1).all()  # there is no sixth
    fig = inside.top_patches(found, -2 * found.crops)
    assert titles(fig) == ["channel 4", "led back to pixels", "channel 7", "led back to pixels"]
    half = 0.5 - 0.5 * found.crops[1] / found.crops[1].max()  # one scale for the channel, zero is mid-grey
    np.testing.assert_allclose(shown(fig.axes[3])[0, :6, 2:8], half[0, 0], atol=1e-6)


def test_attributions_are_blue_for_and_vermilion_against():
    x = colour(1, 8)
    maps = np.zeros((1, 2, 8, 8))
    maps[0, 0, 0, 0], maps[0, 1, 0, 1], maps[0, :, 0, 2] = 3, -3, (1.5, -1.5)
    fig = inside.attributions(x, {"signed": maps, "sizes": np.abs(maps)}, titles=["cat"])
    image, signed, sizes, bar = fig.axes
    blue, vermilion = (np.array(matplotlib.colors.to_rgb(inside.COLOURS[name])) for name in ("blue", "vermilion"))
    drawn = shown(signed).transpose(1, 2, 0)
    np.testing.assert_allclose(drawn[0, 0], blue, atol=1e-6)
    np.testing.assert_allclose(drawn[0, 1], vermilion, atol=1e-6)
    np.testing.assert_allclose(drawn[0, 2], 1, atol=0.01)  # the sum of the channels is zero
    np.testing.assert_allclose(shown(sizes)[:, 0, 2], (1 + blue) / 2, atol=0.01)  # the largest is half of the most
    assert [image.get_title(), image.get_ylabel(), signed.get_ylabel()] == ["cat", "image", "signed"]
    assert [text.get_text() for text in bar.get_xticklabels()] == ["negative", "0", "positive"]
    only = inside.attributions(x, {"sizes": np.abs(maps)}, over=True)
    assert [text.get_text() for text in only.axes[-1].get_xticklabels()] == ["0", "most"]
    luminance = (x[0] * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)
    np.testing.assert_allclose(shown(only.axes[1])[0, 5], 0.4 + 0.6 * luminance[5], atol=0.01)  # where the map is white
    check_text(fig)


def test_a_map_is_cut_where_99_percent_of_its_pixels_are():
    maps = np.ones((1, 1, 20, 20))
    maps[0, 0, 0, 0] = 1000  # one of four hundred
    drawn = shown(inside.attributions(grey(1, 20), {"map": maps}).axes[1])
    np.testing.assert_allclose(drawn, drawn[:, :1, :1].repeat(20, 1).repeat(20, 2))
    empty = shown(inside.attributions(grey(1, 20), {"map": 0 * maps}).axes[1])
    np.testing.assert_allclose(empty, 1, atol=0.01)


def test_neighbours_stand_beside_their_query():
    found = Neighbours(torch.tensor([[2, 0], [1, 2]]), torch.tensor([[0.5, 1.25], [0.0, 3.0]]))
    fig = inside.neighbours(colour(2), grey(3), found, names=["one", "two"])
    assert titles(fig) == ["query", "at 0.5", "at 1.25", "", "at 0", "at 3"]
    np.testing.assert_allclose(shown(fig.axes[1]), grey(3)[2])
    assert [fig.axes[place].get_ylabel() for place in (0, 3)] == ["one", "two"]


def test_bad_input_is_named():
    result = fgsm(Brighter(), X, 1 - Y, Threat(torch.inf, 0.1))
    result_of_none = fgsm(Brighter(), X[4:], Y[4:], Threat(torch.inf, 0.1))
    found = Neighbours(torch.tensor([[2, 0]]), torch.tensor([[0.5, 1.25]]))
    for call, says in (
        (lambda: images.sheet([]), "images is empty; expected at least one image"),
        (lambda: images.sheet(torch.zeros(2, 4, 4)), r"images has an image of shape \(4, 4\); expected \(1, H, W\)"),
        (lambda: images.sheet(torch.zeros(1, 2, 4, 4)), r"images has an image of shape \(2, 4, 4\)"),
        (lambda: images.sheet(2 * torch.ones(1, 1, 4, 4)), "images runs from 2 to 2; expected pixels from 0 to 1"),
        (lambda: images.sheet(torch.full((1, 1, 4, 4), torch.nan)), "images runs from nan to nan"),
        (lambda: images.sheet(grey(), titles=["a"]), "titles is 1 strings; expected one for each of 3 images"),
        (lambda: images.sheet(grey(), columns=0), "columns is 0"),
        (lambda: images.table({}), "rows is empty"),
        (lambda: images.table({"a": -grey()}), r"rows\['a'\] runs from -"),
        (lambda: images.table({"a": grey()}, titles=["x"]), "titles is 1 strings; expected one for each of 3 columns"),
        (lambda: attacks.changes(grey(2), grey(3)), r"changed is \(3, 1, 4, 4\); expected \(2, 1, 4, 4\)"),
        (
            lambda: attacks.changes(grey(2), grey(2), titles=[("", "", "")]),
            "titles has 1 rows; expected one for each of 2",
        ),
        (
            lambda: attacks.attacked(result, names=("dark",)),
            "names has 1 strings; expected one for each class, up to 1",
        ),
        (lambda: attacks.attacked(result, count=0), "count is 0"),
        (lambda: attacks.attacked(result_of_none), "result has no image that was attacked; expected at least one"),
        (
            lambda: attacks.fooling(Fooling(grey(2), *torch.ones(2, 2)), [1]),
            "y is 1 classes; expected one for each of 2 im",
        ),
        (lambda: inside.top_patches(patches(), torch.zeros(2, 5, 1, 3, 3)), r"projections is \(2, 5, 1, 3, 3\)"),
        (lambda: inside.attributions(grey(), {}), "maps is empty; expected at least one attribution"),
        (lambda: inside.attributions(grey(), {"a": grey(2)}), r"maps\['a'\] is \(2, 1, 4, 4\); expected finite"),
        (lambda: inside.attributions(grey(), {"a": grey() / 0}), r"maps\['a'\] is .*; expected finite numbers"),
        (lambda: inside.attributions(grey(), {"a": grey()}, titles=["b"]), "titles is 1 strings"),
        (lambda: inside.neighbours(grey(2), grey(), found), "queries is 2 images; expected 1, as found has"),
        (
            lambda: inside.neighbours(grey(1), grey(2), found),
            "images is 2 images; expected those of found, up to number 2",
        ),
        (lambda: inside.neighbours(grey(1), grey(), found, names=["a", "b"]), "names is 2 strings"),
    ):
        with pytest.raises(ValueError, match=says):
            call()
