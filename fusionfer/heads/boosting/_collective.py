"""Processes that grow one forest from rows of their own: XGBoost's communicator, and what is summed up in it."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from fusionfer.heads.boosting._norm import leaf_norms

__all__ = ["InCollective", "is_broken", "joined", "meeting", "reason"]


class InCollective:
    """Sums over all processes; norms are those of the leaves, which all read from the same trees."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over all who grow together."""
        from xgboost.collective import Op, allreduce

        return allreduce(np.asarray(values, dtype=np.float64), Op.SUM).reshape(np.shape(values))

    def norms(self, part: Any, outputs: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        """Return the norm (C,) of each tree that `part` has just grown."""
        return leaf_norms(part.turns[-1])


@contextmanager
def meeting(host: str, n: int, timeout: float) -> Iterator[list[dict[str, Any]]]:
    """Let n processes find each other, by XGBoost's tracker in this one.

    Parameters
    ----------
    host : str
        Address of this machine, by which they reach it.
    n : int
    timeout : float
        Seconds that they wait for each other, to meet and in every operation.

    Yields
    ------
    list of dict
        For each of them what `joined` needs.
    """
    from xgboost.core import XGBoostError
    from xgboost.tracker import RabitTracker

    tracker = RabitTracker(n_workers=n, host_ip=host, sortby="task", timeout=max(1, int(timeout)))
    tracker.start()
    common = {**tracker.worker_args(), "dmlc_timeout": max(1, int(timeout)), "dmlc_retry": 2}
    try:
        yield [{**common, "dmlc_task_id": f"{i:06d}"} for i in range(n)]
    finally:
        with suppress(XGBoostError):  # of processes that it has lost
            tracker.free()


class _Muffled:
    """What is printed within is lost. `sys.stdout` is one for all threads: the first swaps it, the last brings it back.

    With a `contextlib.redirect_stdout` for each, it would be lost for good when the first leaves before the second.
    """

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.before: Any = None
        self.sink = io.StringIO()

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.before, self.sink = sys.stdout, io.StringIO()
                sys.stdout = self.sink

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and sys.stdout is self.sink:  # or somebody else has put another one there meanwhile
                sys.stdout = self.before


_muffled = _Muffled()


@contextmanager
def joined(given: dict[str, Any]) -> Iterator[None]:
    """Within this, what XGBoost adds up it adds up over all processes."""
    from xgboost.collective import CommunicatorContext
    from xgboost.core import XGBoostError

    context = CommunicatorContext(**given)
    with _muffled:  # it prints who has which rank
        context.__enter__()
    try:
        yield
    except BaseException:
        with suppress(XGBoostError):  # what went wrong first says more
            context.__exit__()
        raise
    context.__exit__()


def is_broken(error: BaseException) -> bool:
    """Whether an error is XGBoost's, as it is when processes that grow together do not reach each other any more."""
    from xgboost.core import XGBoostError

    return isinstance(error, XGBoostError)


def reason(error: BaseException) -> str:
    """What an error of XGBoost's says, on one line, without where in its code that was."""
    return " ".join(str(error).split("Stack trace")[0].split())[:1000]
