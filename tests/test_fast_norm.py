"""The fast batch norm and rectifier are the readable ones, in any layout."""

import inspect
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from draws import arrays
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import assert_every_option_is_drawn

from cnnlib import fast, ops_numpy
from cnnlib.fast import activation, norm

NAN, INF = np.nan, np.inf
DEFAULTS = {"training": False, "momentum": 0.1, "eps": 1e-5, "weight": True, "bias": True, "running": True}
RTOL = {"float32": 2e-5, "float64": 1e-11}  # of the largest value, computed in float64


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@st.composite
def normalisations(draw):
    """Return a shape, whether channels lie together, and the options."""
    shape = (draw(st.integers(2, 5)), draw(st.integers(1, 5)), *draw(st.lists(st.integers(1, 6), max_size=3)))
    training = draw(st.booleans())
    options = {
        "training": training,
        "momentum": draw(st.sampled_from((0.1, 0.0, 0.5, 1.0))),
        "eps": draw(st.sampled_from((1e-5, 1e-2, 1.0))),
        "weight": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "running": not training or draw(st.booleans()),
    }
    return shape, draw(st.booleans()), draw(st.sampled_from(tuple(RTOL))), options


def close(mine, reference, dtype, scales=(0, 0, 0)):
    """Compare to RTOL of the largest value, or of the terms that cancelled in it."""
    for a, b, scale in zip(mine, reference, scales, strict=True):
        if b is None:
            assert a is None
            continue
        assert a.dtype == dtype
        atol = RTOL[dtype] * max(np.abs(b).max(initial=0), scale)
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@settings(max_examples=300)
@given(normalisations(), st.integers(0, 999))
def test_drawn_batch_norms_are_the_readable_ones(drawn, seed):
    shape, together, dtype, options = drawn
    C, training, eps = shape[1], options["training"], options["eps"]
    x, grad_output, weight, bias, mean, var = arrays(seed, dtype, shape, shape, C, C, C, C)
    x, var = x * 2 + 3, var**2 + dtype_one(dtype)
    if together and x.ndim == 4:
        x = channels_last(x)
    weight, bias = weight if options["weight"] else None, bias if options["bias"] else None
    running = (mean, var) if options["running"] else (None, None)
    double = [None if a is None else a.astype("float64") for a in (x, *running, weight, bias, grad_output)]
    about = {"training": training, "eps": eps}
    momentum = options["momentum"]
    y = fast.batch_norm(x, *running, weight, bias, **about, momentum=momentum)
    spread = 1 / np.sqrt(eps + (x.var(axis=(0, *range(2, x.ndim))).min() if training else var.min()))
    scales = spread * np.abs(x).max() * (1 if weight is None else np.abs(weight).max()), 0, 0
    close(y, ops_numpy.batch_norm(*double[:5], **about, momentum=momentum), dtype, scales)
    grads = fast.batch_norm_backward(grad_output, x, *running, weight, **about)
    reference = ops_numpy.batch_norm_backward(double[5], *double[:4], **about)
    term = np.abs(grad_output).max() * spread
    scales = term * (1 if weight is None else np.abs(weight).max()), term * np.abs(x).max() * x.size / C, 0
    close(grads, reference, dtype, scales)
    if training:
        saved = fast.batch_norm_saving(x, weight, bias, eps=eps)
        np.testing.assert_array_equal(saved[0], y[0])
        close(fast.batch_norm_saving_backward(grad_output, x, *saved[1:], weight, eps=eps), reference, dtype, scales)
    if together and x.ndim == 4 and training:
        assert all(a.transpose(0, 2, 3, 1).flags.c_contiguous for a in (y[0], grads[0]))


def dtype_one(dtype):
    return np.ones((), dtype)


def test_every_option_is_drawn():
    assert_every_option_is_drawn(normalisations(), DEFAULTS)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, channels_last])
def test_many_blocks_are_as_one(monkeypatch, layout):
    x, grad_output, weight, bias = arrays(0, "float32", (7, 5, 6, 4), (7, 5, 6, 4), 5, 5)
    x = layout(x)
    monkeypatch.setattr(norm, "BLOCK_BYTES", 2 * x[0].nbytes)
    double = [a.astype("float64") for a in (x, grad_output, weight, bias)]
    close(
        fast.batch_norm(x, None, None, weight, bias, training=True)[:1],
        ops_numpy.batch_norm(double[0], None, None, *double[2:], training=True)[:1],
        "float32",
        [0],
    )
    close(
        fast.batch_norm_backward(grad_output, x, None, None, weight, training=True),
        ops_numpy.batch_norm_backward(double[1], double[0], None, None, double[2], training=True),
        "float32",
    )


