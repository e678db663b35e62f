"""How fast a core of this machine is, beside those on which the unit costs were measured, and how many there are."""

from __future__ import annotations

import os
import time
from functools import lru_cache

import numpy as np

__all__ = ["REFERENCE_GFLOPS", "cores", "decoders", "gflops", "slowness"]

#: What `gflops` said where the unit costs were measured: a core of an AMD EPYC with AVX-512.
REFERENCE_GFLOPS = 105.0

_SIDE, _MANY = 64, 64  # of matrices so small that no BLAS divides their product among threads, and how many of them
_FARTHEST = 20.0  # a machine that seems slower or faster than this by comparison was disturbed while it was probed


def gflops(seconds: float = 0.02) -> float:
    """Multiply small float32 matrices on one core, and say with how many billion operations a second.

    Time that the core spent on other programs does not count.

    Parameters
    ----------
    seconds : float
        How long, of the core's time.

    Returns
    -------
    float
    """
    A = np.ones((_MANY, _SIDE, _SIDE), dtype=np.float32)
    out = np.empty_like(A)
    np.matmul(A, A, out=out)
    rounds, begin = 0, time.thread_time()
    while (spent := time.thread_time() - begin) < seconds:
        np.matmul(A, A, out=out)
        rounds += 1
    return 2e-9 * _MANY * _SIDE**3 * rounds / spent


@lru_cache(maxsize=1)
def slowness() -> float:
    """By what times of the reference machine must be multiplied here; probed once in a process, in 20 ms."""
    return float(np.clip(REFERENCE_GFLOPS / gflops(), 1 / _FARTHEST, _FARTHEST))


def cores() -> int:
    """How many processors this process may use; OMP_NUM_THREADS may limit them, as it limits torch."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, int(asked)) if asked.isdecimal() and int(asked) else there


def decoders() -> int:
    """How many pictures `audit`, `eda` and the search for faces decode at a time: as many as the machine has cores."""
    return os.cpu_count() or 1
