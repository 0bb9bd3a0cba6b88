"""Losses of classes: by hand, at extremes, held to torch at infinity and NaN, gradcheck, refusals."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from backends import both

from cnnlib import nn_torch, ops_numpy
from cnnlib.testing import assert_close, check_gradients


@both
def test_by_hand(backend):
    logits = backend.array([[0, np.log(3)]])
    target = backend.array([0], "int64")
    assert_close(backend.ops.cross_entropy(logits, target), backend.array(np.log(4)))
    grad = backend.ops.cross_entropy_backward(2.0, logits, target)
    assert_close(grad, backend.array([[-1.5, 1.5]]))  # p − y, doubled


@both
def test_it_does_not_overflow(backend):
    logits = backend.array([[1e4, -1e4, 0], [-1e4, 1e4, 0]])
    target = backend.array([1, 1], "int64")
    assert_close(backend.ops.cross_entropy(logits, target, reduction="none"), backend.array([2e4, 0]), rtol=0)
    grad = backend.ops.cross_entropy_backward(1.0, logits, target, reduction="sum")
    assert_close(grad, backend.array([[1, -1, 0], [0, 0, 0]]), rtol=0)


@both
def test_an_impossible_class_costs_nothing_where_it_is_not_the_target(backend):
    loss = backend.ops.cross_entropy(backend.array([[0, -np.inf]]), backend.array([0], "int64"))
    assert_close(loss, backend.array(0.0), rtol=0)


ROWS = ((0, -np.inf, 1), (1, 2, -np.inf), (np.nan, 1, 0), (np.inf, 1, 0), (-np.inf,) * 3, (1, 2, 3))
TARGETS = ((1, 0, 1, 2, 0, 2), (0, 1, -100, -100, -100, 0), (-100, -100, 0, 0, 0, -100), (-100,) * 5 + (0,))


@both
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("weight", [None, (1, 0, 2), (0, 1, 1), (np.nan, 1, 1), (np.inf, 1, 0)])
def test_infinity_and_nan_are_as_in_torch(backend, name, target, weight):
    scores, classes = backend.array(ROWS), backend.array(target, "int64")
    theirs = torch.tensor(ROWS, dtype=torch.float64, requires_grad=True)
    given = torch.tensor(target)
    weights = weight and torch.tensor(weight, dtype=torch.float64)
    for reduction in ("none", "sum", "mean"):
        for smoothing in (0, 0.1, 1.0) if name == "cross_entropy" else (None,):
            options = {"reduction": reduction} | ({} if smoothing is None else {"label_smoothing": smoothing})
            loss = getattr(F, name)(theirs, given, weight=weights, **options)
            ours = {**options, "weight": weight and backend.array(weight)}
            assert_close(getattr(backend.ops, name)(scores, classes, **ours), loss.detach())
            (expected,) = torch.autograd.grad(loss, theirs, torch.ones_like(loss))
            upstream = np.ones(tuple(loss.shape))
            grad = getattr(backend.ops, f"{name}_backward")(backend.array(upstream), scores, classes, **ours)
            assert_close(grad, expected)


@both
def test_a_zero_weight_does_not_silence_an_infinite_loss(backend):
    logits, target = backend.array([[0, -np.inf]]), backend.array([1], "int64")
    loss = backend.ops.cross_entropy(logits, target, weight=backend.array([1, 0]), reduction="none")
    assert_close(loss, backend.array([np.nan]))  # 0 · ∞
    ignored = backend.ops.cross_entropy(logits, target, ignore_index=1, reduction="none")
    assert_close(ignored, backend.array([0]), rtol=0)


@both
def test_nll_of_log_softmax_is_cross_entropy(backend):
    generator = np.random.default_rng(0)
    logits, target = backend.array(generator.normal(size=(4, 3, 2))), backend.array([[0, 1]] * 4, "int64")
    y = backend.ops.log_softmax(logits, dim=1)
    assert_close(backend.ops.nll_loss(y, target), backend.ops.cross_entropy(logits, target))
    grad_y = backend.ops.nll_loss_backward(1.0, y, target)
    grad_logits = backend.ops.log_softmax_backward(grad_y, y, dim=1)
    assert_close(grad_logits, backend.ops.cross_entropy_backward(1.0, logits, target))


@both
def test_when_all_is_ignored_the_mean_is_not_a_number_and_its_gradient_0(backend):
    logits, target = backend.array([[1, 2]]), backend.array([-100], "int64")
    for name, options in (
        ("cross_entropy", {}),
        ("cross_entropy", {"label_smoothing": 0.1}),
        ("nll_loss", {}),
    ):
        loss, backward = (getattr(backend.ops, n) for n in (name, f"{name}_backward"))
        assert np.isnan(float(loss(logits, target, **options)))
        assert_close(backward(1.0, logits, target, **options), backend.array([[0, 0]]), rtol=0)
        torchs = torch.tensor([[1.0, 2.0]], dtype=torch.float64, requires_grad=True)
        reference = getattr(F, name)(torchs, torch.tensor([-100]), **options)
        assert reference.isnan()
        assert_close(torch.autograd.grad(reference, torchs)[0], backend.array([[0, 0]]), rtol=0)
        assert np.isnan(float(loss(logits[:0], target[:0], **options)))
        assert backward(1.0, logits[:0], target[:0], **options).shape == (0, 2)


@both
def test_narrow_targets_do_not_wrap(backend):
    for C, label in ((200, 156), (300, 100)):  # 156 is −100 in eight bits; 300 is 44
        logits, target = backend.array(np.zeros((1, C))), backend.array([label], "uint8")
        assert_close(backend.ops.cross_entropy(logits, target), backend.array(np.log(C)))
        grad = backend.ops.cross_entropy_backward(1.0, logits, target)
        assert float(grad[0, label]) == pytest.approx(1 / C - 1)


def test_gradients_are_those_of_finite_differences():
    generator = np.random.default_rng(0)
    logits, target = generator.normal(size=(5, 4)), np.array([0, 3, 1, -100, 2])
    options = {"weight": generator.uniform(0.5, 2, 4), "label_smoothing": 0.1}
    grad = ops_numpy.cross_entropy_backward(1.0, logits, target, **options)
    check_gradients(lambda z: ops_numpy.cross_entropy(z, target, **options), [grad], [logits], np.ones(()))
    weight = {"weight": options["weight"]}
    grad = ops_numpy.nll_loss_backward(1.0, logits, target, **weight)
    check_gradients(lambda z: ops_numpy.nll_loss(z, target, **weight), [grad], [logits], np.ones(()))


def test_gradcheck_passes():
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: nn_torch.CrossEntropyFunction.apply(z, torch.tensor([0, 3, 1])), logits)


@both
def test_bad_input_is_named(backend):
    ops, array = backend.ops, backend.array
    logits, target = array(np.ones((2, 3))), array([0, 1], "int64")
    for call, message in (
        (lambda: ops.cross_entropy(array(np.ones(3)), target), r"logits has shape \(3,\); expected \(N, C\)"),
        (lambda: ops.cross_entropy(logits, array([0.0, 1.0])), "target is .*float64"),
        (lambda: ops.cross_entropy(logits, array([0], "int64")), r"target is .*\(1,\); expected integers of shape"),
        (lambda: ops.cross_entropy(logits, [0, 1]), "target is list"),
        (lambda: ops.cross_entropy(logits, array([0, 3], "int64")), "target holds 3; expected classes from 0 to 2"),
        (lambda: ops.cross_entropy(logits, target, reduction="max"), "reduction is 'max'; expected one of 'mean'"),
        (lambda: ops.cross_entropy(logits, array([True, False], "bool")), "target is bool"),
        (lambda: ops.cross_entropy(logits, target, ignore_index=1.5), "ignore_index is 1.5; expected an integer"),
        (lambda: ops.cross_entropy(logits, target, label_smoothing=None), "label_smoothing is None; expected a number"),
        (lambda: ops.cross_entropy(logits, target, label_smoothing=2), "label_smoothing is 2; expected"),
        (lambda: ops.cross_entropy(logits, target, weight=array(np.ones(2))), r"weight has shape \(2,\); expected"),
        (lambda: ops.nll_loss(array(np.ones(3)), target), r"log_probabilities has shape \(3,\); expected \(N, C\)"),
        (
            lambda: ops.nll_loss(logits, array([0, -1], "int64")),
            "target holds -1; expected classes from 0 to 2, or",
        ),
        (lambda: ops.nll_loss_backward(1.0, logits, target, reduction="none"), r"grad_output has shape \(\); expected"),
        (
            lambda: ops.cross_entropy_backward(array(np.ones(2)), logits, target),
            r"grad_output has shape \(2,\); expected \(\) for reduction 'mean'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
