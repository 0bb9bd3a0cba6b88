"""Upsampling: worked examples, where its conventions part, and what it refuses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib.testing import assert_close


@both
def test_pixels_are_repeated(backend):
    x = backend.array([[[[1, 2], [3, -0.0]]]])
    y = backend.ops.upsample_nearest2d(x, size=(2, 5))
    assert_close(y, backend.array([[[[1, 1, 1, 2, 2], [3, 3, 3, 0, 0]]]]), rtol=0)
    assert np.signbit(np.asarray(y))[0, 0, 1].tolist() == [False, False, False, True, True]
    grad_x = backend.ops.upsample_nearest2d_backward(backend.array(np.ones((1, 1, 2, 5))), input_size=2, size=(2, 5))
    assert_close(grad_x, backend.array([[[[3, 2], [3, 2]]]]), rtol=0)
    down = backend.ops.upsample_nearest2d(backend.array([[[[0, 1, 2, 3, 4]]]]), size=(1, 2))
    assert_close(down, backend.array([[[[0, 2]]]]), rtol=0)


@both
@pytest.mark.parametrize(
    "sizes", [(2, (1, 2, 3, 4, 5, 6, 7, 8, 9)), (5, range(1, 40)), (27, (333,)), (39, range(1, 90))]
)
def test_nearest_rounds_where_torch_does(backend, sizes):
    pixels, outputs = sizes
    x = torch.arange(float(pixels)).reshape(1, 1, 1, pixels)
    mine = backend.array(x.numpy(), "float32")
    for output in outputs:
        ours = backend.ops.upsample_nearest2d(mine, size=(1, output))
        assert_close(ours, F.interpolate(x, size=(1, output)), rtol=0)
    for factor in (1.05, 1.2, 2.0, 2.1, 2.3, 2.5, 0.9):
        ours = backend.ops.upsample_nearest2d(mine, scale_factor=(1, factor))
        assert_close(ours, F.interpolate(x, scale_factor=(1.0, factor)), rtol=0)


@both
def test_edges_or_corners_are_aligned(backend):
    x = backend.array([[[[0, 6]]]])
    y = backend.ops.upsample_bilinear2d(x, size=(1, 4))  # at −¼ (the border), ¼, ¾, 5⁄4 (the border)
    assert_close(y, backend.array([[[[0, 1.5, 4.5, 6]]]]), rtol=0)
    y = backend.ops.upsample_bilinear2d(x, size=(1, 4), align_corners=True)
    assert_close(y, backend.array([[[[0, 2, 4, 6]]]]))
    square = backend.ops.upsample_bilinear2d(backend.array([[[[0, 2], [4, 6]]]]), size=3, align_corners=True)
    assert_close(square, backend.array([[[[0, 1, 2], [2, 3, 4], [4, 5, 6]]]]), rtol=0)
    grad_x = backend.ops.upsample_bilinear2d_backward(
        backend.array([[[[4, 8, 16, 32]]]]), input_size=(1, 2), size=(1, 4)
    )
    assert_close(grad_x, backend.array([[[[4 + 6 + 4, 2 + 12 + 32]]]]), rtol=0)


@both
def test_a_factor_is_not_the_ratio_of_the_sizes(backend):
    """⌊3 · 1.5⌋ = 4 pixels, but neighbours lie 1/1.5 apart, not 3/4: torch's `recompute_scale_factor=None`."""
    x = backend.array([[[[0, 3, 6]]]])
    y = backend.ops.upsample_bilinear2d(x, scale_factor=(1, 1.5))
    assert_close(y, backend.array([[[[0, 1.5, 3.5, 5.5]]]]))
    assert_close(
        y, F.interpolate(torch.tensor([[[[0.0, 3, 6]]]], dtype=torch.float64), scale_factor=(1.0, 1.5), mode="bilinear")
    )


@both
@pytest.mark.parametrize("name", ["upsample_nearest2d", "upsample_bilinear2d"])
def test_bad_input_is_named(backend, name):
    up, x = getattr(backend.ops, name), backend.array(np.ones((1, 1, 2, 4)))
    backward = getattr(backend.ops, f"{name}_backward")
    for call, message in (
        (lambda: up(x), "size is None and scale_factor None; expected one of them"),
        (lambda: up(x, size=2, scale_factor=2), "size is 2 and scale_factor 2; expected one of them"),
        (lambda: up(x, size=0), "size is 0"),
        (lambda: up(x, size=(1, 2, 3)), r"size is \(1, 2, 3\); expected an integer or 2 integers"),
        (lambda: up(x, size=2.0), "size is 2.0"),
        (lambda: up(x, scale_factor=0.4), "scale_factor is 0.4; expected to leave at least one of 2 pixels"),
        (lambda: up(x, scale_factor=(2, -1)), r"scale_factor is \(2, -1\); expected to leave"),
        (lambda: up(x, scale_factor=(1, 2, 3)), r"scale_factor is \(1, 2, 3\); expected a number or two"),
        (lambda: up(x, scale_factor=np.inf), "scale_factor is inf"),
        (lambda: up(x, scale_factor="2"), "scale_factor is '2'"),
        (lambda: up(x[0], size=2), r"x has shape \(1, 2, 4\); expected 4 axes"),
        (lambda: up(backend.array(np.ones((1, 1, 2, 0))), size=2), "expected no axis but N to be empty"),
        (lambda: backward(x, input_size=2, size=2), r"grad_output has shape \(1, 1, 2, 4\); expected \(1, 1, 2, 2\)"),
        (lambda: backward(x, input_size=0, size=2), "input_size is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