@pytest.mark.parametrize("offset", [1e2, 1e4])
@pytest.mark.parametrize("order", [1, -1])
def test_a_large_mean_costs_no_more_digits_than_in_torch(monkeypatch, offset, order):
    generator = np.random.default_rng(0)
    x = channels_last((generator.normal(size=(16, 8, 12, 12)) + offset).astype("float32"))
    x[:4] -= np.float32(order * offset)  # so that the first block says little of the others
    x = x[::order]
    x = channels_last(x)
    monkeypatch.setattr(norm, "BLOCK_BYTES", 2 * x[0].nbytes)
    grad_output = channels_last(generator.normal(size=x.shape).astype("float32"))
    tensor = torch.from_numpy(x).requires_grad_()
    theirs = F.batch_norm(tensor, None, None, training=True)
    their_grad = torch.autograd.grad(theirs, tensor, torch.from_numpy(grad_output))[0]
    y, _, _ = fast.batch_norm(x, None, None, training=True)
    grad_x = fast.batch_norm_backward(grad_output, x, None, None, training=True)[0]
    exact = ops_numpy.batch_norm(x.astype("float64"), None, None, training=True)[0]
    exact_grad = ops_numpy.batch_norm_backward(
        grad_output.astype("float64"), x.astype("float64"), None, None, training=True
    )[0]
    for mine, other, truth in ((y, theirs.detach(), exact), (grad_x, their_grad, exact_grad)):
        error = abs(mine - truth).max()
        assert error <= 2 * abs(other.numpy() - truth).max() + 2e-6 * abs(truth).max()


@pytest.mark.parametrize("special", [NAN, INF, -INF, 1e38])
@pytest.mark.filterwarnings("error")
def test_what_is_not_finite_is_left_to_the_readable_one(special):
    x, grad_output = arrays(0, "float32", (4, 3, 2, 2), (4, 3, 2, 2))
    x[1, 1, 0, 0] = special
    running = np.zeros(3, "float32"), np.ones(3, "float32")
    for name, arguments in (("batch_norm", (x, *running)), ("batch_norm_backward", (grad_output, x, *running))):
        mine, reference = (getattr(ops, name)(*arguments, training=True) for ops in (fast, ops_numpy))
        for a, b in zip(mine, reference, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


SCALES = [
    ({}, {"weight": INF}),
    ({}, {"weight": -INF, "bias": INF}),
    ({"x": INF}, {}),
    ({"x": -INF}, {"running_mean": INF}),
    ({}, {"running_var": INF}),
    ({}, {"running_var": 0.0, "eps": 0.0}),
    ({"x": 1e38}, {"running_mean": 1e38, "running_var": 1e-10}),
]


@pytest.mark.parametrize(("one", "of_channel"), SCALES)
@pytest.mark.parametrize("training", [True, False])
def test_a_scale_that_is_not_finite_goes_where_the_definition_sends_it(one, of_channel, training):
    x = arrays(0, "float32", (4, 3, 2, 2))[0]
    x[1, 1, 0, 0] = one.get("x", 1)
    values = {"running_mean": 0.5, "running_var": 2.0, "weight": 1.5, "bias": 0.25, **of_channel}
    eps = values.pop("eps", 1e-5) if not training else 1e-5
    values.pop("eps", None)
    each = {name: np.where(np.arange(3) == 1, value, 1).astype("float32") for name, value in values.items()}
    mine, reference = (ops.batch_norm(x, **each, training=training, eps=eps) for ops in (fast, ops_numpy))
    for a, b in zip(mine, reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    saved, mean, _ = fast.batch_norm_saving(x, each["weight"], each["bias"])
    expected = ops_numpy.batch_norm(x, None, None, each["weight"], each["bias"], training=True)[0]
    np.testing.assert_allclose(saved, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), "float64"), rtol=1e-6)


