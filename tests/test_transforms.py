"""What happens to an image before a camera has it in a file."""

import io

import numpy as np
import pytest
import torch

from cnnlib import data
from cnnlib.inputs.transforms import (
    affine,
    blur,
    compose,
    jpeg,
    levels,
    perspective,
    random_affine,
    random_blur,
    random_colour,
    random_jpeg,
    random_light,
    random_noise,
    random_perspective,
    random_rescale,
    rescale,
    views,
)
from cnnlib.inputs.transforms.jpeg import CHROMINANCE, LUMINANCE, _table

DRAWN = {
    "affine": random_affine(),
    "perspective": random_perspective(),
    "rescale": random_rescale(),
    "light": random_light(),
    "colour": random_colour(),
    "blur": random_blur(),
    "noise": random_noise(),
    "jpeg": random_jpeg(),
    "all": compose(random_affine(), random_light(), random_blur(), random_jpeg()),
}
every_transform = pytest.mark.parametrize("transform", DRAWN.values(), ids=DRAWN)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=2, channels=3, height=12, width=10):
    return torch.rand(n, channels, height, width, generator=seeded(1), dtype=torch.float64)


def test_doing_nothing_gives_the_image_back():
    x = images()
    black_and_white = (x > 0.5).double()
    for same in (
        affine(x),
        perspective(x, torch.zeros(4, 2)),
        rescale(x, 1.0),
        blur(x, 0),
        levels(x),
        compose()(x, seeded()),
    ):
        torch.testing.assert_close(same, x, rtol=0, atol=1e-12)
    for channels in (1, 3):
        flat = black_and_white[:, :channels].mean((1, 2, 3), keepdim=True).mul(255).round().div(255)
        flat = flat.expand(2, channels, 12, 10)
        torch.testing.assert_close(jpeg(flat, 100), flat, rtol=0, atol=1e-12)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_exact(quarters):
    x = images(height=9, width=9)
    turned = affine(x, degrees=90.0 * quarters)
    torch.testing.assert_close(turned, torch.rot90(x, quarters, (2, 3)), rtol=0, atol=1e-12)
    oblong = images()
    torch.testing.assert_close(affine(oblong, degrees=180), oblong.flip(2, 3), rtol=0, atol=1e-12)


def test_shifts_by_whole_pixels_are_exact():
    x = images()
    moved = affine(x, shift=(0.2, -0.25))  # 2 of 10 to the right, 3 of 12 up
    torch.testing.assert_close(moved[:, :, :9, 2:], x[:, :, 3:, :8], rtol=0, atol=1e-12)
    assert moved[:, :, 9:].abs().max() < 1e-12
    assert moved[:, :, :, :2].abs().max() < 1e-12
    border = affine(x, shift=(0.2, 0), outside="border")
    torch.testing.assert_close(border[:, :, :, :2], x[:, :, :, :1].expand(-1, -1, -1, 2), rtol=0, atol=1e-12)


def test_scaling_is_about_the_middle():
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    x[:, :, 3:5, 3:5] = 1
    assert torch.equal(affine(x, scale=2)[0, 0].ge(0.5).nonzero().aminmax(dim=0).min, torch.tensor([2, 2]))
    ramp = torch.arange(8.0, dtype=torch.float64).expand(1, 1, 8, 8)
    torch.testing.assert_close(affine(ramp, scale=2)[0, 0, 4], 3.5 + (ramp[0, 0, 4] - 3.5) / 2, rtol=0, atol=1e-12)


def test_each_image_may_have_its_own_numbers():
    x = images(height=9, width=9)
    together = affine(x, degrees=torch.tensor([90.0, 30.0]), scale=torch.tensor([1.0, 0.7]))
    torch.testing.assert_close(together[:1], affine(x[:1], degrees=90), rtol=0, atol=1e-12)
    torch.testing.assert_close(together[1:], affine(x[1:], degrees=30, scale=0.7), rtol=0, atol=1e-6)


