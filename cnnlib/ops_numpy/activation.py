"""Rectifiers and their smooth relatives: one number in, one number out; and maxout, several in, one out.

Each backward is grad_output times the derivative: the Jacobian of an elementwise function is diagonal.
"""

from __future__ import annotations

import math

import numpy as np

from cnnlib import checks

# The α and λ that make mean 0 and variance 1 a fixed point of a layer: Klambauer et al. (2017)
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def relu(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0), element by element; NaN stays NaN.

    x of any shape. Raises ValueError unless x is a float32 or float64 array. Nair and Hinton (2010), section 2.

    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    checks.floating("x", x, np.ndarray)
    return np.asarray(np.maximum(0, x))  # an array of a single number too; in this order −0 stays −0, as in torch


def relu_backward(grad_output: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Let the gradient pass where x > 0, or NaN. At the kink, x = 0, it is 0, as in torch.

    Any value from 0 to 1 would be a subgradient there.

    >>> relu_backward(np.ones(3), np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 1.])
    """
    checks.matching("grad_output", grad_output, "x", x, np.ndarray)
    return np.where(x <= 0, 0, grad_output)


def leaky_relu(x: np.ndarray, *, negative_slope: float = 0.01) -> np.ndarray:
    """Return x where x > 0, else negative_slope · x: no unit dies, as its gradient never vanishes.

    x of any shape. Raises ValueError unless x is a float32 or float64 array and the slope a finite number. Maas, Hannun
    and Ng (2013), section 2; learned, the slope makes a PReLU: He et al. (2015), https://arxiv.org/abs/1502.01852.

    >>> leaky_relu(np.array([-2.0, 0.0, 3.0]))
    array([-0.02,  0.  ,  3.  ])
    """
    checks.floating("x", x, np.ndarray)
    negative_slope = checks.number("negative_slope", negative_slope)
    with np.errstate(invalid="ignore"):  # 0 · ∞
        return np.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(grad_output: np.ndarray, x: np.ndarray, *, negative_slope: float = 0.01) -> np.ndarray:
    """Scale the gradient by 1 where x > 0, by the slope elsewhere: at the kink too, and, as in torch, where x is NaN.

    >>> leaky_relu_backward(np.ones(3), np.array([-2.0, 0.0, 3.0]))
    array([0.01, 0.01, 1.  ])
    """
    checks.matching("grad_output", grad_output, "x", x, np.ndarray)
    negative_slope = checks.number("negative_slope", negative_slope)
    with np.errstate(invalid="ignore"):
        return np.where(x > 0, grad_output, negative_slope * grad_output)


def elu(x: np.ndarray, *, alpha: float = 1.0) -> np.ndarray:
    """Return x where x ≥ 0, else α(eˣ − 1), which saturates at −α.

    x of any shape. Raises ValueError unless x is a float32 or float64 array and alpha a finite number. Clevert et al.
    (2016), section 3, https://arxiv.org/abs/1511.07289.

    >>> elu(np.array([-np.log(2), 0.0, 3.0]))
    array([-0.5,  0. ,  3. ])
    """
    checks.floating("x", x, np.ndarray)
    return _elu(x, checks.number("alpha", alpha))


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def elu_backward(grad_output: np.ndarray, x: np.ndarray, *, alpha: float = 1.0) -> np.ndarray:
    """Scale the gradient by 1 where x > 0, else by αeˣ: at x = 0, a kink unless α = 1, by α, as in torch.

    Where x is NaN so is the gradient; torch gives NaN in most of a long CPU tensor, and 1 at its end and on a GPU.

    >>> elu_backward(np.ones(3), np.array([-np.log(2), 0.0, 3.0]), alpha=2.0)
    array([1., 2., 1.])
    """
    checks.matching("grad_output", grad_output, "x", x, np.ndarray)
    return np.asarray(grad_output * _elu_slope(x, checks.number("alpha", alpha)))


def selu(x: np.ndarray) -> np.ndarray:
    """Return λ elu(x, α) with the α and λ that keep mean 0 and variance 1 from layer to layer.

    x of any shape. Raises ValueError unless x is a float32 or float64 array. Klambauer et al. (2017), equation 2,
    https://arxiv.org/abs/1706.02515.

    >>> selu(np.array([-100.0, 0.0, 1.0])).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """
    checks.floating("x", x, np.ndarray)
    return np.asarray(SELU_SCALE * _elu(x, SELU_ALPHA))


@np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN
def selu_backward(grad_output: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Scale the gradient by λ where x > 0, else by λαeˣ: at the kink, x = 0, by λα, as in torch; at NaN as `elu`'s.

    >>> selu_backward(np.ones(3), np.array([-100.0, 0.0, 1.0])).round(4)
    array([0.    , 1.7581, 1.0507])
    """
    checks.matching("grad_output", grad_output, "x", x, np.ndarray)
    return np.asarray(grad_output * (SELU_SCALE * _elu_slope(x, SELU_ALPHA)))


