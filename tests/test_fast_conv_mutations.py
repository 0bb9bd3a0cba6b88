"""The tests of the fast convolutions can fail: see `test_mutations`."""

from __future__ import annotations

import numpy as np
import pytest
import test_fast_conv
import test_fast_conv_values
from mutants import comparison_errors, mutant

# name: (module, the line, the mistake, the test that must fail, its arguments)
MUTANTS = {
    "trust that all is finite": (
        "fast.conv",
        "return total * max(1.0, total) * ROOM < float(np.finfo(operands[0].dtype).max)",
        "return True",
        test_fast_conv_values.test_what_is_not_finite_goes_where_the_definition_sends_it,
        ("toeplitz", np.nan, 0, "last"),
    ),
    "pad the gradient on the wrong side": (
        "fast.toeplitz",
        "i + left - (o - reading.left) * sw",
        "i - left - (o - reading.left) * sw",
        test_fast_conv.test_every_algorithm_alone,
        ("toeplitz", *test_fast_conv.REACH["toeplitz"][2]),
    ),
    "leave in the border what was there before": (
        "fast.lowering",
        "copy[:, :top], copy[:, bottom:], copy[:, :, :left], copy[:, :, right:] = 0, 0, 0, 0",
        "copy[...] = 1",
        test_fast_conv.test_every_algorithm_alone,
        ("im2col", *test_fast_conv.REACH["im2col"][0]),
    ),
    "mistake an entry of Winograd's": (
        "fast.winograd",
        "(0, 1, 1, 4, 4, 0)",
        "(0, 1, 1, 4, 2, 0)",
        test_fast_conv.test_every_algorithm_alone,
        ("winograd4", *test_fast_conv.REACH["winograd4"][0]),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mistake_is_caught(name):
    module, line, mistake, test, arguments = MUTANTS[name]
    test(*arguments)
    with mutant(module, line, mistake), pytest.raises((AssertionError, *comparison_errors())):
        test(*arguments)
    test(*arguments)
