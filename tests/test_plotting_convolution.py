"""The drawings say what the arrays say: notebooks are compared without their pictures, so this is their check."""

import numpy as np
import pytest

from cnnlib.ops_numpy import conv_transpose2d
from cnnlib.plotting import convolution as drawings

NUMBERS = np.arange(1.0, 10).reshape(3, 3)
SMALL = np.array([[1.0, 2], [3, 4]])
READ = np.array([[1, 1, 0], [1, 2, 0], [0, 0, 0]])
FLAT = np.ones((4, 4))
DISH = np.pad(np.ones((4, 4)), 2)

FIGURES = {
    "one_number": lambda: drawings.one_number(np.zeros((8, 8, 3)), np.ones((3, 5, 5)), -np.ones((3, 5, 5)), 10, (1, 2)),
    "one_map": lambda: drawings.one_map(np.zeros((8, 8, 3)), np.arange(16.0).reshape(4, 4), (1, 2), 5),
    "row_of_grids": lambda: drawings.row_of_grids({"a": NUMBERS, "b": -SMALL}, framed=[(0, 1)]),
    "windows_along_axis": lambda: drawings.windows_along_axis(7, 3, strides=(1, 2, 3)),
    "coverage": lambda: drawings.coverage({"a": READ, "b": READ + 1}),
    "shrinkage": lambda: drawings.shrinkage({"5×5": [12, 8, 4], "3×3": [12, 10]}),
    "border_images": lambda: drawings.border_images({"a": DISH, "b": DISH / 2}),
    "border_profiles": lambda: drawings.border_profiles({4: np.ones(3)}, {4: np.ones(3)}, {4: np.ones(3)}),
    "connections": lambda: drawings.connections(
        {"dense": np.arange(6).reshape(2, 3), "shared": np.eye(2, 3, dtype=int)}
    ),
    "channels": lambda: drawings.channels(np.zeros((4, 4, 3)), {"a": FLAT}),
    "stamps": lambda: drawings.stamps(SMALL, NUMBERS, stride=2),
    "flat_pictures": lambda: drawings.flat_pictures({"a": FLAT, "b": FLAT}),
    "contrasts": lambda: drawings.contrasts({"a": {"2": [1, 1, 1], "3": [1, 1, 1]}, "b": {"2": [0, 1]}}),
}


def words(ax):
    return [text.get_text().replace("−", "-") for text in ax.texts]


@pytest.mark.parametrize("name", FIGURES)
def test_text_can_be_read_on_a_phone(name):
    fig = FIGURES[name]()
    fig.canvas.draw()
    texts = [text for text in fig.findobj(match=lambda artist: hasattr(artist, "get_fontsize")) if text.get_text()]
    assert texts
    assert min(text.get_fontsize() for text in texts) >= 12
    assert fig.get_size_inches()[0] <= 7


def test_one_number_states_its_sums():
    window, weight = np.arange(75.0).reshape(3, 5, 5), np.stack([np.full((5, 5), c) for c in (1.0, 0, -1)])
    fig = drawings.one_number(np.zeros((32, 32, 3)), window, weight, 10, (12, 23))
    box = fig.axes[0].patches[0]
    assert (box.get_x(), box.get_y(), box.get_width()) == (23, 12, 5)
    lines = words(fig.axes[1])[0].splitlines()
    assert lines[0].endswith(": 300")
    assert lines[2:] == ["blue products: -1,550", "all 75: -1,250", "bias: 10", "output: -1,240"]


def test_the_place_of_the_window_is_framed_in_the_map():
    fig = drawings.one_map(np.zeros((8, 8, 3)), np.arange(16.0).reshape(4, 4) - 8, (1, 2), 5)
    frame, image = fig.axes[1].patches[0], fig.axes[1].images[0]
    assert (frame.get_x(), frame.get_y(), frame.get_width()) == (2, 1, 1)
    assert image.norm(0) == 0.5  # zero has the colour between those of the signs


def test_signs_have_colours_and_frames_are_drawn():
    fig = drawings.row_of_grids({"a": np.array([[2.0, -2]]), "b": np.array([[1.0, 0], [0, 0]])}, framed=[(0, 1)])
    positive, negative = (patch.get_facecolor() for patch in fig.axes[0].patches[:2])
    assert positive != negative
    frame = fig.axes[1].patches[-1]
    assert (frame.get_x(), frame.get_y(), frame.get_fill()) == (1, 0, False)
    fig.canvas.draw()
    left, right = (ax.get_window_extent().width / np.ptp(ax.get_xlim()) for ax in fig.axes)
    assert abs(left / right - 1) < 0.02  # cells of one size


def test_windows_end_where_they_must():
    fig = drawings.windows_along_axis(7, 3, strides=(1, 2, 3))
    assert [len(ax.lines) for ax in fig.axes] == [5, 3, 2]
    assert [sum(bool(patch.get_hatch()) for patch in ax.patches) for ax in fig.axes] == [0, 0, 1]
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "stride 1: 5 windows, all pixels read",
        "stride 2: 3 windows, all pixels read",
        "stride 3: 2 windows, pixel 6 unread",
    ]


def test_unread_pixels_are_hatched():
    fig = drawings.coverage({"a": READ})
    assert sum(bool(patch.get_hatch()) for patch in fig.axes[0].patches) == 5
    assert words(fig.axes[0]) == ["1", "1", "1", "2"]


def test_weights_are_counted_and_shared_ones_share_a_colour():
    fig = drawings.connections(
        {"local": np.array([[0, 1, -1], [-1, 2, 3]]), "shared": np.array([[0, 1, -1], [-1, 0, 1]])}
    )
    assert [ax.get_title().splitlines()[1] for ax in fig.axes] == ["4 weights", "2 weights"]
    colours = [patch.get_facecolor() for patch in fig.axes[1].patches]
    assert colours[0] == colours[4] != colours[1] == colours[5]
    assert words(fig.axes[1]) == ["0", "1", "0", "1"]


def test_stamps_add_up_to_the_transposed_convolution():
    fig = drawings.stamps(SMALL, NUMBERS, stride=2)
    output = conv_transpose2d(SMALL[None, None], NUMBERS[None, None], stride=2)[0, 0]
    by_title = {ax.get_title().split("\n")[0]: [float(word) for word in words(ax)] for ax in fig.axes}
    assert by_title["OUTPUT (large):"] == output.ravel().tolist()
    assert by_title["INPUT (small)"] == [1, 2, 3, 4]
    assert max(by_title["stamps on"]) == 4


def test_flat_pictures_come_out_in_one_grey():
    fig = drawings.flat_pictures({"a": FLAT, "b": -3 * FLAT})
    shades = {float(ax.images[0].norm(ax.images[0].get_array())[0, 0]) for ax in fig.axes[:2]}
    assert shades == {0.5}


def test_half_of_the_light_is_marked():
    ramp = np.tile(np.minimum(np.arange(16), np.arange(16)[::-1]) / 7, (16, 1))
    fig = drawings.border_images({"a": ramp, "b": ramp})
    points = np.concatenate([path.vertices for path in fig.axes[0].collections[0].get_paths()])
    left = points[points[:, 0] < 8, 0]
    np.testing.assert_allclose(
        left, 3.5 + 0.5
    )  # half of the centre's value lies at column 3.5, counted from its middle


def test_contrasts_draw_a_box_for_each_size_of_each_family():
    fig = drawings.contrasts({"a": {"2": [0, 1], "3": [0, 1]}, "b": {"2": [0, 1]}})
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]
    assert [[label.get_text() for label in ax.get_xticklabels()] for ax in fig.axes] == [["2", "3"], ["2"]]