def test_perspective_moves_corners_and_keeps_lines():
    x = images()
    shift = torch.tensor([[0.2, -0.25]]).expand(4, 2)
    torch.testing.assert_close(perspective(x, shift), affine(x, shift=(0.2, -0.25)), rtol=0, atol=1e-6)
    # squeezed at the top to half its width: a ramp from left to right stays straight in every row, steeper above
    ramp = torch.linspace(-1, 1, 40, dtype=torch.float64).expand(1, 1, 40, 40)
    seen = perspective(ramp, torch.tensor([[0.25, 0], [-0.25, 0], [0, 0], [0, 0]]), outside="border")[0, 0]
    inner = seen[:, 14:26]
    assert inner.diff(dim=1).diff(dim=1).abs().max() < 1e-9
    widths = 1 / inner.diff(dim=1)[:, 0]  # grow evenly from row to row, as the sides are straight
    torch.testing.assert_close(widths.diff(), widths.diff().mean().expand(39), rtol=0, atol=1e-9)
    assert widths[-1] / widths[0] == pytest.approx((3 + 39 / 40) / (3 - 39 / 40))
    # the diagonals of the trapezium meet a third of the way down: there lies the middle of the image
    rows = perspective(ramp.mT, torch.tensor([[0.25, 0], [-0.25, 0], [0, 0], [0, 0]]))[0, 0, :, 20]
    assert rows[12].lerp(rows[13], 40 / 3 - 0.5 - 12).abs() < 2e-3


def test_blur_is_a_gaussian():
    x = torch.zeros(1, 2, 21, 21, dtype=torch.float64)
    x[:, :, 10, 10] = 1
    seen = blur(x, 1.5)
    at = torch.arange(-10.0, 11, dtype=torch.float64)
    profile = torch.exp(-(at**2) / (2 * 1.5**2)) * (at.abs() <= 6)
    profile /= profile.sum()
    torch.testing.assert_close(seen[0, 1], profile[:, None] * profile, rtol=0, atol=1e-12)
    constant = torch.full((1, 1, 8, 8), 0.3, dtype=torch.float64)
    torch.testing.assert_close(blur(constant, 2.5), constant, rtol=0, atol=1e-12)


def as_file(pixels, quality):
    """Pixels (H, W) or (H, W, 3) of bytes, after Pillow's compression."""
    image = pytest.importorskip("PIL.Image")
    stored = io.BytesIO()
    image.fromarray(pixels).save(stored, "JPEG", quality=quality, subsampling=0)
    return np.asarray(image.open(stored)).astype(int)


def near_ties(pixels, table):
    """How far a pixel of each block can be off where an encoder of integers rounds a frequency the other way."""
    k, n = np.arange(8)[:, None], np.arange(8)
    cosines = np.where(k == 0, 8**-0.5, 0.5 * np.cos((2 * n + 1) * k * np.pi / 16))
    blocks = pixels.reshape(len(pixels) // 8, 8, -1, 8).swapaxes(1, 2) - 128.0
    ratios = cosines @ blocks @ cosines.T / table
    close = np.abs(np.abs(ratios - np.round(ratios)) - 0.5) < 0.6 / table  # its transform is off by as much
    return (close * table / 4).sum((2, 3))


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 90, 100])
def test_jpeg_of_grey_is_pillows(quality):
    image = pytest.importorskip("PIL.Image")
    pixels = data.shapes(1, seed=quality, size=64).images[0, 0]
    stored = io.BytesIO()
    image.fromarray(pixels).save(stored, "JPEG", quality=quality)
    table = np.array(image.open(stored).quantization[0]).reshape(8, 8)
    mine = 255 * jpeg(torch.from_numpy(pixels)[None, None].double() / 255, quality)[0, 0].numpy()
    assert np.allclose(mine, mine.round(), atol=1e-9)
    off = np.abs(mine - as_file(pixels, quality))
    assert (off.reshape(8, 8, 8, 8).max((1, 3)) <= 1 + near_ties(pixels, table) + 1e-9).all()
    assert off.mean() < 0.5


@pytest.mark.parametrize("quality", [1, 13, 49, 50, 77, 100])
def test_the_tables_are_pillows(quality):
    image = pytest.importorskip("PIL.Image")
    stored = io.BytesIO()
    image.new("RGB", (8, 8)).save(stored, "JPEG", quality=quality)
    for number, base in enumerate((LUMINANCE, CHROMINANCE)):
        assert image.open(stored).quantization[number] == _table(base, quality).flatten().tolist()


