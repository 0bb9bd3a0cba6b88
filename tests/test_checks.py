"""What all operators refuse alike, by name; and what they must take: see also the test of each family."""

import numpy as np
import pytest
import torch
from backends import both

from cnnlib import ops_numpy, ops_torch
from cnnlib.checks import number
from cnnlib.geometry import as_flag, as_int, as_ints


@pytest.mark.parametrize("value", [0, 1, 1.0, "no", None, (), np.array([True, False]), torch.tensor(True)])
def test_nothing_but_a_boolean_is_a_flag(value):
    with pytest.raises(ValueError, match=r"ceil_mode is .*; expected True or False"):
        as_flag("ceil_mode", value)


def test_both_kinds_of_booleans_are_flags():
    assert as_flag("ceil_mode", True) is True
    assert as_flag("ceil_mode", np.False_) is False


@both
def test_flags_are_named(backend):
    ops, x = backend.ops, backend.array(np.ones((1, 1, 4, 4)))
    statistics = backend.array([0.0]), backend.array([1.0])
    for call, name in (
        (lambda: ops.max_pool2d(x, 2, ceil_mode="no"), "ceil_mode"),
        (lambda: ops.avg_pool2d(x, 2, count_include_pad=0), "count_include_pad"),
        (lambda: ops.upsample_bilinear2d(x, size=2, align_corners=1), "align_corners"),
        (lambda: ops.upsample_bilinear2d_backward(x, input_size=2, size=4, align_corners=1), "align_corners"),
        (lambda: ops.batch_norm(x, *statistics, training="yes"), "training"),
        (lambda: ops.scaled_dot_product_attention(x, x, x, is_causal=None), "is_causal"),
    ):
        with pytest.raises(ValueError, match=f"{name} is .*; expected True or False"):
            call()


def test_integers_are_no_booleans_and_fit_into_64_bits():
    for value in (True, np.True_, np.array(True), torch.tensor(True)):
        with pytest.raises(ValueError, match=r"stride is .*True.*; expected an integer of at least 1"):
            as_ints("stride", value, 2, 1)
    with pytest.raises(ValueError, match=f"stride is {2**63}; expected an integer of 64 bits"):
        as_int("stride", 2**63, 1)
    assert as_int("stride", 2**63 - 1, 1) == 2**63 - 1


def test_numbers_are_those_that_a_float_can_hold():
    for value in (10**400, float("inf"), float("nan"), True, "1", None, 1j):
        with pytest.raises(ValueError, match=r"alpha is .*; expected a finite number"):
            number("alpha", value)
    assert number("alpha", np.float32(0.5)) == 0.5


@both
def test_a_choice_is_a_string(backend):
    x = backend.array([1.0])
    with pytest.raises(ValueError, match=r"approximate is array\(\['none', 'tanh'\].*; expected one of 'none', 'tanh'"):
        backend.ops.gelu(x, approximate=np.array(["none", "tanh"]))


def test_sparse_tensors_are_named():
    x = torch.eye(2)
    with pytest.raises(ValueError, match=r"x is a torch\.sparse_coo torch\.Tensor; expected a torch\.Tensor"):
        ops_torch.relu(x.to_sparse())
    with pytest.raises(ValueError, match="mask is Tensor; expected booleans"):
        ops_torch.dropout(x, (x > 0).to_sparse(), p=0.5)


def test_masked_arrays_are_refused_wherever_arrays_are_taken():
    x, masked = np.ones((2, 2)), np.ma.masked_array
    with pytest.raises(ValueError, match="target is MaskedArray; expected integers"):
        ops_numpy.cross_entropy(x, masked([0, 1]))
    with pytest.raises(ValueError, match="mask is MaskedArray; expected booleans"):
        ops_numpy.dropout(x, masked(x > 0), p=0.5)
    with pytest.raises(ValueError, match="attn_mask is a MaskedArray; expected a ndarray"):
        ops_numpy.scaled_dot_product_attention(x, x, x, attn_mask=masked(x > 0))


