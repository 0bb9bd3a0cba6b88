"""Sizes against brute force, and the decks' own numbers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cnnlib import geometry, shapes


def positions(size, kernel_size, stride, before, after, dilation):
    """Return every start at which a window fits into the padded axis: the definition."""
    span = dilation * (kernel_size - 1) + 1
    return [s for s in range(0, before + size + after, stride) if s + span <= before + size + after]


@given(*[st.integers(1, high) for high in (12, 5, 4)], st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))
def test_output_size_and_leftover_count_the_windows_that_fit(size, kernel_size, stride, before, after, dilation):
    starts = positions(size, kernel_size, stride, before, after, dilation)
    options = {"stride": stride, "padding": (before, after), "dilation": dilation}
    if not starts:
        with pytest.raises(ValueError, match="kernel_size is"):
            shapes.conv_output_size(size, kernel_size, **options)
        return
    assert shapes.conv_output_size(size, kernel_size, **options) == len(starts)
    end = starts[-1] + dilation * (kernel_size - 1) + 1
    assert shapes.conv_leftover(size, kernel_size, **options) == before + size + after - end


@given(*[st.integers(1, high) for high in (12, 5, 4)], st.integers(0, 2), st.booleans())
def test_pool_output_size_is_torchs(size, kernel_size, stride, padding, ceil_mode):
    options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    room = size + 2 * padding + (stride - 1 if ceil_mode else 0)
    if padding > kernel_size // 2 or kernel_size > room:
        with pytest.raises(ValueError, match=r"(kernel_size|padding) is"):
            shapes.pool_output_size(size, kernel_size, **options)
        return
    expected = F.max_pool1d(torch.zeros(1, 1, size), kernel_size, **options).shape[2]
    assert shapes.pool_output_size(size, kernel_size, **options) == expected


@given(*[st.integers(1, high) for high in (9, 5, 4)], st.integers(0, 1), st.integers(1, 3))
def test_transposed_convolution_undoes_the_size(size, kernel_size, stride, padding, dilation):
    """Every input size that a convolution maps to `size` is reached by one output_padding."""
    if dilation * (kernel_size - 1) + 1 + stride * (size - 1) - 2 * padding < 1:
        return
    for extra in range(stride):
        larger = shapes.conv_transpose_output_size(
            size, kernel_size, stride=stride, padding=padding, output_padding=extra, dilation=dilation
        )
        assert shapes.conv_output_size(larger, kernel_size, stride=stride, padding=padding, dilation=dilation) == size


def test_the_decks_sizes():
    assert [shapes.conv_output_size(7, 3, stride=s) for s in (1, 2, 3)] == [5, 3, 2]
    assert [shapes.conv_leftover(7, 3, stride=s) for s in (1, 2, 3)] == [0, 0, 1]
    assert shapes.conv_output_size(32, 5, padding=2) == 32
    assert shapes.conv_parameters(3, 10, 5) == 760
    assert shapes.conv_output_size(5, 2, padding=1) == 6
    assert shapes.conv_output_size(227, 11, stride=4) == shapes.conv_output_size(224, 11, stride=4, padding=2) == 55
    assert shapes.conv_output_size(224, 11, stride=4) == 54


def test_same_keeps_the_size_with_the_odd_zero_after():
    for kernel_size in range(1, 7):
        assert shapes.conv_output_size(9, kernel_size, padding="same") == 9
    assert geometry.as_padding("same", (4,), (1,), (1,)) == ((1, 2),)
    assert geometry.as_padding("same", (3,), (1,), (3,)) == ((3, 3),)


@pytest.mark.parametrize("layers", [[(3, 1)], [(3, 1)] * 3, [(7, 2), (3, 2), (3, 1, 2)], [(2, 2), (5, 1), (2, 2)]])
def test_receptive_field_is_what_one_output_depends_on(layers):
    field = shapes.receptive_field(layers)
    x = torch.zeros(1, 1, 200, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel_size, stride, *dilation in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel_size, dtype=torch.float64), None, stride, 0, *dilation)
    y[0, 0, 0].backward()
    seen = np.flatnonzero(x.grad.numpy())
    assert (seen[0], seen[-1] - seen[0] + 1) == (0, field)


def test_counts_do_not_overflow_and_are_quick():
    assert shapes.conv_macs(np.int32(4096), np.int32(4096), 3, 224) == 4096 * 4096 * 9 * 224 * 224
    assert shapes.conv_parameters(np.uint8(200), np.uint8(200), np.uint8(3)) == 200 * 200 * 9 + 200
    assert shapes.conv_leftover(np.uint8(250), 3, padding=np.uint8(10), stride=2) == 1
    assert shapes.pool_output_size(10**12, 3) == (10**12 - 3) // 3 + 1  # no walk over every window


def test_multiply_adds_are_counted():
    assert shapes.conv_macs(3, 10, 5, 32) == 10 * 32 * 32 * 75
    assert shapes.conv_macs(8, 8, 3, (4, 5), groups=8) == 8 * 9 * 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shapes.conv_output_size(0, 3), "input_size is 0; expected an integer of at least 1"),
        (lambda: shapes.conv_output_size(7, 0), "kernel_size is 0"),
        (lambda: shapes.conv_output_size(7, 2.0), "kernel_size is 2.0"),
        (lambda: shapes.conv_output_size(7, True), "kernel_size is True"),
        (lambda: shapes.conv_output_size(7, 3, stride=0), "stride is 0"),
        (lambda: shapes.conv_output_size(7, 3, dilation=-1), "dilation is -1"),
        (lambda: shapes.conv_output_size(7, 3, padding=-1), "padding is -1"),
        (lambda: shapes.conv_output_size(7, 3, padding="full"), "padding is 'full'; expected a non-negative integer"),
        (lambda: shapes.conv_output_size(7, 3, padding=(1, 2, 3)), r"padding is \(1, 2, 3\); expected"),
        (lambda: shapes.receptive_field([3, 1]), "layers holds 3; expected"),
        (lambda: geometry.conv_geometry((4,) * 4, 3), r"input_size is \(4, 4, 4, 4\); expected one to three"),
        (lambda: geometry.conv_geometry(5, 3), "input_size is 5; expected one to three sizes"),
        (lambda: geometry.conv_geometry((7,), 3, padding=np.ones(2)), "padding is array"),
        (lambda: shapes.conv_parameters(3, 4, 3, groups=0), "groups is 0; expected an integer of at least 1"),
        (lambda: shapes.conv_output_size(7, 3, stride=2, padding="same"), "padding is 'same' with stride"),
        (lambda: shapes.conv_output_size(3, 5), "kernel_size is 5 along the width; expected a span of at most 3"),
        (lambda: shapes.conv_output_size(4, 3, dilation=2), r"kernel_size is 3 with dilation 2 \(spanning 5\)"),
        (lambda: geometry.conv_geometry((7, 7), (3, 3, 3)), r"kernel_size is \(3, 3, 3\); expected an integer or 2"),
        (lambda: shapes.pool_output_size(7, 3, padding=2), "padding is 2; expected at most 1"),
        (lambda: geometry.pool_geometry((2,), 2, padding=1, dilation=3), "expected that no window lies wholly in it"),
        (lambda: shapes.conv_transpose_output_size(2, 3, output_padding=1), "output_padding is 1; expected less than"),
        (lambda: shapes.conv_transpose_output_size(1, 3, padding=2), "padding is 2; expected less"),
        (lambda: shapes.conv_parameters(3, 4, 3, groups=2), "groups is 2; expected a divisor"),
        (lambda: shapes.receptive_field([(3,)]), r"layers holds \(3,\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
