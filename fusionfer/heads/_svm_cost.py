"""What a fit of a kernel machine will take, said before it starts."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from fusionfer.exceptions import FusionferWarning

__all__ = ["FitCost", "estimate_cost", "say_cost"]

# Nanoseconds for a pair of rows and a column in one fit: 3,000 to 10,000 rows of 2,560 features of FER-2013, 7 classes,
# C = 1, two cores of which others used about one. docs/svm.md has the figures.
_NANOSECONDS = {"scikit-learn": 0.4, "intelex": 0.04}
_SAY_FROM_SECONDS = 60.0
_SAY_FROM_BYTES = 4 << 30


class FitCost(NamedTuple):
    """What a fit is expected to take, besides the features.

    Attributes
    ----------
    seconds : float
    bytes : int
    """

    seconds: float
    bytes: int


def estimate_cost(solver: str, n: int, d: int, n_folds: int, cache_mb: int) -> FitCost:
    """Estimate one fit to n rows of d columns, and `n_folds` fits without one of so many folds.

    Parameters
    ----------
    solver : {"scikit-learn", "intelex"}
    n, d, n_folds : int
    cache_mb : int
        Cache of scikit-learn's solver, in MiB.

    Examples
    --------
    >>> round(estimate_cost("scikit-learn", 10_000, 100, 0, 500).seconds, 3)
    4.0
    """
    share = 1.0 + (n_folds * (1.0 - 1.0 / n_folds) ** 2 if n_folds else 0.0)
    seconds = share * _NANOSECONDS[solver] * 1e-9 * float(n) ** 2 * d
    if solver == "intelex":
        return FitCost(seconds, 2 * 4 * n * d)  # scaled rows and support vectors
    # The copy, what a fold takes of it, support vectors (nearly all rows where classes overlap), and a cache.
    return FitCost(seconds, (8 + (8 if n_folds else 0) + 4) * n * d + cache_mb * 2**20)


def say_cost(solver: str, n: int, d: int, cost: FitCost) -> None:
    """Warn before a fit that is expected to take more than a minute or 4 GiB.

    Warns
    -----
    FusionferWarning
    """
    if cost.seconds <= _SAY_FROM_SECONDS and cost.bytes <= _SAY_FROM_BYTES:
        return
    msg = (
        f"svm-rbf on {n} rows of {d} columns will take about {_duration(cost.seconds)} and "
        f"{cost.bytes / 2**30:.1f} GiB with the solver of {'scikit-learn-' if solver == 'intelex' else ''}{solver}"
    )
    if solver == "scikit-learn":
        faster = cost.seconds * _NANOSECONDS["intelex"] / _NANOSECONDS["scikit-learn"]
        msg += (
            f", which works on a float64 copy; with scikit-learn-intelex installed about {_duration(faster)}, and with "
            "the head svm-nystroem, an approximation, much less"
        )
    warnings.warn(f"{msg}.", FusionferWarning, stacklevel=3)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