@pytest.mark.parametrize(
    ("grad", "pixel", "factor"), [(INF, 1, 1), (NAN, 1, 1), (1, INF, 1), (1, 1, INF), (1, 1e38, 1)]
)
def test_gradients_that_are_not_finite_go_where_the_definition_sends_them(grad, pixel, factor):
    x, grad_output = arrays(0, "float32", (4, 3, 2, 2), (4, 3, 2, 2))
    weight = np.array([1, factor, 1], "float32")
    x[1, 1, 0, 0], grad_output[1, 1, 0, 0] = pixel, grad
    saved = fast.batch_norm_saving(x, weight)[1:]
    expected = ops_numpy.batch_norm_backward(grad_output, x, None, None, weight, training=True)
    for mine in (
        fast.batch_norm_backward(grad_output, x, None, None, weight, training=True),
        fast.batch_norm_saving_backward(grad_output, x, *saved, weight),
    ):
        for a, b in zip(mine, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_empty_batch_is_allowed():
    x = np.zeros((0, 3, 4, 4))
    y, mean, var = fast.batch_norm(x, np.zeros(3), np.ones(3), training=True)
    assert y.shape == x.shape
    assert (mean == 0).all()
    assert (var == 1).all()
    assert fast.batch_norm_backward(x, x, None, None, training=True)[0].shape == x.shape
    assert fast.relu(x).shape == fast.relu_backward(x, x).shape == x.shape


def test_bad_input_is_named():
    x, C = np.ones((2, 3, 4, 4)), np.ones(3)
    for call, message in (
        (lambda: fast.batch_norm(x, None, None), "running_mean is None; expected running statistics unless training"),
        (lambda: fast.batch_norm(x[:1, :, :1, :1], None, None, training=True), "expected more than one value"),
        (lambda: fast.batch_norm(x, C, np.ones(4)), r"running_var has shape \(4,\); expected \(3,\)"),
        (lambda: fast.batch_norm_saving(x, np.ones(2)), r"weight has shape \(2,\)"),
        (lambda: fast.batch_norm_saving(x, eps=0), "eps is 0"),
        (lambda: fast.batch_norm_saving_backward(x, x, C, np.ones(2)), r"variance has shape \(2,\); expected \(3,\)"),
        (lambda: fast.batch_norm_backward(x[:1], x, None, None, training=True), "grad_output has shape"),
        (lambda: fast.relu(x.astype("int32")), "x has dtype int32"),
        (lambda: fast.relu_backward(x[:1], x), "grad_output has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def together_from_threads(call):
    """Return what eight threads get at once."""
    results = [None] * 8

    def work(k):
        results[k] = call()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_threads_share_nothing():
    x, grad_output = (channels_last(a) for a in arrays(0, "float32", (16, 8, 33, 31), (16, 8, 33, 31)))

    def call():
        y = fast.batch_norm(x, None, None, training=True)[0]
        grads = fast.batch_norm_backward(grad_output, x, None, None, training=True)
        return b"".join(a.tobytes() for a in (y, *grads, fast.relu(y), fast.relu_backward(grad_output, y)))

    assert together_from_threads(call) == [call()] * 8


def bits(a):
    """Return the bits of floats, with every NaN the same."""
    return np.where(np.isnan(a), NAN, a).astype(a.dtype).view(f"i{a.itemsize}")


@settings(max_examples=100)
@given(
    st.lists(st.integers(1, 7), max_size=4),
    st.sampled_from(("float32", "float64")),
    st.booleans(),
    st.booleans(),
    st.integers(0, 999),
)
def test_rectifiers_are_the_readable_ones_bit_for_bit(shape, dtype, together, others_layout, seed):
    generator = np.random.default_rng(seed)
    values = np.array([0.0, -0.0, 1.0, -1.0, 1e-45, NAN, INF, -INF])
    x, grad_output = (generator.choice(values, shape).astype(dtype) for _ in range(2))
    if together and x.ndim == 4:
        x = channels_last(x)
        grad_output = grad_output if others_layout else channels_last(grad_output)
    for mine, reference in (
        (fast.relu(x), ops_numpy.relu(x)),
        (fast.relu_backward(grad_output, x), ops_numpy.relu_backward(grad_output, x)),
    ):
        np.testing.assert_array_equal(bits(mine), bits(reference))
        assert mine.dtype == x.dtype
        if x.ndim == 4:
            assert mine.transpose(0, 2, 3, 1).flags.c_contiguous == x.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("size", [activation.BLOCK - 1, activation.BLOCK, 2 * activation.BLOCK + 3])
def test_rectifiers_of_many_blocks(size):
    x, grad_output = arrays(0, "float32", size, size)
    np.testing.assert_array_equal(fast.relu(x), ops_numpy.relu(x))
    np.testing.assert_array_equal(fast.relu_backward(grad_output, x), ops_numpy.relu_backward(grad_output, x))


def test_the_rectifier_at_its_kink():
    x = np.array([-1.0, -0.0, 0.0, 1.0, NAN])
    np.testing.assert_array_equal(fast.relu_backward(np.full(5, INF), x), [0, 0, 0, INF, INF])


@pytest.mark.parametrize(
    "name", ["batch_norm", "batch_norm_backward", "relu", "relu_backward", "max_pool2d", "max_pool2d_backward"]
)
def test_signatures_are_the_readable_ones(name):
    mine, readable = (inspect.signature(getattr(ops, name)) for ops in (fast, ops_numpy))
    assert mine.parameters == readable.parameters
