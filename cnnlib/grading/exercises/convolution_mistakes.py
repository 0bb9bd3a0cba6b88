"""Mistakes that people make with convolution, each as the function that makes it: sizes, forward, symmetry."""

from __future__ import annotations

import math

import numpy as np

from cnnlib.grading.spec import Mistake
from cnnlib.ops_numpy import conv2d

# --- q1 ----------------------------------------------------------------------------------------------------------


def _sizes(padded: int, span: int, stride: int) -> tuple[float, float]:
    windows = (padded - span) // stride + 1
    return windows, padded - span - (windows - 1) * stride


def _rounded(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> tuple[float, float]:
    steps = (size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride
    return round(steps) + 1, round(steps) * stride - steps * stride


def _ceiled(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> tuple[float, float]:
    reach = size + 2 * padding - dilation * (kernel_size - 1) - 1
    windows = math.ceil(reach / stride) + 1
    return windows, reach - (windows - 1) * stride


def _fraction(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> tuple[float, float]:
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride + 1, 0


def _off_by_one(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> tuple[float, float]:
    reach = size + 2 * padding - dilation * (kernel_size - 1) - 1
    return reach // stride, reach - (reach // stride - 1) * stride


def _remainder_of_padded(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> tuple[float, float]:
    padded = size + 2 * padding
    return _sizes(padded, dilation * (kernel_size - 1) + 1, stride)[0], padded % stride


def _all_uncovered_by_steps(
    size: int, kernel_size: int, stride: int, padding: int, dilation: int
) -> tuple[float, float]:
    padded = size + 2 * padding
    windows = _sizes(padded, dilation * (kernel_size - 1) + 1, stride)[0]
    return windows, padded - windows * stride


OUTPUT_SIZE = (
    Mistake(
        "Your leftover is always 0, but the last window need not reach the end.",
        lambda n, k, s, p, d: (_sizes(n + 2 * p, d * (k - 1) + 1, s)[0], 0),
    ),
    Mistake("Padding was ignored.", lambda n, k, s, p, d: _sizes(n, d * (k - 1) + 1, s)),
    Mistake(
        "Padding was added on one side only: there is as much at both ends.",
        lambda n, k, s, p, d: _sizes(n + p, d * (k - 1) + 1, s),
    ),
    Mistake("The stride was ignored.", lambda n, k, s, p, d: _sizes(n + 2 * p, d * (k - 1) + 1, 1)),
    Mistake("Dilation was ignored.", lambda n, k, s, p, d: _sizes(n + 2 * p, k, s)),
    Mistake(
        "Dilation was counted as if every tap brought a gap with it: between k taps there are k − 1 gaps.",
        lambda n, k, s, p, d: _sizes(n + 2 * p, d * k, s),
    ),
    Mistake(
        "Dilation was counted as the number of skipped positions: dilation 1 skips none.",
        lambda n, k, s, p, d: _sizes(n + 2 * p, (d + 1) * (k - 1) + 1, s),
    ),
    Mistake("Off by one: the first window needs no step, so there is one more window than steps.", _off_by_one),
    Mistake("You rounded to the nearest whole number, but a window that overhangs does not count.", _rounded),
    Mistake("You rounded up, but a window that overhangs does not count.", _ceiled),
    Mistake("You kept the fraction: a part of a window does not count.", _fraction),
    Mistake(
        "The leftover is what lies beyond the last window, not the remainder of the whole length.",
        _remainder_of_padded,
    ),
    Mistake(
        "The leftover was counted as if each window took one stride of room: windows have a size of their own.",
        _all_uncovered_by_steps,
    ),
)

# --- q2 ----------------------------------------------------------------------------------------------------------


def padded(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """Return x with zeros before and after both spatial axes."""
    return np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))


def _transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    if weight.shape[2] != weight.shape[3]:
        raise ValueError("a transposed oblong kernel has another shape")
    return conv2d(x, weight.swapaxes(2, 3).copy(), bias, stride=stride, padding=padding)


def _bias_per_tap(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    return conv2d(x, weight, bias * weight[0].size, stride=stride, padding=padding)


def _bias_per_channel(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    return conv2d(x, weight, bias * weight.shape[1], stride=stride, padding=padding)


def _one_filter(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    y = conv2d(x, weight[:1], bias[:1], stride=stride, padding=padding)
    return np.repeat(y, len(weight), axis=1)


def _one_image(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    y = conv2d(x[:1], weight, bias, stride=stride, padding=padding)
    return np.repeat(y, len(x), axis=0)


def _only_first_image(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    y = conv2d(x, weight, bias, stride=stride, padding=padding)
    y[1:] = 0
    return y


def _stride_kept_corner(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    y = conv2d(x, weight, bias, padding=padding)
    rows, columns = conv2d(x, weight, bias, stride=stride, padding=padding).shape[2:]
    return y[:, :, :rows, :columns]


FORWARD = (
    Mistake(
        "Your kernel is flipped: this is convolution in the mathematician's sense, and the question asks for "
        "what networks compute.",
        lambda x, w, b, s, p: conv2d(x, w[:, :, ::-1, ::-1].copy(), b, stride=s, padding=p),
    ),
    Mistake("Your kernel is transposed: its rows and columns are exchanged.", _transposed),
    Mistake("The bias was ignored.", lambda x, w, b, s, p: conv2d(x, w, stride=s, padding=p)),
    Mistake(
        "The bias was added once for every tap of the kernel: it is added once for each output number.", _bias_per_tap
    ),
    Mistake("The bias was added once for every channel: it is added once for each output number.", _bias_per_channel),
    Mistake("The bias was subtracted.", lambda x, w, b, s, p: conv2d(x, w, -b, stride=s, padding=p)),
    Mistake("Padding was ignored.", lambda x, w, b, s, p: conv2d(x, w, b, stride=s)),
    Mistake(
        "Padding was added on one side only: there is as much at both ends.",
        lambda x, w, b, s, p: conv2d(padded(x, p, 0), w, b, stride=s),
    ),
    Mistake(
        "Padding was added on one side only: there is as much at both ends.",
        lambda x, w, b, s, p: conv2d(padded(x, 0, p), w, b, stride=s),
    ),
    Mistake(
        "The zeros were all put on one side: there are as many at both ends.",
        lambda x, w, b, s, p: conv2d(padded(x, 2 * p, 0), w, b, stride=s),
    ),
    Mistake(
        "The zeros were all put on one side: there are as many at both ends.",
        lambda x, w, b, s, p: conv2d(padded(x, 0, 2 * p), w, b, stride=s),
    ),
    Mistake(
        "You padded with copies of the border: the padding is of zeros.",
        lambda x, w, b, s, p: conv2d(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), "edge"), w, b, stride=s),
    ),
    Mistake("The stride was ignored.", lambda x, w, b, s, p: conv2d(x, w, b, padding=p)),
    Mistake(
        "The output has the size that the stride asks for, but its windows still move by one.", _stride_kept_corner
    ),
    Mistake(
        "The stride was used along the height only.", lambda x, w, b, s, p: conv2d(x, w, b, stride=(s, 1), padding=p)
    ),
    Mistake(
        "The stride was used along the width only.", lambda x, w, b, s, p: conv2d(x, w, b, stride=(1, s), padding=p)
    ),
    Mistake(
        "All channels but the first were ignored: a filter spans all of them.",
        lambda x, w, b, s, p: conv2d(x[:, :1], w[:, :1], b, stride=s, padding=p),
    ),
    Mistake(
        "All channels but the last were lost: did you write = where += is meant?",
        lambda x, w, b, s, p: conv2d(x[:, -1:], w[:, -1:], b, stride=s, padding=p),
    ),
    Mistake(
        "The window was averaged: its products are summed and not divided.",
        lambda x, w, b, s, p: conv2d(x, w / w[0].size, b, stride=s, padding=p),
    ),
    Mistake(
        "The channels were averaged: their products are summed and not divided.",
        lambda x, w, b, s, p: conv2d(x, w / w.shape[1], b, stride=s, padding=p),
    ),
    Mistake("Every output channel was made by the first filter.", _one_filter),
    Mistake("Every image of the batch got the output of the first.", _one_image),
    Mistake("Only the first image of the batch was computed.", _only_first_image),
)

# --- q4 ----------------------------------------------------------------------------------------------------------


def _differs(kernels: np.ndarray, others: np.ndarray) -> np.ndarray:
    return (kernels != others).any(axis=(1, 2))


def _transpose_differs(kernels: np.ndarray) -> np.ndarray:
    if kernels.shape[1] != kernels.shape[2]:
        raise ValueError("an oblong kernel has no transpose of its own shape")
    return _differs(kernels, kernels.swapaxes(1, 2))


WHICH_KERNELS = (
    Mistake("You answered the opposite question: which kernels cannot tell.", lambda k: ~_differs(k, k[:, ::-1, ::-1])),
    Mistake(
        "You compared with the transpose: convolution turns the kernel, it does not mirror it.", _transpose_differs
    ),
    Mistake("You mirrored left and right only: convolution reverses both axes.", lambda k: _differs(k, k[:, :, ::-1])),
    Mistake("You mirrored up and down only: convolution reverses both axes.", lambda k: _differs(k, k[:, ::-1])),
    Mistake(
        "You reversed the stack of kernels as well: only the two axes of each kernel turn.",
        lambda k: _differs(k, k[::-1, ::-1, ::-1]),
    ),
    Mistake(
        "You took a kernel that changes sign for one that stays: its two outputs differ by their sign.",
        lambda k: _differs(k, k[:, ::-1, ::-1]) & _differs(k, -k[:, ::-1, ::-1]),
    ),
    Mistake(
        "You asked whether a mirror image differs; convolution reverses both axes at once.",
        lambda k: _differs(k, k[:, ::-1]) | _differs(k, k[:, :, ::-1]),
    ),
    Mistake("Every kernel got the same answer.", lambda k: np.ones(len(k), bool)),
    Mistake("Every kernel got the same answer.", lambda k: np.zeros(len(k), bool)),
)
