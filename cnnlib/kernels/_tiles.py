"""What the programs of `cnnlib.kernels._programs` share: the order of the tiles, and the sum over taps and channels."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def tile(M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, STRIPE: tl.constexpr):
    """Say which tile this program computes, (row, column).

    Down a stripe of STRIPE tiles first, then across: programs that run together share rows and columns in the cache.
    """
    program = tl.program_id(0)
    height, width = tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N)
    top = program // (STRIPE * width) * STRIPE
    left_over = tl.minimum(height - top, STRIPE)
    within = program % (STRIPE * width)
    return top + within % left_over, within // left_over


@triton.jit
def sum_over_taps(
    source,
    weight,
    images,  # (BLOCK_M,) the image, row and column that tap (0, 0) reads, maybe beyond the border
    rows,
    columns,
    H,
    W,
    C,
    taps_h,
    taps_w,
    step_h,  # from tap to tap: rows and columns of the source, entries of the weight
    step_w,
    weight_h,
    weight_w,
    depth,
    depth_stride,
    n,  # (BLOCK_N,) columns of the weight
    width,
    width_stride,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Return Σ over taps (u, v) and channels c of source[image, row + u·step, column + v·step, c] · weight[u, v, c, n].

    Taps outside, channels inside in blocks, written as one loop, which the compiler can pipeline.
    """
    pixels = ((images * H + rows) * W + columns).to(tl.int64)
    starts = source + pixels * C
    k = tl.arange(0, BLOCK_K)
    weights = weight + k[:, None] * depth_stride + n[None, :] * width_stride
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    u, v, c = 0, 0, 0
    for _ in range(taps_h * taps_w * tl.cdiv(depth, BLOCK_K)):
        row, column = rows + u * step_h, columns + v * step_w
        inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)  # zeros beyond the border
        there = starts[:, None] + ((u * step_h * W + v * step_w) * C + c + k)[None, :]
        a = tl.load(there, mask=inside[:, None] & (k < depth - c)[None, :], other=0.0)  # (BLOCK_M, BLOCK_K)
        taken = weights + (u * weight_h + v * weight_w + c * depth_stride)
        b = tl.load(taken, mask=(k < depth - c)[:, None] & (n < width)[None, :], other=0.0)  # (BLOCK_K, BLOCK_N)
        total = tl.dot(a, b, total, input_precision=PRECISION)
        c += BLOCK_K
        v += c >= depth
        c = tl.where(c >= depth, 0, c)
        u += v == taps_w
        v = tl.where(v == taps_w, 0, v)
    return total


@triton.jit
def first_tap(position, taps, stride, dilation):
    """Return the first tap u with (position − u · dilation) divisible by stride, or `taps` where there is none."""
    found = taps
    for after in range(taps):
        u = taps - 1 - after
        found = tl.where((position + u * (stride - 1) * dilation) % stride == 0, u, found)  # −1 is stride − 1 there
    return found
