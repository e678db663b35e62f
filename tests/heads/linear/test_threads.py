"""Work in threads, and how many there may be."""

import inspect
import subprocess
import sys
import threading

import pytest
from joblib import cpu_count
from threadpoolctl import threadpool_info, threadpool_limits

from fusionfer.heads.linear._threads import _BlasLimit, at_most, for_each

IMPORTS = """
import pytest
from joblib import cpu_count
from threadpoolctl import threadpool_info, threadpool_limits
from fusionfer.heads.linear._threads import _BlasLimit, at_most
"""


def blas_threads():
    """Threads of every BLAS that is loaded."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def alone(work):
    """Run a function of this file in a process of its own, whose BLAS nobody else has set."""
    code = [inspect.getsource(blas_threads), inspect.getsource(work), f"{work.__name__}()"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([IMPORTS, *code])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("n_jobs", [None, 1, 3])
@pytest.mark.parametrize("count", [0, 3, 50])
def test_everyone_is_served_once(count, n_jobs):
    """Few or many, by few or many: each number comes once."""
    seen = []
    with at_most(n_jobs):
        for_each(count, seen.append)
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("count", [3, 50])
def test_errors_come_through(count):
    """What goes wrong in a thread is raised."""
    with pytest.raises(ZeroDivisionError):
        for_each(count, lambda i: 1 // (i - 2))


def test_one_thread_is_the_caller():
    """With one thread allowed, no other is started; with three, three meet at a barrier."""
    seen = set()
    with at_most(1):
        for_each(50, lambda i: seen.add(threading.get_ident()))
    assert seen == {threading.get_ident()}
    barrier = threading.Barrier(3, timeout=10)
    with at_most(3):
        for_each(18, lambda i: barrier.wait())


def limited_within():
    """The limit holds inside, negative numbers count from the processors, and what was before comes back."""
    with threadpool_limits(2, user_api="blas"):
        with at_most(None):
            assert blas_threads() == {2}
        with at_most(1):
            assert blas_threads() == {1}
        with at_most(-1):
            assert blas_threads() == {cpu_count()}
        with pytest.raises(KeyError), at_most(1):
            raise KeyError
        assert blas_threads() == {2}


def test_blas_is_limited_within_and_free_again():
    """The limit holds inside, and what was before comes back."""
    alone(limited_within)


def side_by_side():
    """Fits side by side, in whatever order they begin and end, leave BLAS as they found it."""
    limit, seen = _BlasLimit(), []
    with threadpool_limits(2, user_api="blas"):
        for step, threads in ((limit.add, 3), (limit.add, 1), (limit.add, 2)):
            step(threads)
            seen.append(blas_threads())
        for threads in (3, 1, 2):
            limit.remove(threads)
            seen.append(blas_threads())
    assert seen == [{3}, {1}, {1}, {1}, {2}, {2}]
    with threadpool_limits(1, user_api="blas"):
        limit.add(3)
        limit.remove(3)
        assert blas_threads() == {1}


def test_the_smallest_limit_holds_until_the_last_ends():
    """Fits side by side share the smallest limit."""
    alone(side_by_side)
