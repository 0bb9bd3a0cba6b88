"""Which tiles a program is tried with on a GPU before the fastest is kept, and the one it has in the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import triton

SHARED_BYTES = 227 * 1024  # that a program may have on compute capability 9.0; the tuner skips what fails elsewhere
IEEE_TILE = 64 * 128  # float32 without matrix units keeps its whole tile in registers
KEY = ("H", "W", "OUT_H", "OUT_W", "depth", "width", "taps_h", "taps_w", "stride_h", "stride_w", "PRECISION")
TILES = (  # BLOCK_M, BLOCK_N, warps, stages of the pipeline; the last is for whatever is too small for the others
    (128, 256, 8, 3),
    (256, 128, 8, 3),
    (128, 128, 8, 3),
    (128, 128, 4, 4),
    (256, 64, 8, 4),
    (128, 64, 4, 4),
    (64, 128, 4, 4),
    (64, 64, 4, 5),
    (128, 32, 4, 4),
    (64, 16, 4, 4),
)
LINE = 128  # bytes of one row that a program reads at a time, a line of the cache: 64 channels in half precision
# The interpreter pays for each program, hardly for its size.
INTERPRETED = {"BLOCK_M": 128, "BLOCK_N": 16, "BLOCK_K": 16}


def is_interpreted(program: Any) -> bool:
    """Say whether TRITON_INTERPRET was set when `program` was made: then it runs in NumPy, on CPU tensors."""
    return not isinstance(program, triton.JITFunction)


def tuned(program: Any, sizes: dict[str, str]) -> Any:
    """Return a program that tries its tiles on the first call of each shape, whatever the batch, and keeps the fastest.

    `sizes` names the argument that each block divides up, as {"BLOCK_N": "width"}.
    """
    configs = [
        triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k}, num_warps=warps, num_stages=stages)
        for m, n, warps, stages in TILES
        for k in (64, 32, 16)
    ]
    if is_interpreted(program):
        configs = [triton.Config(INTERPRETED)]
    pruning = {"early_config_prune": partial(fitting, sizes)}
    return triton.autotune(configs, key=list(KEY), prune_configs_by=pruning)(program)


def fitting(
    sizes: dict[str, str], configs: Sequence[triton.Config], arguments: dict[str, Any], **options: Any
) -> list[triton.Config]:
    """Keep tiles that read whole lines, reach not far beyond the product and fit shared memory and registers."""
    extents = {block: max(16, triton.next_power_of_2(options[name])) for block, name in sizes.items()}
    item = next(value.element_size() for value in arguments.values() if hasattr(value, "element_size"))
    depth = min(LINE // item, extents.pop("BLOCK_K", LINE))

    def fits(config: triton.Config) -> bool:
        m, n, k = (config.kwargs[block] for block in ("BLOCK_M", "BLOCK_N", "BLOCK_K"))
        if options["PRECISION"] == "ieee" and item == 4 and m * n > IEEE_TILE:
            return False
        near = all(min(64, e // 8) <= config.kwargs[block] <= max(64, e) for block, e in extents.items())
        return k == depth and near and (m + n) * k * item * config.num_stages <= SHARED_BYTES

    return [config for config in configs if fits(config)] or [configs[-1]]
