"""The programs of `cnnlib.kernels.conv` that run on the GPU: three matrix products that never build their matrices.

A program computes one tile of BLOCK_M × BLOCK_N sums in float32; thousands run at once. All arrays lie channels-last,
so that neighbouring lanes read neighbouring channels, and a tap of the kernel is a fixed step from where a row starts.
`depth` and `width` count the channels of one group, `C` and `C_OUT` those of all.
"""

from __future__ import annotations

import triton
import triton.language as tl

from cnnlib.kernels._tiles import first_tap, sum_over_taps, tile


@triton.jit
def correlate(
    x,  # (N, H, W, C)
    weight,  # (C_OUT, taps_h, taps_w, depth)
    bias,  # (C_OUT,)
    y,  # (N, OUT_H, OUT_W, C_OUT)
    N,
    H,
    W,
    C,
    OUT_H,
    OUT_W,
    C_OUT,
    depth,
    width,
    taps_h,
    taps_w,
    stride_h,
    stride_w,
    top,
    left,
    dilation_h,
    dilation_w,
    HAS_BIAS: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    STRIPE: tl.constexpr = 8,
):
    """Compute y: a row of the product is a pixel of y, a column a filter. The grid is (tiles, groups)."""
    M = N * OUT_H * OUT_W
    tile_m, tile_n = tile(M, width, BLOCK_M, BLOCK_N, STRIPE)
    group = tl.program_id(1)
    m, n = tile_m * BLOCK_M + tl.arange(0, BLOCK_M), tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    pixel = tl.minimum(m, M - 1)  # rows beyond the last repeat it and are not stored
    image, i, j = pixel // (OUT_H * OUT_W), pixel // OUT_W % OUT_H, pixel % OUT_W
    total = sum_over_taps(
        x + group * depth,
        weight + group * width * taps_h * taps_w * depth,
        image,
        i * stride_h - top,
        j * stride_w - left,
        H,
        W,
        C,
        taps_h,
        taps_w,
        dilation_h,
        dilation_w,
        taps_w * depth,
        depth,
        depth,
        1,
        n,
        width,
        taps_h * taps_w * depth,
        BLOCK_M,
        BLOCK_N,
        BLOCK_K,
        PRECISION,
    )
    if HAS_BIAS:
        total += tl.load(bias + group * width + n, mask=n < width, other=0.0).to(tl.float32)[None, :]
    places = y + m.to(tl.int64)[:, None] * C_OUT + (group * width + n)[None, :]
    tl.store(places, total.to(y.dtype.element_ty), mask=(m < M)[:, None] & (n < width)[None, :])


