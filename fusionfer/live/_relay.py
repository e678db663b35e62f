"""Hands things from one thread to the next: in order, or only the newest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ["Relay"]

T = TypeVar("T")


class Relay(Generic[T]):
    """Runs an iterable in a thread of its own and yields what it yields.

    One thing waits at most. An error in the thread is raised where the things are taken, after those before it.

    Parameters
    ----------
    things : iterable
        Runs in the thread; a generator is closed there.
    newest : bool
        False: who makes things waits until one is taken. True: a thing that nobody has taken makes way for the next.

    Attributes
    ----------
    dropped : int
        Things that made way.
    """

    def __init__(self, things: Iterable[T], *, newest: bool = False) -> None:
        self.dropped = 0
        self._things, self._newest = things, newest
        self._changed = threading.Condition()
        self._waiting: list[T] = []
        self._error: Exception | None = None
        self._done = self._closed = False
        # A daemon, as a camera that hangs cannot be woken.
        self._thread = threading.Thread(target=self._run, name="fusionfer-live", daemon=True)

    def take(self, *, idle: Callable[[], bool] | None = None, every: float = 0.1) -> Iterator[T]:
        """Yield the things as they come.

        Parameters
        ----------
        idle : callable, optional
            Asked every `every` seconds while nothing comes; True ends it.
        """
        while True:
            with self._changed:
                while not (self._waiting or self._done or self._closed):
                    if not self._changed.wait(None if idle is None else every) and idle is not None and idle():
                        return
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return
                thing = self._waiting.pop()
                self._changed.notify_all()
            yield thing

    def close(self, patience: float = 5.0) -> None:
        """End the thread, whatever it still has; wait for it so many seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(patience)

    def __enter__(self) -> Relay[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        things = iter(self._things)
        try:
            for thing in things:
                if not self._put(thing):
                    break
        except Exception as error:  # raised again by who takes; signals reach the main thread alone
            self._error = error
        finally:
            close = getattr(things, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _put(self, thing: T) -> bool:
        with self._changed:
            while self._waiting and not self._closed and not self._newest:
                self._changed.wait()
            if self._closed:
                return False
            self.dropped += len(self._waiting)
            self._waiting[:] = [thing]
            self._changed.notify_all()
        return True
