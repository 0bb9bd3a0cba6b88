"""Assignment 04: output sizes, convolution forward and backward, and which kernels can tell two conventions apart."""

from __future__ import annotations

from itertools import product

import numpy as np

from cnnlib.grading.exercises import convolution_mistakes as mistakes
from cnnlib.grading.exercises.convolution_backward_mistakes import BACKWARD as BACKWARD_MISTAKES
from cnnlib.grading.spec import Arguments, Arrays, Assignment, Law, Part, Question
from cnnlib.ops_numpy import conv2d, conv2d_backward
from cnnlib.shapes import conv_leftover, conv_output_size

# --- q1: how many windows fit, and what is left over ------------------------------------------------------------


def sizes(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> tuple[int, int]:
    """Return the right answer to q1."""
    windows = conv_output_size(size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    return windows, conv_leftover(size, kernel_size, stride=stride, padding=padding, dilation=dilation)


def draw_sizes(
    rng: np.random.Generator, strides: list[int], paddings: list[int], dilations: list[int]
) -> list[Arguments]:
    """Draw axes: each stride with each leftover, padding and dilation, so that no wrong rounding gets by."""
    calls: list[Arguments] = []
    first = int(rng.integers(4))
    for stride, padding, dilation in product(strides, paddings, dilations):
        for leftover in range(stride):
            kernel_size, windows = 2 + (first + len(calls)) % 4, int(rng.integers(4, 8))
            padded = dilation * (kernel_size - 1) + 1 + (windows - 1) * stride + leftover
            calls.append(
                {
                    "size": padded - 2 * padding,
                    "kernel_size": kernel_size,
                    "stride": stride,
                    "padding": padding,
                    "dilation": dilation,
                }
            )
    return calls


def windows_fit(call: Arguments, answer: Arrays) -> bool:
    """Whether the last window ends inside the padded input and another would not."""
    span = call["dilation"] * (call["kernel_size"] - 1) + 1
    end = (float(answer[0]) - 1) * call["stride"] + span
    padded = call["size"] + 2 * call["padding"]
    return bool(end <= padded < end + call["stride"])


OUTPUT_SIZE = Question(
    name="q1",
    title="How many windows fit?",
    function="output_size",
    outputs=("windows", "leftover"),
    reference=sizes,
    parts=(
        Part("windows: stride 1, with padding", 1, lambda rng: draw_sizes(rng, [1], [0, 1, 1, 2, 2], [1]), output=0),
        Part("windows: strides", 1, lambda rng: draw_sizes(rng, [2, 3, 4, 5], [0], [1]), output=0),
        Part("windows: dilation", 1, lambda rng: draw_sizes(rng, [1], [0], [2, 2, 3, 3]), output=0),
        Part("leftover", 1, lambda rng: draw_sizes(rng, [2, 3, 4], [0, 1], [1, 2]), output=1),
    ),
    mistakes=mistakes.OUTPUT_SIZE,
    laws=(
        Law("The last window must end inside the padded input, and one more stride must not fit.", windows_fit),
        Law(
            "There are always fewer positions left over than one stride, and never less than none.",
            lambda call, answer: bool(0 <= float(answer[1]) < call["stride"]),
            output=1,
        ),
    ),
)

# --- q2: forward -------------------------------------------------------------------------------------------------


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Return the right answer to q2."""
    return conv2d(x, weight, bias, stride=stride, padding=padding)


def draw_forward(
    rng: np.random.Generator,
    *,
    many: bool = True,
    square: bool = False,
    bias: bool = False,
    stride: int = 1,
    padding: int = 0,
) -> Arguments:
    """Draw one call: small, with height and width apart; `many` images, channels and filters, or one of each."""
    N, C, F = (int(n) for n in (rng.integers(2, 4, size=3) if many else (1, 1, 1)))
    kh = int(rng.integers(2, 4))
    kw = kh if square else 5 - kh
    H, W = 6 + int(rng.integers(2)), 8 + int(rng.integers(2))
    return {
        "x": rng.normal(size=(N, C, H, W)),
        "weight": rng.normal(size=(F, C, kh, kw)),
        "bias": rng.normal(size=F) if bias else np.zeros(F),
        "stride": stride,
        "padding": padding,
    }


FORWARD = Question(
    name="q2",
    title="Convolution, forward",
    function="conv2d",
    outputs=("y",),
    reference=forward,
    parts=(
        Part(
            "one image, one channel, one filter",
            1,
            lambda rng: [draw_forward(rng, many=False, square=True) for _ in range(3)],
        ),
        Part("images, channels and filters", 1, lambda rng: [draw_forward(rng) for _ in range(3)]),
        Part("stride", 1, lambda rng: [draw_forward(rng, stride=s) for s in (2, 3)]),
        Part("padding", 1, lambda rng: [draw_forward(rng, padding=p) for p in (1, 2)]),
        Part("bias", 1, lambda rng: [draw_forward(rng, bias=True) for _ in range(2)]),
    ),
    mistakes=mistakes.FORWARD,
)

# --- q3: backward ------------------------------------------------------------------------------------------------


def backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, stride: int, padding: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the right answer to q3."""
    return conv2d_backward(grad_output, x, weight, stride=stride, padding=padding)


def draw_backward(rng: np.random.Generator, *, stride: int = 1, padding: int = 0, leftover: int = 0) -> Arguments:
    """Draw one call whose last `leftover` rows and columns lie under no window."""
    N, C, F = (int(n) for n in rng.integers(2, 4, size=3))
    kh = int(rng.integers(2, 4))
    kw = 5 - kh
    Ho, Wo = int(rng.integers(3, 5)), int(rng.integers(3, 5))
    H, W = ((n - 1) * stride + k + leftover - 2 * padding for n, k in ((Ho, kh), (Wo, kw)))
    return {
        "grad_output": rng.normal(size=(N, F, Ho, Wo)),
        "x": rng.normal(size=(N, C, H, W)),
        "weight": rng.normal(size=(F, C, kh, kw)),
        "stride": stride,
        "padding": padding,
    }


def adjoint(call: Arguments, grad: np.ndarray, operand: str) -> bool:
    """Whether ⟨grad_output, conv2d(x, weight)⟩ = ⟨gradient, operand⟩, which linearity in the operand demands."""
    y = conv2d(call["x"], call["weight"], stride=call["stride"], padding=call["padding"])
    left, right = float((call["grad_output"] * y).sum()), float((grad * call[operand]).sum())
    return abs(left - right) <= 1e-6 * max(1.0, abs(left))


BACKWARD = Question(
    name="q3",
    title="Convolution, backward",
    function="conv2d_backward",
    outputs=("grad_x", "grad_weight", "grad_bias"),
    reference=backward,
    parts=(
        Part("grad_bias", 1, lambda rng: [draw_backward(rng) for _ in range(2)], output=2),
        Part("grad_weight: stride 1", 1, lambda rng: [draw_backward(rng) for _ in range(2)], output=1),
        Part(
            "grad_weight: stride and padding",
            1,
            lambda rng: [draw_backward(rng, stride=s, padding=1, leftover=s - 1) for s in (2, 3)],
            output=1,
        ),
        Part("grad_x: stride 1", 1, lambda rng: [draw_backward(rng) for _ in range(2)], output=0),
        Part("grad_x: padding", 1, lambda rng: [draw_backward(rng, padding=1) for _ in range(2)], output=0),
        Part("grad_x: stride", 1, lambda rng: [draw_backward(rng, stride=s) for s in (2, 3)], output=0),
        Part(
            "grad_x: where no window reaches",
            1,
            lambda rng: [draw_backward(rng, stride=s, leftover=s - 1) for s in (2, 3)],
            output=0,
        ),
    ),
    mistakes=BACKWARD_MISTAKES,
    laws=(
        Law(
            "y is linear in x, so the sum of grad_output · conv2d(x, weight) must equal the sum of grad_x · x.",
            lambda call, answer: adjoint(call, answer[0], "x"),
        ),
        Law(
            "y is linear in weight, so the sum of grad_output · conv2d(x, weight) must equal the sum of "
            "grad_weight · weight.",
            lambda call, answer: adjoint(call, answer[1], "weight"),
            output=1,
        ),
    ),
)

# --- q4: which kernels can tell convolution from correlation -----------------------------------------------------


def tells_apart(kernels: np.ndarray) -> np.ndarray:
    """Return the right answer to q4, (M,) booleans: a kernel that equals its own half turn gives the same both ways."""
    return (kernels != kernels[:, ::-1, ::-1]).any(axis=(1, 2))


def draw_kernels(rng: np.random.Generator, kh: int, kw: int) -> Arguments:
    """Draw a shuffled stack (M, kh, kw) with every symmetry that might be taken for the right one."""
    kernels: list[np.ndarray] = []
    for _ in range(4):
        a = rng.integers(-4, 5, size=(kh, kw)).astype(float)
        turned = a[::-1, ::-1]
        mirrored = a + a[::-1]
        kernels += [a, a + turned, a - turned, mirrored, a + a[:, ::-1], mirrored + mirrored[:, ::-1]]
        kernels.append(a + a.T if kh == kw else a + turned)
    shuffled = [kernels[i] for i in rng.permutation(len(kernels))]
    middle = rng.integers(-4, 5, size=(kh, kw)).astype(float)
    shuffled.insert(len(shuffled) // 2, middle + middle[::-1, ::-1])  # reversing the whole stack leaves it in place
    return {"kernels": np.stack(shuffled)}


WHICH_KERNELS = Question(
    name="q4",
    title="Which kernels can tell?",
    function="tells_apart",
    outputs=("tells",),
    reference=tells_apart,
    parts=(
        Part("square kernels", 2, lambda rng: [draw_kernels(rng, k, k) for k in (3, 2, 4)]),
        Part("oblong kernels", 2, lambda rng: [draw_kernels(rng, 2, 3), draw_kernels(rng, 3, 1)]),
    ),
    mistakes=mistakes.WHICH_KERNELS,
)

ASSIGNMENT = Assignment(
    name="04_convolution_arithmetic",
    title="Convolution arithmetic",
    questions=(OUTPUT_SIZE, FORWARD, BACKWARD, WHICH_KERNELS),
)
