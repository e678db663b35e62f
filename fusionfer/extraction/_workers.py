"""Workers: threads that each take whole batches, from picture to vector, with few threads inside the network."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch

__all__ = ["Crew", "crew_for", "in_order", "turns"]

_MOST = 8  # workers: each holds the activations of a whole batch

T = TypeVar("T")


@dataclass(frozen=True)
class Crew:
    """How the work is divided.

    Attributes
    ----------
    workers : int
        Batches in work at the same time.
    threads : int
        Threads of torch inside each network. Bits may depend on it; they never depend on `workers`.
    alone : bool
        Whether only one worker at a time is inside the networks, while the others decode.
    """

    workers: int
    threads: int
    alone: bool


def crew_for(device: torch.device, *, own_modules: bool) -> Crew:
    """Divide the threads that torch may use.

    On a CPU, two batches on one thread each are done sooner than two batches one after the other on two threads: layers
    are too small to be divided well, and threads wait for each other after each. Other devices take one batch at a
    time; so do modules of the user's own, which may keep state while they run.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or own_modules:
        return Crew(workers=3, threads=threads, alone=True)
    each = -(-threads // _MOST)
    return Crew(workers=threads // each, threads=each, alone=False)


def in_order(work: Callable[[int], T], starts: Sequence[int], crew: Crew) -> Generator[T, None, None]:
    """Yield ``work(start)`` for each start, in order, computed by the crew a few batches ahead of the caller.

    Parameters
    ----------
    work : callable
        Runs in a worker's thread.
    starts : sequence of int
        First row of each batch.
    crew : Crew
        How many workers.
    """
    count = min(crew.workers, len(starts)) or 1
    with (
        _threads_as_before(),
        ThreadPoolExecutor(count, "extract", initializer=torch.set_num_threads, initargs=(crew.threads,)) as pool,
    ):
        remaining = iter(starts)
        waiting: deque[Future[T]] = deque(
            pool.submit(work, start) for start in itertools.islice(remaining, crew.workers)
        )
        try:
            while waiting:
                # One more than there are workers, so that none waits while the caller is busy with a result.
                waiting.extend(pool.submit(work, start) for start in itertools.islice(remaining, 1))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _threads_as_before() -> Iterator[None]:
    """Give torch its number of threads back: workers set it for themselves, and for threads that start later."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def turns(crew: Crew) -> contextlib.AbstractContextManager:
    """Return what a worker holds while it is inside the networks."""
    return threading.Lock() if crew.alone else contextlib.nullcontext()
