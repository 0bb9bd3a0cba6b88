"""Normalisation: subtract a mean, divide by a standard deviation, then scale and shift.

The four operators differ only in which values share a mean: those of one channel, over the whole batch (batch norm);
the last axes of one sample (layer norm); a few channels of one image (group norm); one of them (instance norm).

Of m values that share mean μ and σ = √(variance + ε), each x̂ = (x − μ)/σ depends on every x. With g the gradient of x̂,
∂μ/∂x = 1/m and ∂σ/∂x = x̂/m, so that

    grad_x = (g − mean(g) − x̂ · mean(g · x̂)) / σ

What g has in common with the constant vector and (but for ε) with x̂ itself is taken out: those directions the output
does not see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnlib.checks import norm as checks

Axes = tuple[int, ...]
Moments = tuple[np.ndarray, np.ndarray, np.ndarray]


def _mean(x: np.ndarray, axes: Axes) -> np.ndarray:
    """Return the mean over `axes`, which stay with size 1; 0 over nothing, as there is in an empty batch."""
    return x.sum(axes, keepdims=True) / max(1, int(np.prod([x.shape[a] for a in axes])))


def _standardise(x: np.ndarray, axes: Axes, eps: float) -> tuple[np.ndarray, Moments]:
    """Return x̂ and (mean, biased variance, √(variance + eps)) of the values that differ along `axes` only."""
    mean = _mean(x, axes)
    centred = x - mean
    rest = _mean(centred, axes)  # what rounding left: float32 holds a mean of 10,000 to 0.0005 only
    centred -= rest
    variance = _mean(centred**2, axes)
    sigma = np.sqrt(variance + eps)
    mean = np.where(np.isfinite(mean), mean + rest, mean)  # ∞ stays ∞
    return centred / sigma, (mean, variance, sigma)


def _standardise_backward(grad: np.ndarray, x_hat: np.ndarray, sigma: np.ndarray, axes: Axes) -> np.ndarray:
    return (grad - _mean(grad, axes) - x_hat * _mean(grad * x_hat, axes)) / sigma


def _affine(x_hat: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None) -> np.ndarray:
    y = x_hat if weight is None else x_hat * weight
    return y if bias is None else y + bias


def _along(values: np.ndarray | None, x: np.ndarray) -> np.ndarray | None:
    """Turn one value per channel (C,) into (C, 1, …), to stand beside x (N, C, …)."""
    return None if values is None else values.reshape(-1, *[1] * (x.ndim - 2))


def _all_but_channels(x: np.ndarray) -> Axes:
    return (0, *range(2, x.ndim))


def batch_norm(
    x: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return (y, running_mean, running_var), y = (x − mean)/√(var + eps) · weight + bias, channel by channel.

    x (N, C, …) of at least two axes; the others (C,). When `training`, mean and variance are those of the batch, and
    new running statistics are returned, (1 − momentum) · old + momentum · batch: nothing is changed in place, where
    `torch.nn.functional.batch_norm` returns y alone and writes into its arguments. Two conventions stand side by side,
    as in torch: y is divided by the *biased* variance (over m values), running_var collects the *unbiased* one (over
    m − 1). Torch's momentum is the weight of the *new* value; Keras calls momentum what is 1 − momentum here. In use
    (`training=False`) the running statistics normalise, and come back as they are. They may both be None in training;
    an empty batch leaves them alone.

    Raises ValueError, naming the argument, for shapes and dtypes that do not match, and in training for a single value
    per channel, whose variance says nothing. Ioffe and Szegedy (2015), https://arxiv.org/abs/1502.03167, section 3.

    >>> y, mean, var = batch_norm(np.array([[1.0], [3.0]]), np.zeros(1), np.ones(1), training=True)
    >>> y.round(3).ravel(), mean, var  # var = 0.9 · 1 + 0.1 · 2
    (array([-1.,  1.]), array([0.2]), array([1.1]))
    """
    C, eps = checks.batch_norm_operands(x, running_mean, running_var, training, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight, bias=bias)
    momentum = checks.number("momentum", momentum)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        x_hat, (mean, variance, _) = _channel_statistics(x, running_mean, running_var, training, eps)
        if training and running_mean is not None and running_var is not None and len(x):
            m = x.size // C
            running_mean = (1 - momentum) * running_mean + momentum * mean.reshape(C)
            running_var = (1 - momentum) * running_var + momentum * variance.reshape(C) * (m / (m - 1))
        return _affine(x_hat, _along(weight, x), _along(bias, x)), running_mean, running_var


