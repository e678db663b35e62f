"""FitJob: one of many fits over the same rows, for heads that can share the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["FitJob"]


@dataclass(frozen=True, eq=False)
class FitJob:
    """One fit of a head: which rows and columns of the shared X, how the columns are scaled, which parameters.

    A head may have a method ``fit_many(X, y, jobs, sample_weight=None, groups=None, progress=None)`` that returns one
    fitted clone of itself for each job, equal within the solver's tolerance to::

        Z = (X[job.rows, job.columns] - job.shift) * job.factor
        clone(head).set_params(**job.params).fit(Z, y[job.rows], sample_weight[job.rows])

    Whoever fits the same head on many folds, blocks and parameters (`HybridSelector`) uses that method where it is
    there. Jobs of one head share X: Gram matrices of a fold are the total less the held-out rows, those of a block are
    parts of it, and all jobs are columns of the same matrix products.

    Attributes
    ----------
    rows : ndarray of int, shape (m,)
        Training rows, ascending.
    columns : slice
        Columns, without step.
    shift, factor : ndarray of float64, shape (d,)
        Taken off, then multiplied with, the columns; d is the width of `columns`.
    params : mapping of str to object
        Parameters in which this fit differs from the head.
    """

    rows: np.ndarray
    columns: slice
    shift: np.ndarray
    factor: np.ndarray
    params: Mapping[str, Any] = field(default_factory=dict)
