"""What is to be solved, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["LOSSES", "LinearProblem", "LinearSolution", "SoftmaxProblem"]

LOSSES = ("hinge", "squared_hinge", "logistic")


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """One fit over some rows and columns of a shared X.

    Attributes
    ----------
    Y : ndarray of int8, shape (n, K)
        +1, -1, or 0 where a row takes no part in a learner. A held-out row is 0 in all.
    c : ndarray of float64, shape (n,) or (n, K)
        Cost of each row, at least 0.
    columns : slice, optional
        Columns of X, without step; by default all.
    shift, factor : ndarray of float64, shape (d,), optional
        Taken off, then multiplied with, the columns: the fit is to ``Z = (X[:, columns] - shift) * factor``.
    """

    Y: np.ndarray
    c: np.ndarray
    columns: slice | None = None
    shift: np.ndarray | None = None
    factor: np.ndarray | None = None

    @property
    def alike(self) -> int:
        """Problems of which only those of one number can be solved together."""
        return 0

    def checked(self, n: int, width: int) -> LinearProblem:
        """Return the same with plain arrays, if it fits an X of that shape.

        Raises
        ------
        DataError
            If something does not; all complaints at once.
        """
        Y, complaints = np.asarray(self.Y), []
        if Y.ndim != 2 or len(Y) != n:
            complaints.append(f"Y must have {n} rows and one column a learner, got shape {Y.shape}")
        elif not np.all((Y == 0) | (Y == 1) | (Y == -1)):
            complaints.append("Y must hold +1, -1 and 0 only")
        c = _costs(self.c, [(n,), Y.shape], complaints)
        columns, shift, factor = _scaling(self, width, complaints)
        _raise("LinearProblem", complaints)
        return LinearProblem(Y.astype(np.int8, copy=False), c, columns, shift, factor)

    def cost(self, k: int) -> np.ndarray:
        """Costs of learner `k`, (n,)."""
        return self.c if self.c.ndim == 1 else np.ascontiguousarray(self.c[:, k])


@dataclass(frozen=True, eq=False)
class SoftmaxProblem:
    """One multinomial fit over some rows and columns of a shared X.

    Attributes
    ----------
    y_index : ndarray of int, shape (n,)
        Number of the class, or -1 where a row takes no part.
    n_classes : int
        At least 2.
    c : ndarray of float64, shape (n,)
        Cost of each row, at least 0.
    columns, shift, factor
        As in `LinearProblem`.
    """

    y_index: np.ndarray
    n_classes: int
    c: np.ndarray
    columns: slice | None = None
    shift: np.ndarray | None = None
    factor: np.ndarray | None = None

    @property
    def alike(self) -> int:
        """Problems of which only those of one number can be solved together."""
        return self.n_classes

    def checked(self, n: int, width: int) -> SoftmaxProblem:
        """Return the same with plain arrays, if it fits an X of that shape.

        Raises
        ------
        DataError
            If something does not; all complaints at once.
        """
        y, complaints = np.asarray(self.y_index), []
        if y.shape != (n,) or y.dtype.kind not in "iu":
            complaints.append(f"y_index must be {n} whole numbers, got shape {y.shape} of {y.dtype}")
        elif self.n_classes < 2 or (n and not (y.min() >= -1 and y.max() < self.n_classes)):
            complaints.append(f"y_index must lie between -1 and {self.n_classes - 1}, with at least 2 classes")
        c = _costs(self.c, [(n,)], complaints)
        columns, shift, factor = _scaling(self, width, complaints)
        _raise("SoftmaxProblem", complaints)
        return SoftmaxProblem(y.astype(np.intp, copy=False), self.n_classes, c, columns, shift, factor)


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """What was found, in the coordinates of Z; one entry a learner.

    Attributes
    ----------
    coef : ndarray of float64, shape (K, d)
    intercept : ndarray of float64, shape (K,)
    objective : ndarray of float64, shape (K,), or (1,) for softmax
        Value of the objective at `coef` and `intercept`.
    gap : ndarray of float64, shape (K,), or (1,) for softmax
        How far `objective` may lie above the minimum, as a share of itself: proven by a feasible dual point.
    n_iter : ndarray of int, shape (K,), or (1,) for softmax
        Steps.
    """

    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    n_iter: np.ndarray


def _costs(c: Any, shapes: list[tuple[int, ...]], complaints: list[str]) -> np.ndarray:
    c = np.asarray(c, dtype=np.float64)
    if c.shape not in shapes:
        complaints.append(f"c must have shape {' or '.join(map(str, shapes))}, got {c.shape}")
    elif not np.all((c >= 0) & (c < np.inf)):
        complaints.append("c must be finite and at least 0")
    return c


def _scaling(problem: Any, width: int, complaints: list[str]) -> tuple[slice, np.ndarray | None, np.ndarray | None]:
    columns = slice(0, width) if problem.columns is None else problem.columns
    start, stop = columns.start or 0, width if columns.stop is None else columns.stop
    if columns.step not in (None, 1) or not 0 <= start < stop <= width:
        complaints.append(f"columns must be a slice without step within the {width} columns of X, got {columns}")
    parts: list[np.ndarray | None] = []
    for name in ("shift", "factor"):
        part = getattr(problem, name)
        if part is not None:
            part = np.asarray(part, dtype=np.float64)
            if part.shape != (stop - start,) or not np.all(np.isfinite(part)):
                complaints.append(f"{name} must be {stop - start} finite numbers, got shape {part.shape}")
        parts.append(part)
    return slice(start, stop), parts[0], parts[1]


def _raise(kind: str, complaints: list[str]) -> None:
    if complaints:
        msg = f"{kind}: {'; '.join(complaints)}."
        raise DataError(msg)
