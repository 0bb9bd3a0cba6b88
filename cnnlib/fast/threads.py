"""Threads over the batch: the images of a batch do not know of each other, so each thread takes some of them.

NumPy lets other threads run while it copies and multiplies, so plain Python threads do. Inside each, BLAS is held to
one thread: two layers of threads would ask for more cores than there are. A batch is cut by its size and the number of
threads alone, never by who is busy, so that the same call gives the same bytes whoever else computes.
"""

from __future__ import annotations

import contextvars
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from cnnlib.fast.buffers import Workspace, workspace

Result = TypeVar("Result")

WORTH_A_THREAD = 500_000  # nanoseconds of work, below which waking a thread costs more than it brings
_inside = threading.local()  # has `worker` in a thread of the pool
_lock = threading.Lock()
_holders = 0  # how many calls hold BLAS to one thread just now
_before: list[tuple[Any, int]] = []  # each BLAS library, and how many threads it had before the first of them


@functools.cache
def thread_count() -> int:
    """Return how many threads share a batch: CNNLIB_THREADS, else OMP_NUM_THREADS, else the cores we may use."""
    for name in ("CNNLIB_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal():
            return max(1, int(os.environ[name]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(
        max(1, thread_count() - 1), "cnnlib", initializer=setattr, initargs=(_inside, "worker", 1)
    )


@functools.cache
def _blas() -> list[Any]:
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set_threads(library: Any, threads: int) -> None:
    """Set the number of threads of one BLAS, and let the next who asks set it too, from whatever thread.

    A recent threadpoolctl listens to the first thread that asked until that one lets go. Where somebody else
    holds the number just now, it stays as it is.
    """
    library.set_num_threads(threads)
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread; when the last holder leaves, it has as many as before the first one came.

    The number is one for the whole process, so whoever multiplies meanwhile in another thread is held too.
    """
    global _holders, _before  # noqa: PLW0603 — the number of BLAS threads is itself a global
    with _lock:
        if _holders == 0:
            _before = [(library, library.num_threads) for library in _blas()]
            for library, threads in _before:
                if threads != 1:
                    _set_threads(library, 1)
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                for library, threads in _before:
                    if threads != 1:
                        _set_threads(library, threads)


def over_batch(work: Callable[[slice, Workspace], Result], batch: int, nanoseconds: float) -> list[Result]:
    """Return [work(part, workspace)] for the parts of range(batch), in their order.

    `nanoseconds` is a rough estimate of the whole: little work stays in one part. Each part has a `Workspace` of its
    own, lent for the time of the call. The caller computes too, and takes back whatever no thread has begun, so that
    nobody waits for a busy pool; a call from inside the pool runs there.

    >>> over_batch(lambda part, _: part, 4, nanoseconds=0)
    [slice(0, 4, None)]
    """
    parts = max(1, min(thread_count(), batch)) if nanoseconds >= WORTH_A_THREAD else 1
    edges = [batch * k // parts for k in range(parts + 1)]
    slices = [slice(first, last) for first, last in itertools.pairwise(edges)]

    def run(part: slice) -> Result:
        with workspace() as buffers:
            return work(part, buffers)

    with one_blas_thread():
        if parts == 1 or hasattr(_inside, "worker"):
            return [run(part) for part in slices]
        futures = [_pool().submit(contextvars.copy_context().run, run, part) for part in slices[1:]]
        try:
            results = [run(slices[0])]
        finally:
            begun = [not future.cancel() for future in futures]
            for future, was_begun in zip(futures, begun, strict=True):
                if was_begun:
                    future.exception()  # nobody may still write when we leave, not even after an error
        for part, future, was_begun in zip(slices[1:], futures, begun, strict=True):
            results.append(future.result() if was_begun else run(part))
        return results


def _forget_the_pool() -> None:
    """Start anew in a forked child, which has inherited neither threads nor the state of their locks."""
    global _lock, _holders
    _lock, _holders = threading.Lock(), 0
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_pool)
