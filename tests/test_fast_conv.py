"""`fast.conv2d` against the readable one: every algorithm, drawn through the dispatch and called by its name."""

from __future__ import annotations

import collections
import inspect

import numpy as np
import pytest
from fast_convolutions import KINDS, draw, laid_out

from cnnlib import fast, ops_numpy
from cnnlib.fast import conv, dispatch
from cnnlib.fast.conv import ALGORITHMS
from cnnlib.geometry import conv_geometry
from cnnlib.testing import adjoint_gap, assert_close

FLOAT32 = 2e-5  # of the largest value of the reference, which is computed in float64
DRAWS = 1600


def operands(rng, drawn, dtype):
    x, weight = (rng.normal(size=size).astype(dtype) for size in (drawn.x, drawn.weight))
    return laid_out(x, drawn.layout), weight, rng.normal(size=len(weight)).astype(dtype)


def test_the_signatures_are_those_of_ops_numpy():
    for name in fast.__all__:
        if hasattr(ops_numpy, name):
            mine, other = (inspect.signature(getattr(package, name)) for package in (fast, ops_numpy))
            assert mine.parameters == other.parameters, name


def test_it_agrees_with_the_readable_convolution():
    rng, used = np.random.default_rng(3), collections.Counter()
    for k in range(DRAWS):
        drawn = draw(rng, KINDS[k % len(KINDS)])
        x, weight, bias = operands(rng, drawn, np.float32)
        bias = bias if k % 3 else None
        geometry = conv_geometry(
            x.shape[2:], weight.shape[2:], **{o: v for o, v in drawn.options.items() if o != "groups"}
        )
        used.update(dispatch.choose(len(x), x.shape[1], len(weight), x.shape[2:], geometry, drawn.options["groups"]))
        y = fast.conv2d(x, weight, bias, **drawn.options)
        grad_output = laid_out(rng.normal(size=y.shape).astype(np.float32), drawn.layout)
        doubles = [None if v is None else v.astype(np.float64) for v in (x, weight, bias, grad_output)]
        assert y.dtype == np.float32
        assert_close(y.astype(float), ops_numpy.conv2d(*doubles[:3], **drawn.options), rtol=FLOAT32)
        expected = ops_numpy.conv2d_backward(doubles[3], *doubles[:2], **drawn.options)
        for mine, other in zip(fast.conv2d_backward(grad_output, x, weight, **drawn.options), expected, strict=True):
            assert mine.dtype == np.float32
            assert_close(mine.astype(float), other, rtol=FLOAT32)
    assert set(used) == set(ALGORITHMS), used
    assert min(used.values()) >= 120, used


# what each algorithm can do, beyond what the dispatch gives it: (x, weight, options)
REACH = {
    "depthwise": [
        ((2, 5, 9, 8), (5, 1, 3, 2), {"stride": (2, 1), "padding": ((1, 0), (2, 3)), "dilation": (1, 2)}),
        ((3, 40, 30, 40), (40, 1, 3, 3), {"padding": 1}),
        ((1, 700, 7, 100), (700, 1, 3, 3), {"stride": 2}),  # a row is more than a block, as in im2col and mec
    ],
    "fft": [((2, 3, 9, 12), (4, 3, 5, 2), {"padding": ((3, 0), (1, 6))}), ((3, 1, 20, 21), (2, 1, 20, 3), {})],
    "gemm": [((3, 7, 6, 5), (4, 7, 1, 1), {"stride": (2, 3)}), ((9, 300, 9, 8), (70, 300, 1, 1), {})],
    "im2col": [
        ((2, 3, 14, 13), (4, 3, 3, 4), {"stride": (2, 3), "padding": ((5, 1), (0, 2)), "dilation": (2, 3)}),
        ((2, 20, 50, 60), (70, 20, 5, 5), {"padding": 2}),
        ((1, 500, 8, 52), (2, 500, 3, 3), {"dilation": 2}),
    ],
    "mec": [
        ((2, 3, 14, 13), (4, 3, 5, 4), {"stride": (2, 3), "padding": ((5, 1), (0, 2))}),
        ((3, 6, 14, 15), (16, 6, 5, 3), {}),
        ((2, 3, 150, 160), (70, 3, 7, 7), {"stride": 2, "padding": 3}),
        ((1, 8, 6, 5004), (16, 8, 5, 5), {}),
    ],
    "toeplitz": [
        ((2, 3, 14, 13), (4, 3, 5, 4), {"stride": (2, 3), "padding": ((5, 1), (0, 2))}),
        ((2, 2, 11, 24), (3, 2, 3, 2), {"stride": 4}),
        ((2, 1, 9, 12), (2, 1, 3, 3), {"padding": 7}),
        ((2, 20, 50, 60), (70, 20, 5, 5), {"padding": 2}),
        ((1, 9, 200, 190), (33, 9, 3, 3), {"stride": 2, "padding": 1}),
        ((1, 2, 5, 8004), (32, 2, 3, 3), {"stride": 2}),  # in grad_x the last block has no odd row
    ],
    "winograd2": [((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((1, 0), (2, 5))}), ((3, 40, 30, 40), (33, 40, 3, 3), {})],
    "winograd4": [((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((1, 0), (2, 5))}), ((3, 99, 50, 61), (33, 99, 3, 3), {})],
}
ALONE = [(name, *case) for name, cases in REACH.items() for case in cases]