@triton.jit
def correlate_adjoint(
    grad_output,  # (N, OUT_H, OUT_W, C_OUT)
    weight,  # a block of depth × taps_h × taps_w × width for each group, by the strides below
    grad_x,  # (N, H, W, C)
    N,
    H,
    W,
    C,
    OUT_H,
    OUT_W,
    C_OUT,
    depth,
    width,
    taps_h,
    taps_w,
    stride_h,
    stride_w,
    top,
    left,
    dilation_h,
    dilation_w,
    period_h,  # stride / gcd(stride, dilation): every so many taps read the same pixels
    period_w,
    weight_depth,
    weight_tap,
    weight_width,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    STRIPE: tl.constexpr = 8,
):
    """Compute grad_x by gathering: pixel (a, b) sums what it gave to the outputs that read it.

    Output i read row a with tap u if i·stride = a + top − u·dilation. Which taps divide depends on a mod stride alone,
    so rows and columns are sorted into stride_h × stride_w phases, and each phase is a correlation of stride 1, its
    kernel read backwards. Nothing is multiplied by zero and nothing is added atomically. The grid is (tiles, groups,
    phases); `depth` counts filters and `width` channels of x.
    """
    group, phase_h, phase_w = tl.program_id(1), tl.program_id(2) // stride_w, tl.program_id(2) % stride_w
    rows, columns = (H - phase_h + stride_h - 1) // stride_h, (W - phase_w + stride_w - 1) // stride_w
    M = N * rows * columns
    tile_m, tile_n = tile(N * tl.cdiv(H, stride_h) * tl.cdiv(W, stride_w), width, BLOCK_M, BLOCK_N, STRIPE)
    if tile_m * BLOCK_M < M:
        u = first_tap(phase_h + top, taps_h, stride_h, dilation_h)
        v = first_tap(phase_w + left, taps_w, stride_w, dilation_w)
        m, n = tile_m * BLOCK_M + tl.arange(0, BLOCK_M), tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
        pixel = tl.minimum(m, M - 1)
        image, a, b = pixel // (rows * columns), pixel // columns % rows, pixel % columns
        target = (image * H + a * stride_h + phase_h) * W + b * stride_w + phase_w
        total = sum_over_taps(
            grad_output + group * depth,
            weight + group * depth * taps_h * taps_w * width + (u * taps_w + v) * weight_tap,
            image,
            a + (phase_h + top - u * dilation_h) // stride_h,
            b + (phase_w + left - v * dilation_w) // stride_w,
            OUT_H,
            OUT_W,
            C_OUT,
            tl.cdiv(taps_h - u, period_h),
            tl.cdiv(taps_w - v, period_w),
            -(dilation_h * period_h // stride_h),
            -(dilation_w * period_w // stride_w),
            period_h * taps_w * weight_tap,
            period_w * weight_tap,
            depth,
            weight_depth,
            n,
            width,
            weight_width,
            BLOCK_M,
            BLOCK_N,
            BLOCK_K,
            PRECISION,
        )
        places = grad_x + target.to(tl.int64)[:, None] * C + (group * width + n)[None, :]
        tl.store(places, total.to(grad_x.dtype.element_ty), mask=(m < M)[:, None] & (n < width)[None, :])


@triton.jit
def correlate_weight(
    grad_output,  # (N, OUT_H, OUT_W, C_OUT)
    x,  # (N, H, W, C)
    partial,  # (SPLIT, C_OUT, taps_h, taps_w, width), float32
    N,
    H,
    W,
    C,
    OUT_H: tl.constexpr,
    OUT_W: tl.constexpr,
    C_OUT,
    depth,
    width,
    taps_h,
    taps_w,
    stride_h,
    stride_w,
    top,
    left,
    dilation_h,
    dilation_w,
    share,  # pixels of the output in one split
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Compute the gradient of the weight, one sum for each share of the output's pixels.

    A row of the product is a filter, a column a channel of x under one tap, and the sum runs over all pixels of all
    images: long and thin, so it is split, and the splits are added afterwards, always in the same order. The grid is
    (tiles of all taps, splits, groups). OUT_H and OUT_W are constants: the loop divides by them.
    """
    tiles_n = tl.cdiv(width, BLOCK_N)
    taps = taps_h * taps_w
    tile_n, tap, tile_m = (
        tl.program_id(0) % tiles_n,
        tl.program_id(0) // tiles_n % taps,
        tl.program_id(0) // tiles_n // taps,
    )
    split, group = tl.program_id(1), tl.program_id(2)
    f, c = tile_m * BLOCK_M + tl.arange(0, BLOCK_M), tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    down, right = tap // taps_w * dilation_h - top, tap % taps_w * dilation_w - left
    end = tl.minimum((split + 1) * share, N * OUT_H * OUT_W)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(split * share, end, BLOCK_K):
        pixel = start + tl.arange(0, BLOCK_K)
        there, line = pixel < end, pixel // OUT_W
        image, row, column = line // OUT_H, line % OUT_H * stride_h + down, pixel % OUT_W * stride_w + right
        inside = there & (row >= 0) & (row < H) & (column >= 0) & (column < W)
        read = ((image * H + row) * W + column).to(tl.int64)
        g = tl.load(
            grad_output + pixel.to(tl.int64)[:, None] * C_OUT + (group * depth + f)[None, :],
            mask=there[:, None] & (f < depth)[None, :],
            other=0.0,
        )  # (BLOCK_K, BLOCK_M)
        a = tl.load(
            x + read[:, None] * C + (group * width + c)[None, :],
            mask=inside[:, None] & (c < width)[None, :],
            other=0.0,
        )  # (BLOCK_K, BLOCK_N)
        total = tl.dot(tl.trans(g), a, total, input_precision=PRECISION)
    filters = (split * C_OUT + group * depth + f).to(tl.int64)
    places = partial + (filters[:, None] * taps + tap) * width + c[None, :]
    tl.store(places, total, mask=(f < depth)[:, None] & (c < width)[None, :])
