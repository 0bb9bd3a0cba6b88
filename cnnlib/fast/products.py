"""Matrix products, cut into pieces that BLAS computes where they lie.

A BLAS first packs both factors into an order of its own, which pays for large matrices only. OpenBLAS leaves the
packing out below 100³ multiplications: on one core with AVX-512, a 1024 × 576 times 576 × 64 product runs at 48
multiply-adds a nanosecond whole, and at 56 in tiles of 27 × 64; a transform of a 36 × 12288 matrix by a 36 × 36 one at
26 whole and at 44 in pieces of 768 columns. `numpy.matmul` takes a stack of tiles in one call, and writes each to its
place. The idea of packing, and what it costs, is in Goto and van de Geijn, "Anatomy of High-Performance Matrix
Multiplication" (2008), https://doi.org/10.1145/1356052.1356053.
"""

from __future__ import annotations

import numpy as np

SMALL = 1_000_000  # multiplications; OpenBLAS has 100³ as the limit of its small products
FEWEST_ROWS = 24  # of a tile: below, the call costs more than the packing
LENGTH = 400  # of the pieces of a tall product
STACK = 1 << 18  # numbers in a stack of products that are to be added
WIDTHS = (64, 32, 16)  # columns of a tile: whole vectors of 16 float32


def _tile(rows: int, depth: int, columns: int) -> tuple[int, int]:
    """Return (rows, columns) of the tiles, or those of the whole product where small tiles are too small."""
    if columns > 4 * rows:  # wide, as in a transform by a small matrix
        return rows, _even(columns, max(64, SMALL // (rows * depth)))
    for width in WIDTHS:
        n = _even(columns, width)
        m = SMALL // (depth * n)
        if m >= min(rows, FEWEST_ROWS):
            return _even(rows, m), n
    return rows, columns


def _even(size: int, most: int) -> int:
    """Return the length of the fewest equal pieces of at most `most`; the last may be shorter.

    >>> _even(10, 4)
    4
    """
    return -(-size // -(-size // most))


def _stack(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return a view (…, R, C, rows, columns) of the whole tiles of matrix (…, M, N)."""
    *lead, M, N = matrix.shape
    return matrix.reshape(*lead, M // rows, rows, N // columns, columns).swapaxes(-2, -3)


def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Compute out = a @ b for stacks of matrices (…, M, K) and (…, K, N), in tiles; return `out`.

    >>> a, b = np.ones((2, 30, 500)), np.ones((500, 70))
    >>> bool((multiply(a, b, np.empty((2, 30, 70))) == 500).all())
    True
    """
    (M, K), N = a.shape[-2:], b.shape[-1]
    if M * K * N <= SMALL or not out.size:
        return np.matmul(a, b, out=out)
    m, n = _tile(M, K, N)
    whole_rows, whole_columns = M // m * m, N // n * n
    for rows, height in ((slice(0, whole_rows), m), (slice(whole_rows, M), M - whole_rows)):
        for columns, width in ((slice(0, whole_columns), n), (slice(whole_columns, N), N - whole_columns)):
            if height and width:
                upper = _stack(a[..., rows, :], height, K)  # (…, R, 1, m, K)
                lower = _stack(b[..., columns], K, width)  # (…, 1, C, K, n)
                np.matmul(upper, lower, out=_stack(out[..., rows, columns], height, width))
    return out


def multiply_tall(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return aᵀ @ b for a (L, M) and b (L, N) with L large: products of pieces of the length, added up.

    >>> multiply_tall(np.ones((1000, 2)), np.ones((1000, 3)))[0]
    array([1000., 1000., 1000.])
    """
    (L, M), N = a.shape, b.shape[1]
    total = np.zeros((M, N), a.dtype)
    together = max(1, STACK // (M * N))
    start = 0
    while start < L:
        pieces = max(1, min(together, (L - start) // LENGTH))
        end = min(L, start + pieces * LENGTH)
        left, right = (v[start:end].reshape(pieces, -1, v.shape[1]) for v in (a, b))
        total += multiply(left.swapaxes(1, 2), right, np.empty((pieces, M, N), a.dtype)).sum(axis=0)
        start = end
    return total
