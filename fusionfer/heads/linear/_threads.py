"""How many threads matrix products may take, and work that is the same for many learners, in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from joblib import cpu_count, effective_n_jobs
from threadpoolctl import threadpool_limits

__all__ = ["at_most", "for_each"]

_MANY = 16  # learners that are worth threads
_allowed: ContextVar[int | None] = ContextVar("allowed", default=None)


class _BlasLimit:
    """The one limit that BLAS has in a process, for several that ask: the smallest holds, the last one lifts it."""

    def __init__(self) -> None:
        self.lock, self.asked = Lock(), list[int]()
        self.first: threadpool_limits | None = None  # it alone knows what was before

    def add(self, threads: int) -> None:
        with self.lock:
            self.asked.append(threads)
            limit = threadpool_limits(min(self.asked), user_api="blas")
            self.first = self.first or limit

    def remove(self, threads: int) -> None:
        with self.lock:
            self.asked.remove(threads)
            if self.asked:
                threadpool_limits(min(self.asked), user_api="blas")
            elif self.first is not None:
                self.first.restore_original_limits()
                self.first = None


_blas = _BlasLimit()


@contextmanager
def at_most(n_jobs: int | None) -> Iterator[None]:
    """Let matrix products and `for_each` take so many threads, counted as joblib counts; None leaves all as it is."""
    if n_jobs is None:
        yield
        return
    threads = effective_n_jobs(n_jobs)
    token = _allowed.set(threads)
    _blas.add(threads)
    try:
        yield
    finally:
        _blas.remove(threads)
        _allowed.reset(token)


def for_each(count: int, work: Callable[[int], None]) -> None:
    """Call ``work(i)`` for i from 0 to ``count - 1``, in no fixed order; calls must not touch each other's arrays.

    numpy lets go of the interpreter within its loops, which over the rows of one learner are long.
    """
    threads = _allowed.get() or cpu_count()
    if count < _MANY or threads == 1:
        for i in range(count):
            work(i)
        return

    def share(first: int) -> None:
        for i in range(first, count, threads):
            work(i)

    with ThreadPoolExecutor(
        threads
    ) as pool:  # one task a thread: learners handed over one by one took a quarter longer
        for _ in pool.map(share, range(threads)):
            pass