@both
def test_normalisations_miss_their_gradient(backend):
    ops, x = backend.ops, backend.array(np.ones((2, 3, 4, 4)))
    for call in (
        lambda: ops.batch_norm_backward(None, x, None, None, training=True),
        lambda: ops.layer_norm_backward(None, x, 4),
        lambda: ops.group_norm_backward(None, x, 1),
        lambda: ops.instance_norm_backward(None, x),
        lambda: ops.local_response_norm_backward(None, x, 3),
        lambda: ops.local_contrast_norm_backward(None, x, 3),
    ):
        with pytest.raises(ValueError, match=r"grad_output is a builtins\.NoneType"):
            call()


@both
def test_the_gradient_of_a_loss_is_a_number_or_an_array_of_its_dtype(backend):
    logits, target = backend.array([[1.0, 2.0], [3.0, 4.0]]), backend.array([0, 1], "int64")
    backward = backend.ops.cross_entropy_backward
    for wrong in (None, True, "1", [1.0], 1j):
        with pytest.raises(ValueError, match="grad_output is a builtins"):
            backward(wrong, logits, target)
    with pytest.raises(ValueError, match="grad_output has dtype float32; expected float64, that of logits"):
        backward(backend.array([1.0, 1.0], "float32"), logits, target, reduction="none")
    expected = backward(2.0, logits, target)
    for right in (2, np.float32(2), np.float64(2), backend.array(2.0)):
        assert (backward(right, logits, target) == expected).all()


@both
def test_an_array_of_one_integer_is_an_option(backend):
    logits, target = backend.array([[1.0, 2.0], [3.0, 4.0]]), backend.array([0, 1], "int64")
    for one in (np.int64(1), np.array(1), torch.tensor(1)):
        expected = backend.ops.cross_entropy_backward(1.0, logits, target, ignore_index=1)
        assert (backend.ops.cross_entropy_backward(1.0, logits, target, ignore_index=one) == expected).all()
        assert backend.ops.cross_entropy(logits, target, ignore_index=one) == pytest.approx(np.log1p(np.e))


@both
@pytest.mark.parametrize("dtype", ["uint8", "uint64"])
def test_indices_are_integers_of_any_kind(backend, dtype):
    grad_output, indices = backend.array([[[1.0, 10.0]]]), backend.array([[[1, 1]]], dtype)
    assert backend.ops.max_pool1d_backward(grad_output, indices, input_size=3).tolist() == [[[0, 11, 0]]]


@both
def test_infinities_cancel_without_a_warning(backend):
    ops, array = backend.ops, backend.array
    x, ones, bias = array([[[np.inf, -np.inf]]]), array([[[1.0, 1.0]]]), array([-np.inf])
    for y in (
        ops.conv1d(x, ones),
        ops.conv1d(x[..., :1], ones[..., :1], bias),
        ops.conv1d_backward(x, x, ones[..., :1])[2],
        ops.conv_transpose1d(x, ones)[..., 1],
        ops.conv_transpose1d_backward(x, x[..., :1], ones)[0],
        ops.unfold_backward(array([[[0.0, np.inf], [-np.inf, 0.0]]]), (1, 2), input_size=(1, 3))[..., 1],
        ops.locally_connected2d(x[:, None], ones[None, None, None]),
        ops.locally_connected2d_backward(bias[None, None, None], x[:, None], 0 * ones[None, None, None])[0],
        ops.elu_backward(-bias, bias),
        ops.selu_backward(-bias, bias),
        ops.softplus_backward(-bias, bias),
        ops.sigmoid_backward(-bias, array([1.0])),
        ops.tanh_backward(-bias, array([1.0])),
        ops.mse_loss_backward(1.0, x, x, weight=x)[0],
        ops.nll_loss_backward(1.0, x[0], array([0], "int64"), weight=x[0, 0]),
    ):
        assert np.isnan(np.asarray(y)).any(), y


@both
def test_indices_of_no_pixels_are_named(backend):
    grad_output, indices = backend.array(np.ones((1, 1, 2, 2))), backend.array(np.ones((1, 1, 0, 1)), "int64")
    with pytest.raises(ValueError, match=r"indices has shape \(1, 1, 0, 1\); expected 4 axes"):
        backend.ops.max_unpool2d_backward(grad_output, indices)