def batch_norm_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None = None,
    *,
    training: bool = False,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of the y of `batch_norm`, whose momentum does not matter here.

    The running statistics are constants, and in training they are not used. Where there is no weight the last two are
    the gradients at weight 1 and bias 0. Raises ValueError as `batch_norm` does.

    >>> x, grad_output = np.array([[1.0], [3.0], [5.0]]), np.array([[1.0], [0.0], [0.0]])
    >>> batch_norm_backward(grad_output, x, np.zeros(1), np.ones(1), eps=0.0)[0].ravel()  # in use: a constant scale
    array([1., 0., 0.])
    >>> grad_x, _, _ = batch_norm_backward(grad_output, x, None, None, training=True)
    >>> bool(abs(grad_x.sum()) < 1e-12)  # in training: a shift of the whole batch changes nothing
    True
    """
    C, eps = checks.batch_norm_operands(x, running_mean, running_var, training, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight)
    checks.upstream(grad_output, x, np.ndarray)
    axes = _all_but_channels(x)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        x_hat, (_, _, sigma) = _channel_statistics(x, running_mean, running_var, training, eps)
        grad = _affine(grad_output, _along(weight, x), None)
        grad_x = _standardise_backward(grad, x_hat, sigma, axes) if training else grad / sigma
        return grad_x, (grad_output * x_hat).sum(axes), grad_output.sum(axes)


def _channel_statistics(x, running_mean, running_var, training, eps):
    """Return x̂ and (mean, variance, √(variance + eps)), of the batch in training and of the past in use."""
    if training:
        return _standardise(x, _all_but_channels(x), eps)
    mean, variance = _along(running_mean, x), _along(running_var, x)
    sigma = np.sqrt(variance + eps)
    return (x - mean) / sigma, (mean, variance, sigma)


def layer_norm(
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    eps: float = 1e-5,
) -> np.ndarray:
    """Normalise each sample over its last axes: (x − mean)/√(var + eps) · weight + bias.

    x (…, *normalized_shape); weight and bias of normalized_shape, one value per *position*; an int is a tuple of one.
    The variance is the biased one. As in `torch.nn.functional.layer_norm`. Raises ValueError unless x ends in these
    sizes, none of them 0. Ba, Kiros and Hinton (2016), https://arxiv.org/abs/1607.06450, section 3.

    >>> layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), 2).round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    shape, eps = checks.layer_norm_operands(x, normalized_shape, eps, np.ndarray)
    checks.per_value(x, shape, np.ndarray, weight=weight, bias=bias)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        x_hat, _ = _standardise(x, tuple(range(x.ndim - len(shape), x.ndim)), eps)
        return _affine(x_hat, weight, bias)


