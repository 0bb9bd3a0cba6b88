"""Which algorithm computes which convolution: the one rule, in one place.

| the convolution                                                        | forward, grad_x, grad_weight |
|------------------------------------------------------------------------|------------------------------|
| empty batch                                                            | readable                     |
| as many groups as channels and filters, more than one                  | depthwise                    |
| 1 × 1, no padding                                                      | gemm                         |
| dilated                                                                | im2col                       |
| stride 1, at least 19 · 19 taps, at most 256 channels times filters    | fft                          |
| 3 × 3, stride 1, at least 32 channels and filters, tiles of 2 fit best | winograd2                    |
| the same, at least 512 channels to be added (in grad_x, filters)       | winograd2                    |
| 3 × 3, stride 1, at least 32 channels and filters                      | winograd4                    |
| at most 8 channels, at least 12 filters                                | mec, toeplitz, mec           |
| all others                                                             | toeplitz                     |

Channels and filters are those of one group; groups are computed one after another. Whatever is chosen, values that are
not finite, or so large that an intermediate sum might overflow where the result does not, go to `cnnlib.ops_numpy`
(see `conv`), except from the algorithms named in LOCAL, which multiply exactly what the definition multiplies.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from cnnlib.geometry import Geometry

LOCAL = ("readable", "gemm", "im2col", "depthwise")
FFT_TAPS, FFT_PAIRS = 361, 256  # beyond, the spectra of the filters outgrow the cache
WINOGRAD_CHANNELS = 32
LONG = 512  # channels in a sum, from which winograd4 may err in float32 by more than 2e-5 of the largest value
MEC_CHANNELS, MEC_FILTERS = 8, 12


class Choice(NamedTuple):
    """The name of an algorithm for each direction."""

    forward: str
    grad_x: str
    grad_weight: str


def _winograd(size: tuple[int, ...], channels: int) -> str:
    """Return the Winograd algorithm that multiplies less for a plane of this size, and is exact enough."""
    if channels >= LONG:
        return "winograd2"
    products = {m: (m + 2) ** 2 * (-(-size[0] // m)) * (-(-size[1] // m)) for m in (4, 2)}
    return f"winograd{min(products, key=lambda m: products[m])}"


def choose(
    batch: int, channels: int, filters: int, input_size: tuple[int, ...], geometry: Geometry, groups: int
) -> Choice:
    """Return the algorithms for x (batch, channels, *input_size) and that many filters, by the table above.

    >>> from cnnlib.geometry import conv_geometry
    >>> choose(8, 64, 64, (56, 56), conv_geometry((56, 56), 3, padding=1), 1)
    Choice(forward='winograd4', grad_x='winograd4', grad_weight='winograd4')
    """
    inner, outer = channels // groups, filters // groups
    kernel, unit_stride = geometry.kernel_size, geometry.stride == (1, 1)
    if batch == 0:
        name = "readable"
    elif groups > 1 and inner == outer == 1:
        name = "depthwise"
    elif kernel == (1, 1) and not any(map(any, geometry.padding)):
        name = "gemm"
    elif geometry.dilation != (1, 1):
        name = "im2col"
    elif unit_stride and math.prod(kernel) >= FFT_TAPS and inner * outer <= FFT_PAIRS:
        name = "fft"
    elif unit_stride and kernel == (3, 3) and min(inner, outer) >= WINOGRAD_CHANNELS:
        here, there = _winograd(geometry.output_size, inner), _winograd(input_size, outer)
        return Choice(here, there, here)
    elif inner <= MEC_CHANNELS and outer >= MEC_FILTERS:
        return Choice("mec", "toeplitz", "mec")
    else:
        name = "toeplitz"
    return Choice(name, name, name)
