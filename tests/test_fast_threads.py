"""Threads over the batch: the same bytes whoever computes, BLAS as it was found, memory bounded, nobody waiting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cnnlib import fast
from cnnlib.fast import buffers, threads


@pytest.fixture
def three_threads(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    threads._pool.cache_clear()
    yield
    threads._pool().shutdown()
    threads._pool.cache_clear()


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def convolutions():
    """Return (grad_output, x, weight, options), one for each algorithm of large enough size."""
    rng = np.random.default_rng(0)
    cases = [
        ((5, 3, 30, 31), (8, 3, 5, 5), {"stride": 2, "padding": 2}),
        ((5, 32, 16, 15), (32, 32, 3, 3), {"padding": 1}),
        ((5, 40, 9, 8), (24, 40, 1, 1), {}),
        ((5, 6, 16, 17), (8, 6, 3, 3), {"dilation": 2}),
        ((5, 1, 24, 24), (1, 1, 16, 16), {}),
        ((5, 16, 20, 20), (16, 1, 3, 3), {"groups": 16}),
    ]
    for x_shape, weight_shape, options in cases:
        x, weight = (rng.normal(size=shape).astype(np.float32) for shape in (x_shape, weight_shape))
        yield rng.normal(size=fast.conv2d(x, weight, **options).shape).astype(np.float32), x, weight, options


def all_bytes():
    results = []
    for grad_output, x, weight, options in convolutions():
        results += [fast.conv2d(x, weight, **options), *fast.conv2d_backward(grad_output, x, weight, **options)]
    return [r.tobytes() for r in results]


@pytest.mark.usefixtures("three_threads")
def test_eight_threads_at_once_get_the_same_bytes_as_one():
    alone = all_bytes()
    start = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(lambda: (start.wait(), all_bytes())[1]) for _ in range(8)]
    assert all(future.result() == alone for future in futures)


@pytest.mark.usefixtures("three_threads")
def test_a_call_from_inside_the_pool_does_not_wait_for_it():
    alone = all_bytes()
    inside = threads.over_batch(lambda part, _: all_bytes(), 6, nanoseconds=1e9)
    assert len(inside) == 3
    assert all(result == alone for result in inside)


@pytest.mark.usefixtures("three_threads")
def test_the_batch_is_cut_into_even_parts():
    assert threads.over_batch(lambda part, _: part, 8, nanoseconds=1e9) == [slice(0, 2), slice(2, 5), slice(5, 8)]
    assert threads.over_batch(lambda part, _: part, 2, nanoseconds=1e9) == [slice(0, 1), slice(1, 2)]
    assert threads.over_batch(lambda part, _: part, 0, nanoseconds=1e9) == [slice(0, 0)]


def test_little_work_stays_with_the_caller(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 4)
    assert threads.over_batch(lambda part, _: part, 8, nanoseconds=100_000) == [slice(0, 8)]
    assert len(threads.over_batch(lambda part, _: part, 8, nanoseconds=1_000_000)) == 4


@pytest.mark.usefixtures("three_threads")
def test_an_error_comes_out_when_nobody_writes_any_more():
    running = []

    def fail(part, _):
        running.append(part)
        try:
            raise ZeroDivisionError(str(part))
        finally:
            running.remove(part)

    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            threads.over_batch(fail, 6, nanoseconds=1e9)
        assert not running


@pytest.mark.usefixtures("three_threads")
def test_the_error_state_of_the_caller_holds_in_every_thread():
    with np.errstate(divide="raise"):
        states = threads.over_batch(lambda part, _: np.geterr()["divide"], 6, nanoseconds=1e9)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        assert states == ["raise"] * 3


def test_blas_has_one_thread_inside_and_as_many_as_before_after():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        inside = threads.over_batch(lambda part, _: blas_threads(), 4, nanoseconds=0)
        assert set(inside[0]) == {1}
        assert blas_threads() == before
        with pytest.raises(ZeroDivisionError):
            threads.over_batch(lambda part, _: 1 / 0, 4, nanoseconds=0)
        assert blas_threads() == before


def test_the_last_to_leave_restores_the_threads_of_blas():
    with threadpool_limits(2, user_api="blas"):
        before, entered, leave = blas_threads(), threading.Event(), threading.Event()

        def hold():
            with threads.one_blas_thread():
                entered.set()
                leave.wait(10)

        other = threading.Thread(target=hold)
        with threads.one_blas_thread():
            other.start()
            assert entered.wait(10)
        assert set(blas_threads()) == {1}  # the other still computes
        leave.set()
        other.join()
        assert blas_threads() == before


@pytest.mark.parametrize(
    ("names", "expected"), [({"CNNLIB_THREADS": "3", "OMP_NUM_THREADS": "2"}, 3), ({"OMP_NUM_THREADS": "2"}, 2)]
)
def test_the_number_of_threads_can_be_set(monkeypatch, names, expected):
    monkeypatch.delenv("CNNLIB_THREADS", raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert threads.thread_count.__wrapped__() == expected


def test_a_workspace_is_lent_to_one_at_a_time_and_kept():
    with buffers.workspace() as first, buffers.workspace() as second:
        a, b = (w.take("x", (5, 7), np.float32) for w in (first, second))
        assert first is not second
        assert not np.shares_memory(a, b)
        assert a.ctypes.data % buffers.ALIGNMENT == 0
        assert np.shares_memory(first.take("x", (3,), np.float64), a)
        assert not np.shares_memory(first.take("y", (3,), np.float64), a)
    with buffers.workspace() as third:
        assert third is first  # the last given back


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(buffers, "KEPT_BYTES", 1000)
    monkeypatch.setattr(buffers, "KEPT_WORKSPACES", 2)
    monkeypatch.setattr(buffers, "_free", [])
    lent = [buffers.workspace() for _ in range(4)]
    for workspace in [w.__enter__() for w in lent]:
        for size in (100, 800, 5000):
            workspace.take(str(size), (size,), np.uint8)
    for w in lent:
        w.__exit__(None, None, None)
    assert [sorted(w._memory) for w in buffers._free] == [["100", "800"]] * 2
