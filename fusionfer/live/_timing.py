"""How long each step takes, counted where it is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

__all__ = ["Timing"]


class Timing:
    """Sums of seconds by step; every step is timed in one thread, so that none needs a lock.

    Examples
    --------
    >>> timing = Timing()
    >>> with timing("detect"):
    ...     pass
    >>> list(timing.seconds)
    ['detect']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add the time of what is done within to `step`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - begin
