"""Processes that grow one forest from rows of their own: XGBoost's communicator, and what is summed up in it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

import numpy as np

from fusionfer.heads.boosting._norm import leaf_norms

__all__ = ["InCollective", "is_broken", "joined", "meeting"]


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


@contextmanager
def joined(given: dict[str, Any]) -> Iterator[None]:
    """Within this, what XGBoost adds up it adds up over all processes."""
    from xgboost.collective import CommunicatorContext

    context = CommunicatorContext(**given)
    with redirect_stdout(io.StringIO()):  # it prints who has which rank
        context.__enter__()
    try:
        yield
    finally:
        context.__exit__()


def is_broken(error: BaseException) -> bool:
    """Whether an error is XGBoost's, as it is when processes do not reach each other any more."""
    from xgboost.core import XGBoostError

    return isinstance(error, XGBoostError)
