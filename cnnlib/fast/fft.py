"""Convolution by the Fourier transform: for kernels so large that sliding them costs more than three transforms.

Correlation is multiplication of the spectra, one of them conjugate: Y(ω) = Σ_c X_c(ω) · conj W_c(ω). The cost does not
depend on the size of the kernel. Padding to the size of the padded input keeps the period from wrapping into what is
kept. Gradients multiply the same spectra: grad_x = G · W, grad_weight = X · conj G. Mathieu, Henaff and LeCun, "Fast
Training of Convolutional Networks through FFTs" (2014), https://arxiv.org/abs/1312.5851.
"""

from __future__ import annotations

import numpy as np

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.layout import empty_channels_last
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

PER_NANOSECOND = 100  # multiply-adds of the direct way that this way replaces
BLOCK = 4 << 20  # bytes of the spectra of a block of images


def fast_size(size: int) -> int:
    """Return the least number not below `size` with no prime factor above 5, where transforms are quick.

    >>> fast_size(31)
    32
    """
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


def _period(geometry: Geometry) -> tuple[int, int]:
    """Return the size of the transforms: of all that the windows see."""
    rows, columns = (o + k - 1 for o, k in zip(geometry.output_size, geometry.kernel_size, strict=True))
    return fast_size(rows), fast_size(columns)


def _spectrum(values: np.ndarray, period: tuple[int, int], offset: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return the transform of values (A, B, h, w), moved by `offset` and cut to the period, as (frequencies, A, B)."""
    h, w = (min(size, p - o) for size, p, o in zip(values.shape[2:], period, offset, strict=True))
    frame = np.zeros((*values.shape[:2], *period), values.dtype)
    frame[:, :, offset[0] : offset[0] + h, offset[1] : offset[1] + w] = values[:, :, :h, :w]
    spectrum = np.fft.rfft2(frame).astype(np.result_type(values.dtype, np.complex64), copy=False)
    return np.ascontiguousarray(spectrum.reshape(*values.shape[:2], -1).transpose(2, 0, 1))


def _values(spectrum: np.ndarray, period: tuple[int, int]) -> np.ndarray:
    """Return the values (A, B, *period) of a spectrum (frequencies, A, B)."""
    A, B = spectrum.shape[1:]
    return np.fft.irfft2(spectrum.transpose(1, 2, 0).reshape(A, B, period[0], -1), s=period)


def _images_at_once(channels: int, period: tuple[int, int], itemsize: int) -> int:
    return max(1, BLOCK // (channels * period[0] * period[1] * itemsize))


def _parts(part: slice, images: int) -> list[slice]:
    return [slice(a, min(part.stop, a + images)) for a in range(part.start, part.stop, images)]


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """Compute `conv2d` at stride 1 and dilation 1, for one group."""
    (N, C), F, (rows, columns), period = x.shape[:2], weight.shape[0], geometry.output_size, _period(geometry)
    filters = _spectrum(weight, period).conj().swapaxes(1, 2)  # (frequencies, C, F)
    offset = (geometry.padding[0][0], geometry.padding[1][0])
    y = empty_channels_last((N, F, rows, columns), x.dtype)

    def work(part: slice, _: Workspace) -> None:
        for images in _parts(part, _images_at_once(C + F, period, x.itemsize)):
            out = _values(_spectrum(x[images], period, offset) @ filters, period)[:, :, :rows, :columns]
            y[images] = out if bias is None else out + bias[:, None, None]

    over_batch(work, N, y.size * weight[0].size / PER_NANOSECOND)
    return y


def grad_x(grad_output: np.ndarray, weight: np.ndarray, geometry: Geometry, input_size: tuple[int, int]) -> np.ndarray:
    """Compute the gradient of x: true convolution with the filters, cropped by the padding."""
    N, (F, C), (H, W), period = grad_output.shape[0], weight.shape[:2], input_size, _period(geometry)
    filters = _spectrum(weight, period)  # (frequencies, F, C)
    (top, _), (left, _) = geometry.padding
    gradient = empty_channels_last((N, C, H, W), grad_output.dtype)

    def work(part: slice, _: Workspace) -> None:
        for images in _parts(part, _images_at_once(C + F, period, grad_output.itemsize)):
            out = _values(_spectrum(grad_output[images], period) @ filters, period)
            gradient[images] = out[:, :, top : top + H, left : left + W]

    over_batch(work, N, grad_output.size * weight[0].size / PER_NANOSECOND)
    return gradient


def grad_weight(grad_output: np.ndarray, x: np.ndarray, geometry: Geometry, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the gradient of the weight: the correlation of x with grad_output, where the taps are."""
    (F, C, kh, kw), period = shape, _period(geometry)
    offset = (geometry.padding[0][0], geometry.padding[1][0])

    def work(part: slice, _: Workspace) -> np.ndarray:
        total = np.zeros((period[0] * (period[1] // 2 + 1), F, C), np.result_type(x.dtype, np.complex64))
        for images in _parts(part, _images_at_once(C + F, period, x.itemsize)):
            upstream = _spectrum(grad_output[images], period).conj().swapaxes(1, 2)  # (frequencies, F, images)
            total += upstream @ _spectrum(x[images], period, offset)
        return total

    parts = over_batch(work, x.shape[0], grad_output.size * C * kh * kw / PER_NANOSECOND)
    return _values(sum(parts[1:], start=parts[0]), period)[:, :, :kh, :kw].astype(x.dtype, copy=False)