def by(name, grad_output, x, weight, bias, options):
    """Return y and the gradients of x and of the weight by one algorithm."""
    geometry, algorithm = conv_geometry(x.shape[2:], weight.shape[2:], **options), ALGORITHMS[name]
    return (
        algorithm.forward(x, weight, bias, geometry),
        algorithm.grad_x(grad_output, weight, geometry, x.shape[2:]),
        algorithm.grad_weight(grad_output, x, geometry, weight.shape),
    )


@pytest.mark.parametrize(("name", "x_shape", "weight_shape", "options"), ALONE)
def test_every_algorithm_alone(name, x_shape, weight_shape, options):
    rng, groups = np.random.default_rng(1), x_shape[1] // weight_shape[1]
    x, weight, bias = rng.normal(size=x_shape), rng.normal(size=weight_shape), rng.normal(size=weight_shape[0])
    y = ops_numpy.conv2d(x, weight, bias, **options, groups=groups)
    grad_output = rng.normal(size=y.shape)
    expected = (y, *ops_numpy.conv2d_backward(grad_output, x, weight, **options, groups=groups)[:2])
    for dtype, bound in ((np.float64, 1e-12), (np.float32, FLOAT32)):
        for layout in ("first", "last"):
            given = [laid_out(v.astype(dtype), layout) for v in (grad_output, x)]
            actual = by(name, *given, weight.astype(dtype), bias.astype(dtype), options)
            for mine, other in zip(actual, expected, strict=True):
                assert mine.dtype == dtype
                assert_close(mine.astype(float), other, rtol=bound)


@pytest.mark.parametrize(("name", "x_shape", "weight_shape", "options"), ALONE)
def test_the_gradients_are_the_adjoints(name, x_shape, weight_shape, options):
    rng = np.random.default_rng(2)
    x, weight = rng.normal(size=x_shape), rng.normal(size=weight_shape)
    geometry = conv_geometry(x_shape[2:], weight_shape[2:], **options)
    grad_output = rng.normal(size=(x_shape[0], weight_shape[0], *geometry.output_size))
    y, grad_x, grad_weight = by(name, grad_output, x, weight, None, options)
    assert adjoint_gap(y, grad_output, x, grad_x) < 1e-12
    assert adjoint_gap(y, grad_output, weight, grad_weight) < 1e-12


def test_each_direction_asks_for_its_own_algorithm(monkeypatch):
    asked = []

    def noted(name):
        ways = ALGORITHMS[name]._asdict().items()
        return conv.Algorithm(*(lambda *a, f=f, way=way: asked.append((name, way)) or f(*a) for way, f in ways))

    monkeypatch.setattr(conv, "ALGORITHMS", {name: noted(name) for name in ALGORITHMS})
    x, weight = np.ones((1, 32, 4, 4)), np.ones((32, 32, 3, 3))
    grad_output = fast.conv2d(x, weight)
    fast.conv2d_backward(grad_output, x, weight)
    assert asked == [("winograd2", "forward"), ("winograd4", "grad_x"), ("winograd2", "grad_weight")]
