"""Windows as columns: by hand, at NaN and infinity, and what unfold and fold refuse."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib.testing import assert_close

IMAGE = np.arange(1.0, 10).reshape(1, 1, 3, 3)
COLUMNS = [[[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]]


@both
def test_a_column_is_a_window(backend):
    ops, array = backend.ops, backend.array
    assert_close(ops.unfold(array(IMAGE), 2), array(COLUMNS), rtol=0)
    assert_close(ops.fold_backward(array(IMAGE), 2), array(COLUMNS), rtol=0)
    assert_close(
        ops.unfold(array(IMAGE), (1, 2), stride=2, padding=((0, 0), (1, 0))), array([[[0, 2, 0, 8], [1, 3, 7, 9]]])
    )
    assert_close(ops.unfold(array(IMAGE), 2, dilation=2), array([[[1], [3], [7], [9]]]), rtol=0)


@both
def test_channels_follow_one_another_in_a_column(backend):
    x = backend.array(np.stack([IMAGE[0, 0], 10 * IMAGE[0, 0]])[None])
    expected = np.concatenate([COLUMNS, np.multiply(COLUMNS, 10.0)], axis=1)
    assert_close(backend.ops.unfold(x, 2), backend.array(expected), rtol=0)


@both
def test_fold_counts_the_windows_over_each_pixel(backend):
    ops, array = backend.ops, backend.array
    counts = array([[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]])
    assert_close(ops.fold(array(np.ones((1, 4, 4))), 3, 2), counts, rtol=0)
    assert_close(ops.unfold_backward(array(np.ones((1, 4, 4))), 2, input_size=3), counts, rtol=0)
    uncovered = array([[[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]])
    assert_close(ops.fold(array(np.ones((1, 4, 1))), 3, 2, stride=2), uncovered, rtol=0)


@both
def test_the_columns_are_a_copy(backend):
    x = backend.array(IMAGE)
    columns = backend.ops.unfold(x, 1)
    columns += 1
    assert_close(x, backend.array(IMAGE), rtol=0)


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
def test_special_values_are_torchs(backend, value):
    x = IMAGE.copy()
    x[0, 0, 1, 1] = value
    theirs = F.unfold(torch.tensor(x), 2, padding=1)
    columns = backend.ops.unfold(backend.array(x), 2, padding=1)
    assert_close(columns, theirs.numpy(), rtol=0)
    assert (np.signbit(np.asarray(columns)) == np.signbit(theirs.numpy())).all()
    assert_close(backend.ops.fold(columns, 3, 2, padding=1), F.fold(theirs, 3, 2, padding=1).numpy(), rtol=0)


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_batch_is_allowed(backend, dtype):
    ops = backend.ops
    x, columns = backend.array(np.ones((0, 2, 3, 3)), dtype), backend.array(np.ones((0, 8, 4)), dtype)
    assert_close(ops.unfold(x, 2), columns)
    assert_close(ops.fold(columns, 3, 2), x)
    assert_close(ops.unfold_backward(columns, 2, input_size=3), x)
    assert_close(ops.fold_backward(x, 2), columns)


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    with pytest.raises(ValueError, match=r"x has shape \(1, 3, 3\); expected 4 axes \(N, C, H, W\)"):
        ops.unfold(array(IMAGE[0]), 2)
    with pytest.raises(ValueError, match="x has dtype int64; expected float32 or float64"):
        ops.unfold(array(IMAGE, "int64"), 2)
    with pytest.raises(ValueError, match="kernel_size is 4 along the height; expected a span of at most 3"):
        ops.unfold(array(IMAGE), 4)
    with pytest.raises(ValueError, match=r"x has shape \(1, 1, 0, 3\); expected no axis but N to be empty"):
        ops.unfold(array(np.ones((1, 1, 0, 3))), 1)
    with pytest.raises(
        ValueError, match=r"grad_output has shape \(1, 4, 3\); expected 4 in its third axis, the windows"
    ):
        ops.unfold_backward(array(np.ones((1, 4, 3))), 2, input_size=3)
    with pytest.raises(
        ValueError, match=r"x has shape \(1, 5, 4\); expected a multiple of 4 in its second axis, the taps"
    ):
        ops.fold(array(np.ones((1, 5, 4))), 3, 2)
    with pytest.raises(ValueError, match=r"x has shape \(4, 4\); expected 3 axes \(N, C · kh · kw, L\)"):
        ops.fold(array(np.ones((4, 4))), 3, 2)
    with pytest.raises(ValueError, match="output_size is 0; expected an integer of at least 1"):
        ops.fold(array(np.ones((1, 4, 4))), 0, 2)
    with pytest.raises(ValueError, match=r"grad_output has shape \(1, 4, 4\); expected 4 axes"):
        ops.fold_backward(array(np.ones((1, 4, 4))), 2)
