"""Work that is the same for many learners, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from joblib import cpu_count

__all__ = ["for_each"]

_MANY = 16  # learners that are worth threads


def for_each(count: int, work: Callable[[int], None]) -> None:
    """Call ``work(i)`` for i from 0 to ``count - 1``, in no fixed order; calls must not touch each other's arrays.

    numpy lets go of the interpreter within its loops, which over the rows of one learner are long.
    """
    if count < _MANY:
        for i in range(count):
            work(i)
        return
    with ThreadPoolExecutor(cpu_count()) as threads:
        for _ in threads.map(work, range(count)):
            pass