@pytest.mark.parametrize("quality", [5, 50, 90])
def test_jpeg_of_colour_is_pillows(quality):
    pixels = data.shapes(1, seed=3, size=61).images[0].transpose(1, 2, 0)[:, :43]  # no multiples of 8
    mine = 255 * jpeg(torch.from_numpy(pixels).permute(2, 0, 1)[None].double() / 255, quality)[0].permute(1, 2, 0)
    off = np.abs(mine.numpy() - as_file(pixels, quality))
    assert (off <= 2).mean() >= 0.95
    assert off.mean() < 0.8


def test_the_gradient_of_jpeg_points_where_the_file_goes():
    x = images(1, 3, 16, 16).requires_grad_()
    towards = images(1, 3, 16, 16).flip(2, 3)
    (gradient,) = torch.autograd.grad((jpeg(x, 75) * towards).sum(), x)
    step = 0.05 * gradient / gradient.abs().max()
    with torch.no_grad():
        gain = ((jpeg((x + step).clamp(0, 1), 75) - jpeg(x, 75)) * towards).sum()
        assert gain > 0.3 * (step * gradient).sum() > 0


@every_transform
def test_drawn_views(transform):
    x = images(3).float().requires_grad_()
    seen = transform(x, seeded(5))
    assert seen.shape == x.shape
    assert seen.dtype == x.dtype
    assert -1e-6 <= seen.min() <= seen.max() <= 1 + 1e-6
    assert torch.equal(seen, transform(x, seeded(5)))
    assert not torch.equal(seen, transform(x, seeded(6)))
    torch.testing.assert_close(transform(x[1:2], seeded(5)), seen[1:2], rtol=0, atol=1e-6)  # the same draws for all
    (gradient,) = torch.autograd.grad(seen.sum(), x)
    assert gradient.isfinite().all()
    assert gradient.any()
    before = torch.get_rng_state()
    assert transform(x[:0], seeded()).shape == (0, 3, 12, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_views_stand_one_after_the_other_each_with_its_own_draws():
    x = images(2).float()
    generator = seeded(3)
    first, second = (DRAWN["affine"](x, generator) for _ in range(2))
    assert torch.equal(views(DRAWN["affine"], 2)(x, seeded(3)), torch.cat([first, second]))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: random_affine(degrees=-1), "degrees is -1; expected a number from 0 to 180"),
        (lambda: random_affine(scale=(0, 1)), r"scale is \(0, 1\); expected two numbers"),
        (lambda: random_affine(shift=2), "shift is 2; expected a number from 0 to 1"),
        (lambda: random_affine(outside="black"), "outside is 'black'; expected one of 'zeros'"),
        (lambda: random_perspective(0.25), "distance is 0.25; expected a number from 0 to 0.24"),
        (lambda: random_rescale((0.5, 1.5)), r"factor is \(0.5, 1.5\); expected two numbers, 0.001 ≤ least ≤ most ≤ 1"),
        (lambda: random_light(contrast=(2, 1)), r"contrast is \(2, 1\)"),
        (lambda: random_light(brightness=-1), "brightness is -1"),
        (lambda: random_colour(gain=1), "gain is 1; expected two numbers"),
        (lambda: random_colour(offset=7), "offset is 7"),
        (lambda: random_blur((-1, 1)), r"sigma is \(-1, 1\)"),
        (lambda: random_noise(-0.1), "std is -0.1"),
        (lambda: random_jpeg((0, 50)), r"quality is \(0, 50\)"),
        (lambda: jpeg(images(), 0), "quality is 0; expected an integer from 1 to 100"),
        (lambda: jpeg(images(channels=2), 50), "x has 2 channels; expected 1 or 3"),
        (lambda: blur(images(), -1), "sigma is -1; expected a number of at least 0"),
        (lambda: perspective(images(), torch.zeros(2, 4)), r"corners has shape \(2, 4\); expected \(4, 2\)"),
        (lambda: rescale(images(), 0.0), "factor is 0.0; expected a number above 0, at most 1"),
        (lambda: affine(images(), scale=0.0), "scale is 0; expected positive numbers"),
        (lambda: affine(images(), scale=torch.tensor([1.0, -1.0])), "scale is -1; expected positive numbers"),
        (lambda: affine(images(), degrees=torch.nan), "degrees is nan; expected finite numbers"),
        (lambda: views(DRAWN["jpeg"], 0), "count is 0; expected an integer of at least 1"),
    ],
)
def test_bad_parameters_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()
