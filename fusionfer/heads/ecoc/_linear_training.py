"""Linear learners of one ensemble as problems of the joint solver: all values of C, and all folds, at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fusionfer.heads._spread import scaled_pieces
from fusionfer.heads.linear import LinearProblem, LinearSolution

__all__ = ["LinearTask", "LinearTrial"]


@dataclass(frozen=True, eq=False)
class LinearTrial:
    """What came out for one value of C.

    Attributes
    ----------
    C : float
    solution : LinearSolution
        Learners on all rows.
    held_out : ndarray of float64, shape (n, L), or None
        Scores of the rows by learners that have not seen them, 0 in rows of no fold; None without folds.
    """

    C: float
    solution: LinearSolution
    held_out: np.ndarray | None


@dataclass(frozen=True, eq=False)
class LinearTask:
    """One ensemble to be fitted over some rows and columns of a shared X.

    Attributes
    ----------
    Y : ndarray of int8, shape (n, L)
        Sides; all 0 in rows that take no part.
    cost : ndarray of float64, shape (n,) or (n, L)
        Weight of each row, before C.
    folds : ndarray of int, shape (n,), or None
        Fold in which a row is held out; -1 in rows of no fold.
    grid : tuple of float
        Values of C, ascending.
    columns : slice
    shift, factor : ndarray of float64, shape (d,), or None
        The learners see ``(X[:, columns] - shift) * factor``.
    """

    Y: np.ndarray
    cost: np.ndarray
    folds: np.ndarray | None
    grid: tuple[float, ...]
    columns: slice
    shift: np.ndarray | None = None
    factor: np.ndarray | None = None

    def problems(self) -> list[LinearProblem]:
        """For every C, the fit to all rows and then one without each fold that leaves something to learn."""
        parts = [(self.Y, np.arange(self.Y.shape[1]))]
        parts += [(Y[:, kept], kept) for fold, Y, kept in self._folds() if len(kept) and self._trains_on(fold)]
        found = []
        for C in self.grid:
            cost = C * self.cost
            for Y, kept in parts:
                c = cost if cost.ndim == 1 else cost[:, kept]
                found.append(LinearProblem(Y, c, self.columns, self.shift, self.factor))
        return found

    def read(self, X: np.ndarray, solutions: list[LinearSolution]) -> list[LinearTrial]:
        """Return one trial for each C from the solutions of `problems`, in their order."""
        each = len(solutions) // len(self.grid)
        by_c = [iter(solutions[at : at + each]) for at in range(0, len(solutions), each)]
        whole = [next(found) for found in by_c]
        held_out = [np.zeros(self.Y.shape) for _ in by_c]
        for fold, Y, kept in self._folds():
            # A side that is missing inside the fold cannot be learned: the other is what such a learner says.
            dropped = np.setdiff1d(np.arange(Y.shape[1]), kept)
            lone = (Y.min(axis=0) + Y.max(axis=0))[dropped]
            outside = np.flatnonzero(self.folds == fold)
            for target in held_out:
                target[np.ix_(outside, dropped)] = lone
            if not len(kept):
                continue
            fits = [next(found) for found in by_c] if self._trains_on(fold) else whole
            coef = np.concatenate([fit.coef for fit in fits])
            intercept = np.concatenate([fit.intercept for fit in fits])
            for rows, Z in scaled_pieces(X, outside, self.columns, self.shift, self.factor):
                scores = Z @ coef.T.astype(Z.dtype) + intercept
                for target, part in zip(held_out, np.split(scores, len(by_c), axis=1), strict=True):
                    target[np.ix_(rows, kept)] = part
        return [
            LinearTrial(C, solution, None if self.folds is None else scores)
            for C, solution, scores in zip(self.grid, whole, held_out, strict=True)
        ]

    def _trains_on(self, fold: int) -> bool:
        """Whether the fit to all rows has seen the fold; if not, as in a predefined split, it is the one without."""
        return bool(np.any(self.Y[self.folds == fold]))

    def _folds(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Number of each fold, the sides without its rows, and the learners that still have two."""
        if self.folds is not None:
            for fold in np.unique(self.folds[self.folds >= 0]).tolist():
                Y = np.where((self.folds == fold)[:, None], np.int8(0), self.Y)
                yield fold, Y, np.flatnonzero((Y.min(axis=0) < 0) & (Y.max(axis=0) > 0))
