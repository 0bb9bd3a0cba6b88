"""The checks can fail."""

import numpy as np
import pytest

from cnnlib import testing


def test_assert_close_sees_what_differs():
    one = np.ones((2, 2))
    off = one + np.array([[0, 0], [0, 1e-9]])
    with pytest.raises(AssertionError, match=r"1 of 4 values differ .* first at \(1, 1\)"):
        testing.assert_close(off, one)
    testing.assert_close(off, one, rtol=1e-8)
    with pytest.raises(AssertionError, match="is not float64"):
        testing.assert_close(one.astype("float32"), one)
    with pytest.raises(AssertionError, match=r"\(4,\) is not"):
        testing.assert_close(one.ravel(), one)


def test_assert_close_holds_nan_and_infinity_to_their_places():
    special = np.array([np.nan, np.inf, -np.inf, 1.0])
    testing.assert_close(special, special.copy())
    for position, value in ((0, 1.0), (1, -np.inf), (2, np.nan), (3, np.inf)):
        changed = special.copy()
        changed[position] = value
        with pytest.raises(AssertionError):
            testing.assert_close(changed, special)


def test_check_gradients_refuses_a_wrong_one():
    with pytest.raises(AssertionError, match="gradient of argument 0"):
        testing.check_gradients(lambda x: x**2, [np.array([5.9])], [np.array([3.0])], np.array([1.0]))
    with pytest.raises(ValueError, match="gradients holds 0 arrays; expected 1"):
        testing.check_gradients(lambda x: x**2, [], [np.array([3.0])], np.array([1.0]))


def test_adjoint_gap_refuses_a_matrix_that_is_not_transposed():
    generator = np.random.default_rng(0)
    A, x, v = generator.normal(size=(3, 3)), generator.normal(size=3), generator.normal(size=3)
    assert testing.adjoint_gap(A @ x, v, x, A.T @ v) < 1e-14
    assert testing.adjoint_gap(A @ x, v, x, A @ v) > 1e-3


def test_relative_error():
    assert testing.relative_error(np.zeros(3), np.zeros(3)) == 0
    assert testing.relative_error(np.ones(3), np.zeros(3)) == 1
    assert testing.relative_error(np.array([]), np.array([])) == 0