def gelu(x: np.ndarray, *, approximate: str = "none") -> np.ndarray:
    """Return x Φ(x), Φ the standard normal distribution function, or its approximation by a tanh.

    Φ(x) = ½ erfc(−x/√2); for approximate="tanh" it is ½(1 + tanh(√(2/π)(x + 0.044715 x³))). x of any shape; at −∞ the
    result is NaN, as in torch. Raises ValueError unless x is a float32 or float64 array and `approximate` "none" or
    "tanh". Hendrycks and Gimpel (2016), section 2, https://arxiv.org/abs/1606.08415.

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4), gelu(np.array([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
    (array([-0.1587,  0.    ,  0.8413]), array([-0.1588,  0.    ,  0.8412]))
    """
    checks.floating("x", x, np.ndarray)
    checks.choice("approximate", approximate, ("none", "tanh"))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(x * _phi(x, approximate))


def gelu_backward(grad_output: np.ndarray, x: np.ndarray, *, approximate: str = "none") -> np.ndarray:
    """Scale the gradient by (xΦ)' = Φ + xΦ': Φ' is the normal density, or the derivative of the approximation.

    >>> gelu_backward(np.ones(3), np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.0833,  0.5   ,  1.0833])
    """
    checks.matching("grad_output", grad_output, "x", x, np.ndarray)
    checks.choice("approximate", approximate, ("none", "tanh"))
    with np.errstate(invalid="ignore", over="ignore"):
        phi = _phi(x, approximate)
        if approximate == "none":
            density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        else:  # (½(1 + t))' = ½(1 − t²) · √(2/π)(1 + 3 · 0.044715 x²), and ½(1 − t²) = 2Φ(1 − Φ)
            density = 2 * phi * (1 - phi) * (math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x))
        return np.asarray(grad_output * (phi + x * density))


def maxout(x: np.ndarray, pieces: int) -> np.ndarray:
    """Return the maximum of every `pieces` consecutive channels: x (N, C, …) → (N, C / pieces, …).

    After `linear` or a convolution these are the pieces of a convex function that the layer learns. As in
    `max_pool2d`, over channels: the first wins a tie; NaN wins always. torch.nn.functional has no such function. Raises
    ValueError, naming the argument, unless `pieces` divides C. Goodfellow et al. (2013), section 3,
    https://arxiv.org/abs/1302.4389.

    >>> maxout(np.array([[1.0, 5.0, -2.0, -3.0]]), 2)
    array([[ 5., -2.]])
    """
    grouped = _pieces(x, pieces)
    winner = np.expand_dims(grouped.argmax(axis=2), 2)
    return np.take_along_axis(grouped, winner, 2).squeeze(2)


def maxout_backward(grad_output: np.ndarray, x: np.ndarray, pieces: int) -> np.ndarray:
    """Send each gradient to the channel that won: the first maximum, or the first NaN. Returns the shape of x.

    (The gradient of torch.amax shares it between those that tie; that of torch.max(dim) does as here.)

    >>> maxout_backward(np.array([[7.0, 8.0]]), np.array([[5.0, 5.0, -2.0, -3.0]]), 2)
    array([[7., 0., 8., 0.]])
    """
    grouped = _pieces(x, pieces)  # (N, C / pieces, pieces, …)
    N, groups, pieces, *spatial = grouped.shape
    checks.shaped("grad_output", grad_output, (N, groups, *spatial), np.ndarray)
    checks.like("grad_output", grad_output, "x", x)
    winner = np.expand_dims(grouped.argmax(axis=2), 2)
    place = np.arange(pieces).reshape(pieces, *[1] * len(spatial))
    return np.where(place == winner, np.expand_dims(grad_output, 2), 0).reshape(x.shape)


def _elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def _elu_slope(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def _phi(x: np.ndarray, approximate: str) -> np.ndarray:
    """Return Φ(x), that erfc keeps exact far out on the left, where 1 + erf would cancel; or its approximation."""
    if approximate == "none":
        return _erfc(-x / math.sqrt(2)).astype(x.dtype) / 2
    return (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))) / 2


_erfc = np.vectorize(math.erfc, otypes=[np.float64])  # NumPy has none; 0.1 µs a number


def _pieces(x: np.ndarray, pieces: int) -> np.ndarray:
    """Return x (N, C, …) as a view (N, C / pieces, pieces, …)."""
    pieces = checks.maxout_operands(x, pieces, np.ndarray)
    return x.reshape(x.shape[0], x.shape[1] // pieces, pieces, *x.shape[2:])
