"""What hypothesis draws for pooling and upsampling: layers with every option."""

from __future__ import annotations

from draws import often, pairs
from hypothesis import assume
from hypothesis import strategies as st

from cnnlib import geometry


def several(rank, entries):
    """One entry for all axes, or one for each."""
    return st.one_of(entries, st.tuples(*[entries] * rank))


@st.composite
def poolings(draw, rank, *, dilated, padded=True):
    """Return (x shape, options) of a pooling layer of so many axes, some of whose padding torch has and some not."""
    kernel = draw(st.tuples(*[st.integers(1, 4 if rank < 3 else 3)] * rank))
    dilation = draw(often(1, several(rank, st.integers(1, 3)))) if dilated else 1
    stride = draw(often(None, several(rank, st.integers(1, 3))))
    ceil_mode = draw(st.booleans())
    same = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    uneven = tuple((p, draw(st.integers(0, k // 2))) for p, k in zip(same, kernel, strict=True))
    padding = draw(st.sampled_from((0, min(k // 2 for k in kernel), same, uneven, uneven))) if padded else 0
    strides = kernel if stride is None else geometry.as_ints("stride", stride, rank, 1)
    dilations = geometry.as_ints("dilation", dilation, rank, 1)
    pads = geometry.as_padding(padding, kernel, strides, dilations)
    least = [  # in ceil mode a window may be larger than the padded input, by less than a stride
        max(1, d * (k - 1) + 1 - sum(pad) - (s - 1) * ceil_mode)
        for k, d, pad, s in zip(kernel, dilations, pads, strides, strict=True)
    ]
    size = [low + draw(st.integers(0, 5 if rank < 3 else 3)) for low in least]
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    if dilated:
        options["dilation"] = dilation
    else:
        options["count_include_pad"] = draw(st.booleans())
        if rank > 1:
            options["divisor_override"] = draw(often(None, st.integers(1, 9)))
    windows = {k: v for k, v in options.items() if k not in ("count_include_pad", "divisor_override")}
    assume_a_pixel_in_every_window(size, windows)
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *size), options


def assume_a_pixel_in_every_window(size, options):
    """Drop a draw in which a window would lie wholly in the padding, or step over the whole input."""
    try:
        geometry.pool_geometry(size, **options)
    except ValueError as error:
        assume("wholly" not in str(error))


def torchs_options(options):
    """Return the options as torch takes them, or None where each end has its own padding."""
    padding = options.get("padding", 0)
    return None if isinstance(padding, tuple) and isinstance(padding[0], tuple) else options


SIZES = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


@st.composite
def adaptive_poolings(draw):
    """Return (x shape, options) of an adaptive pooling, which may also have more outputs than inputs."""
    one = st.one_of(st.none(), st.integers(1, 7))
    return draw(SIZES), {"output_size": draw(st.one_of(st.integers(1, 5), st.tuples(one, one)))}


@st.composite
def power_poolings(draw):
    """Return (x shape, options) of a power-mean pooling."""
    shape, options = draw(poolings(2, dilated=False, padded=False))
    kept = {k: options[k] for k in ("kernel_size", "stride", "ceil_mode")}
    return shape, {"norm_type": draw(st.sampled_from((1, 2, 3, 4, 0.5, 2.5))), **kept}


@st.composite
def unpoolings(draw):
    """Return (x shape, options) of an unpooling whose output has room for every value."""
    shape = draw(SIZES.map(lambda s: (*s[:2], min(s[2], 5), min(s[3], 5))))
    kernel = draw(st.tuples(st.integers(2, 4), st.integers(2, 4)))
    stride = draw(often(None, st.tuples(st.integers(1, 3), st.integers(1, 3))))
    padding = draw(often(0, st.sampled_from((1, (0, 1), (1, 0)))))
    pads = geometry.as_ints("padding", padding, 2, 0)
    steps = stride or kernel
    plain = [s * (n - 1) + k - 2 * p for n, s, k, p in zip(shape[2:], steps, kernel, pads, strict=True)]
    near = tuple(n + draw(st.integers(max(1 - s, 1 - n), s - 1)) for n, s in zip(plain, steps, strict=True) if n > 0)
    assume(len(near) == 2)
    output_size = draw(often(None, st.just(near)))
    height, width = plain if output_size is None else near
    assume(height * width >= shape[2] * shape[3])
    return (
        shape,
        (height, width),
        {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "output_size": output_size,
        },
    )


@st.composite
def blurs(draw):
    """Return (x shape, options) of a blurring pooling whose border can be mirrored."""
    kernel = draw(pairs(1, 5))
    down, across = geometry.as_ints("kernel_size", kernel, 2, 1)
    size = (down // 2 + draw(st.integers(1, 6)), across // 2 + draw(st.integers(1, 6)))
    stride = draw(often(2, pairs(1, 3)))
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *size), {"kernel_size": kernel, "stride": stride}


@st.composite
def upsamplings(draw, *, corners):
    """Return (x shape, options) of an upsampling, by its size or by a factor."""
    shape = draw(SIZES)
    options = {"size": None, "scale_factor": None}
    if draw(st.booleans()):
        options["size"] = draw(several(2, st.integers(1, 20)))
    else:
        factor = st.sampled_from((2, 3, 1.2, 1.5, 2.3, 0.5, 0.7))
        options["scale_factor"] = draw(several(2, factor))
        factors = (
            options["scale_factor"] if isinstance(options["scale_factor"], tuple) else (options["scale_factor"],) * 2
        )
        assume(all(n * f >= 1 for n, f in zip(shape[2:], factors, strict=True)))
    if corners:
        options["align_corners"] = draw(st.booleans())
    return shape, options