def layer_norm_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    normalized_shape: int | Sequence[int],
    weight: np.ndarray | None = None,
    *,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `layer_norm`; without a weight, those at weight 1 and bias 0.

    >>> x = np.array([[1.0, 3.0, 5.0]])
    >>> grad_x, grad_weight, grad_bias = layer_norm_backward(np.ones((1, 3)), x, 3)
    >>> abs(grad_x).max() < 1e-12, grad_bias  # the sum of normalised values is always 0
    (np.True_, array([1., 1., 1.]))
    """
    shape, eps = checks.layer_norm_operands(x, normalized_shape, eps, np.ndarray)
    checks.per_value(x, shape, np.ndarray, weight=weight)
    checks.upstream(grad_output, x, np.ndarray)
    leading = x.ndim - len(shape)
    axes, samples = tuple(range(leading, x.ndim)), tuple(range(leading))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        x_hat, (_, _, sigma) = _standardise(x, axes, eps)
        grad_x = _standardise_backward(_affine(grad_output, weight, None), x_hat, sigma, axes)
        return grad_x, (grad_output * x_hat).sum(samples), grad_output.sum(samples)


def group_norm(
    x: np.ndarray,
    num_groups: int,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    eps: float = 1e-5,
) -> np.ndarray:
    """Normalise each image over the pixels of C / num_groups neighbouring channels at a time.

    x (N, C, …); weight and bias (C,). With one group this is layer norm over (C, …), but for its weight per channel;
    with C groups, instance norm. As in `torch.nn.functional.group_norm`, except that torch refuses groups of one value
    in a batch of one; here, as there in larger batches, they become their bias. Raises ValueError unless `num_groups`
    divides C. Wu and He (2018), https://arxiv.org/abs/1803.08494, section 3.

    >>> group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2).round(3)
    array([[-1.,  1., -1.,  1.]])
    """
    C, groups, eps = checks.group_norm_operands(x, num_groups, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight, bias=bias)
    grouped, axes = _grouped(x, groups)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        x_hat, _ = _standardise(grouped, axes, eps)
        return _affine(x_hat.reshape(x.shape), _along(weight, x), _along(bias, x))


def group_norm_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    num_groups: int,
    weight: np.ndarray | None = None,
    *,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `group_norm`; without a weight, those at weight 1 and bias 0.

    >>> [g.shape for g in group_norm_backward(np.ones((2, 4, 3)), np.ones((2, 4, 3)), 2)]
    [(2, 4, 3), (4,), (4,)]
    """
    C, groups, eps = checks.group_norm_operands(x, num_groups, eps, np.ndarray)
    checks.per_value(x, (C,), np.ndarray, weight=weight)
    checks.upstream(grad_output, x, np.ndarray)
    grouped, axes = _grouped(x, groups)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        x_hat, (_, _, sigma) = _standardise(grouped, axes, eps)
        grad = _affine(grad_output, _along(weight, x), None).reshape(grouped.shape)
        grad_x = _standardise_backward(grad, x_hat, sigma, axes).reshape(x.shape)
        others = _all_but_channels(x)
        return grad_x, (grad_output * x_hat.reshape(x.shape)).sum(others), grad_output.sum(others)


def _grouped(x: np.ndarray, groups: int) -> tuple[np.ndarray, Axes]:
    """Return x as (N, groups, C // groups, …) and the axes of a group."""
    grouped = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return grouped, tuple(range(2, grouped.ndim))


def instance_norm(
    x: np.ndarray, weight: np.ndarray | None = None, bias: np.ndarray | None = None, *, eps: float = 1e-5
) -> np.ndarray:
    """Normalise each channel of each image by its own mean and biased variance: `group_norm` with C groups.

    x (N, C, L, …) of more than one value per channel and image; weight and bias (C,). `torch.nn.functional
    .instance_norm` with its default `use_input_stats=True`; the running statistics that torch puts between x and
    weight, and can use instead, are left out: with them it is `batch_norm` in use. Raises ValueError, naming the
    argument. Ulyanov, Vedaldi and Lempitsky (2016), https://arxiv.org/abs/1607.08022.

    >>> instance_norm(np.array([[[1.0, 3.0], [10.0, 30.0]]])).round(3)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """
    C, eps = checks.instance_norm_operands(x, eps, np.ndarray)
    return group_norm(x, C, weight, bias, eps=eps)


def instance_norm_backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray | None = None, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (grad_x, grad_weight, grad_bias) of `instance_norm`; without a weight, those at weight 1 and bias 0.

    >>> grad_x, _, grad_bias = instance_norm_backward(np.ones((1, 1, 3)), np.array([[[1.0, 2.0, 4.0]]]))
    >>> abs(grad_x).max() < 1e-12, grad_bias
    (np.True_, array([3.]))
    """
    C, eps = checks.instance_norm_operands(x, eps, np.ndarray)
    return group_norm_backward(grad_output, x, C, weight, eps=eps)
