"""The checks can fail."""

import numpy as np
import pytest
import torch

from cnnlib import testing


def test_assert_close_sees_what_differs():
    one = np.ones((2, 2))
    off = one + np.array([[0, 0], [0, 1e-9]])
    with pytest.raises(AssertionError, match=r"1 of 4 values differ by more than 1e-12, first at \(1, 1\)"):
        testing.assert_close(off, one)
    testing.assert_close(off, one, rtol=1e-8)
    with pytest.raises(AssertionError, match="is not float64"):
        testing.assert_close(one.astype("float32"), one)
    with pytest.raises(AssertionError, match=r"\(4,\) is not"):
        testing.assert_close(one.ravel(), one)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
def test_the_default_tolerance_is_held(dtype, rtol):
    one = np.full(3, 8, dtype)
    testing.assert_close(one * np.array([1, 1, 1 + 0.8 * rtol], dtype), one)
    with pytest.raises(AssertionError):
        testing.assert_close(one * np.array([1, 1, 1 + 2 * rtol], dtype), one)


def test_integers_and_booleans_must_be_equal():
    testing.assert_close(np.array([True]), np.array([True]))
    for actual, expected in ((True, False), (2**62, -(2**62)), (3, 4)):
        with pytest.raises(AssertionError):
            testing.assert_close(np.array([actual]), np.array([expected]), rtol=0.5)


def test_finite_differences_ask_for_float64():
    for x in (np.array([1, 2]), [1.0], np.ones(2, "float32"), torch.ones(2)):
        with pytest.raises(ValueError, match="expected a float64"):
            testing.numerical_gradient(lambda x: float((x**2).sum()), x)


def test_a_gradient_of_zero_passes():
    def softmax(x):
        return np.exp(x) / np.exp(x).sum()

    testing.check_gradients(softmax, [np.zeros(4)], [np.arange(4.0)], np.ones(4))  # the outputs always sum to 1
    with pytest.raises(AssertionError):
        testing.check_gradients(softmax, [np.full(4, 1e-7)], [np.arange(4.0)], np.ones(4))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"actual has shape \(3,\); expected \(3, 1\)"):
        testing.relative_error(np.ones(3), np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"grad_x has shape \(2,\); expected \(3,\)"):
        testing.adjoint_gap(np.ones(2), np.ones(2), np.ones(3), np.ones(2))


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
    gap = testing.adjoint_gap(A @ x, v, x, A @ v)
    assert gap > 1e-3
    assert testing.adjoint_gap(1e9 * A @ x, v, x, 1e9 * A @ v) == pytest.approx(gap)  # it is relative


def test_relative_error():
    assert testing.relative_error(np.zeros(3), np.zeros(3)) == 0
    assert testing.relative_error(np.ones(3), np.zeros(3)) == 1
    assert testing.relative_error(np.array([]), np.array([])) == 0
