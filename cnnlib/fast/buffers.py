"""Scratch memory that is used again: a page that the processor has just touched is a page it has in its cache.

A fresh large array costs a page fault for every 4 kB of it, more than the copy that fills it. A `Workspace` keeps its
arrays; a call borrows one and gives it back, so two calls never share one, in whatever thread or depth they run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import DTypeLike

KEPT_BYTES = 16 << 20  # per workspace; what goes beyond is returned to the system after the call
KEPT_WORKSPACES = 8
ALIGNMENT = 64  # a cache line, and the width of an AVX-512 register
_free: list[Workspace] = []


class Workspace:
    """Named scratch arrays, each kept for the next call that asks for its name.

    >>> with workspace() as buffers:
    ...     buffers.take("patches", (2, 3), np.float32).shape
    (2, 3)
    """

    def __init__(self) -> None:
        self._memory: dict[str, np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """Return an array with values of no meaning; whoever held this name of this workspace holds the same memory."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._memory.get(name)
        if memory is None or memory.size < size:
            block = np.empty(size + ALIGNMENT, np.uint8)
            start = -block.ctypes.data % ALIGNMENT
            memory = self._memory[name] = block[start : start + size]
        return memory[:size].view(dtype).reshape(shape)

    def trim(self) -> None:
        """Let go of the largest arrays until at most KEPT_BYTES are kept."""
        kept = 0
        for name, memory in sorted(self._memory.items(), key=lambda item: item[1].size):
            kept += memory.size
            if kept > KEPT_BYTES:
                del self._memory[name]


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Lend a workspace that nobody else has; at most KEPT_WORKSPACES are kept for the next borrowers."""
    try:
        borrowed = _free.pop()  # the last one given back: the warmest
    except IndexError:
        borrowed = Workspace()
    try:
        yield borrowed
    finally:
        borrowed.trim()
        if len(_free) < KEPT_WORKSPACES:
            _free.append(borrowed)
