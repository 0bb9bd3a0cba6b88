"""The maximum of every window, and which tap of the window it is, for many windows at once.

Both deal the pixels out first: with a stride of 2, pixels 0, 2, 4, … to one plane and 1, 3, 5, … to another, so that
what neighbouring windows read at the same tap lies side by side, and one call of NumPy serves a whole block of images.
Arrays are contiguous here, (B, H, W, K): B images of K channels, or, where channels lie apart, B planes and K = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from cnnlib.fast.buffers import Workspace
from cnnlib.fast.threads import over_batch
from cnnlib.geometry import Geometry

BLOCK_BYTES = 1 << 20  # of images at a time: they and what is made of them stay in the cache
MOST_TAPS = 64  # of a window; the table of pairs grows with their number
ONES = 0x0101010101010101  # eight bytes of 1
Shape = tuple[int, int, int, int]
Run = Callable[[slice], None]  # on a block of images
Make = Callable[[Shape, Workspace], Run]


def over_blocks(make: Make, images: np.ndarray, scratch: int = 1) -> None:
    """Call run(block) for blocks of `images` (B, H, W, K), on all threads, with run = make(shape of block, buffers).

    What depends on the shape alone is done by `make`, once for many blocks, which are the smaller, the more `scratch`
    is made of each of their bytes.
    """
    B, H, W, K = images.shape
    most = max(1, BLOCK_BYTES // (scratch * H * W * K * images.itemsize))

    def work(part: slice, buffers: Workspace) -> None:
        size = part.stop - part.start
        blocks = max(1, -(-size // most))
        count = max(1, -(-size // blocks))  # as equal as they can be: what `make` made serves most of them
        with np.errstate(invalid="ignore"):  # planes hold numbers of no meaning; ∞ − ∞ is NaN
            for first in range(part.start, part.stop, count):
                last = min(first + count, part.stop)
                if first == part.start or last - first < count:
                    run = make((last - first, H, W, K), buffers)
                run(slice(first, last))

    over_batch(work, B, nanoseconds=images.size)


def every(start: int, stride: int, count: int) -> slice:
    """Return the slice of `count` entries from `start`, `stride` apart."""
    return slice(start, start + stride * (count - 1) + 1, stride)


def cells(a: np.ndarray) -> np.ndarray:
    """Return (…, W, K) as (…, W) of whole pixels, which NumPy copies as one thing each."""
    return a.view(np.dtype((np.void, a.shape[-1] * a.itemsize)))[..., 0] if a.shape[-1] > 1 else a[..., 0]


def words(buffers: Workspace, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` bytes of a workspace, and the same memory as whole words: a word is eight bytes in one step."""
    eights = buffers.take(name, (-(-count // 8),), np.uint64)
    eights.fill(0)  # what fills up the last word stays so
    return eights.view(np.uint8)[:count], eights


class Maxima:
    """The maximum of every window of x (B, H, W, K): over the rows of a window first, then over its columns."""

    def __init__(self, shape: Shape, dtype: np.dtype, geometry: Geometry, buffers: Workspace) -> None:
        B, _, W, K = shape
        (_, stride), (OH, OW) = geometry.stride, geometry.output_size
        self.rows = [every(i * geometry.dilation[0], geometry.stride[0], OH) for i in range(geometry.kernel_size[0])]
        self.highest = buffers.take("highest", (B, OH, W, K), dtype)
        landings = [divmod(j * geometry.dilation[1], stride) for j in range(geometry.kernel_size[1])]
        self.deals: list[tuple[np.ndarray, np.ndarray]] = []
        planes = {0: self.highest} if stride == 1 else {}
        for phase in {phase for _, phase in landings}.difference(planes):
            source = cells(self.highest)[:, :, phase::stride]
            planes[phase] = buffers.take(f"columns {phase}", (*source.shape, K), dtype)
            self.deals.append((cells(planes[phase]), source))
        self.taps = [planes[phase][:, :, shift : shift + OW] for shift, phase in landings]

    def __call__(self, x: np.ndarray, y: np.ndarray) -> None:
        """Write the maxima into y (B, H_out, W_out, K); a NaN is the maximum of its window."""
        _maximum([x[:, rows] for rows in self.rows], out=self.highest)
        for plane, source in self.deals:
            np.copyto(plane, source)
        _maximum(self.taps, out=y)


def _maximum(arrays: list[np.ndarray], out: np.ndarray) -> None:
    if len(arrays) == 1:
        np.copyto(out, arrays[0])
        return
    np.maximum(arrays[0], arrays[1], out=out)
    for array in arrays[2:]:
        np.maximum(out, array, out=out)


class Winners:
    """Which tap of each window of x (B, H, W, K) is the first, in row-major order, to equal the maximum y.

    A plane has as many rows and columns as windows read from it, so that a tap is the plane from some place on, and y
    is laid out as wide as a plane: then one comparison of two runs of memory serves all windows.
    """

    def __init__(self, shape: Shape, dtype: np.dtype, geometry: Geometry, buffers: Workspace) -> None:
        (B, _, _, K), (OH, OW) = shape, geometry.output_size
        (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
        PH, PW = (o + (span - 1) // s for o, span, s in zip((OH, OW), geometry.span, (sh, sw), strict=True))
        self.windows, self.pitched = (B, OH, OW, K), (B, PH, PW, K)
        self.is_tight = (PH, PW) == (OH, OW)
        self.planes: dict[tuple[int, int], np.ndarray] = {}
        self.taps: list[tuple[tuple[int, int], int]] = []  # (phase, shift): where each reads
        for i, j in product(range(geometry.kernel_size[0]), range(geometry.kernel_size[1])):
            (down, r), (right, c) = divmod(i * dh, sh), divmod(j * dw, sw)
            self.taps.append(((r, c), (down * PW + right) * K))
        for phase, _ in self.taps[:-1] if (sh, sw) != (1, 1) else ():  # what loses at all others wins at the last
            if phase not in self.planes:
                self.planes[phase] = buffers.take(f"plane {phase}", self.pitched, dtype)
        self.stride, size = (sh, sw), B * PH * PW * K
        self.reach = size - self.taps[-1][1]  # windows begin before
        self.maxima = buffers.take("maxima", self.pitched, dtype)
        self.lost, self.lost_words = zip(*(words(buffers, f"lost {k}", size) for k in range(2)), strict=True)
        self.code, self.code_words = words(buffers, "code", size)
        self.tight_code, self.tight_words = words(buffers, "tight code", B * OH * OW * K)
        self.places = buffers.take("places", (4 * self.tight_words.size, 2), np.int64)

    def losers(self, x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
        """Yield after each tap but the last, in words, a byte per window: 1 if no tap so far is its maximum."""
        runs = {(0, 0): x.reshape(-1)}
        for (r, c), plane in self.planes.items():
            source = cells(x)[:, r :: self.stride[0], c :: self.stride[1]][:, : plane.shape[1], : plane.shape[2]]
            np.copyto(cells(plane)[:, : source.shape[1], : source.shape[2]], source)
            runs[r, c] = plane.reshape(-1)
        if not self.is_tight:
            self.maxima[:, : y.shape[1], : y.shape[2]] = y
            y = self.maxima
        maxima, n, now = y.reshape(-1)[: self.reach], self.reach, 0
        for k, (phase, shift) in enumerate(self.taps[:-1]):
            now = k % 2
            np.not_equal(runs[phase][shift : shift + n], maxima, out=self.lost[now][:n].view(bool))
            if k:
                np.bitwise_and(self.lost_words[now], self.lost_words[1 - now], out=self.lost_words[now])
            yield self.lost_words[now]

    def codes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the number of the winning tap of each window, a byte each in words: how many taps lost before it."""
        self.code_words.fill(0)
        for lost in self.losers(x, y):
            self.code_words += lost  # no byte overflows into its neighbour: MOST_TAPS is below 256
        if self.is_tight:
            return self.code_words
        (_, OH, OW, _), pitched = self.windows, self.code.reshape(self.pitched)
        np.copyto(self.tight_code.reshape(self.windows), pitched[:, :OH, :OW])
        return self.tight_words

    def look_up(self, table: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return what `table`, made by `pairs`, says of the winner of each window, (B, H_out, W_out, K)."""
        np.take(table, self.codes(x, y).view(np.uint16), axis=0, out=self.places, mode="clip")
        return self.places.reshape(-1)[: y.size].reshape(self.windows)


class Tiles:
    """One byte for each pixel and channel of windows that lie side by side, (B, H_out, kh, W_out, kw, K)."""

    def __init__(self, shape: tuple[int, ...], buffers: Workspace) -> None:
        B, OH, self.kh, OW, self.kw, K = shape
        marks = buffers.take("marks", shape, np.bool_)
        self.lines = marks.reshape(B, OH, self.kh, OW * self.kw, K)
        self.pixels = cells(marks)  # (B, H_out, kh, W_out, kw)
        self.mark, self.mark_words = words(buffers, "mark", B * OH * OW * K)
        self.mark = cells(self.mark.view(np.bool_).reshape(B, OH, OW, K))
        self.open_words = words(buffers, "open", B * OH * OW * K)[1]

    def keep_the_first(self) -> None:
        """Unmark all but the first, row by row, of the marked pixels of each window, which has at least one."""
        if np.count_nonzero(self.lines) == self.mark.size * self.lines.shape[-1]:
            return  # no pixel ties with another
        self.open_words.fill(ONES)  # 1 for a window of which no pixel was marked
        for i, j in product(range(self.kh), range(self.kw)):
            np.copyto(self.mark, self.pixels[:, :, i, :, j])
            self.mark_words &= self.open_words
            self.open_words ^= self.mark_words
            if i or j:
                np.copyto(self.pixels[:, :, i, :, j], self.mark)


def pairs(offsets: np.ndarray) -> np.ndarray:
    """Return the table that says, for two codes side by side read as one number of 16 bits, both their offsets.

    Looking up two at once takes half as long.

    >>> pairs(np.array([0, 5]))[np.array([1, 0, 1, 1], np.uint8).view(np.uint16)]
    array([[5, 0],
           [5, 5]])
    """
    largest = len(offsets) - 1
    both = np.arange(257 * largest + 1, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    return offsets[np.minimum(both, largest)]
