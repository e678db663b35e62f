"""Fits of multinomial logistic regression as problems of the joint solver: all values of C, and all folds, at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax

from fusionfer.heads._calibration import CALIBRATION_FOLDS
from fusionfer.heads._folds import inner_folds
from fusionfer.heads._jobs import FitJob
from fusionfer.heads._spread import C_GRID, row_spread, scaled_pieces
from fusionfer.heads._training import judging_rows, number_classes
from fusionfer.heads.linear import LinearSolution, SoftmaxProblem, solve_softmax_many

__all__ = ["Choice", "SoftmaxTask", "make_task", "solve_tasks"]

_LEAST_PROBABILITY = 1e-12  # of a class that a fold has not seen, in the log-loss


class Choice(NamedTuple):
    """The best C, its solution on all rows, and the held-out log-loss of each C; none where there was no choice."""

    C: float
    solution: LinearSolution
    losses: list[float]


class _Fold(NamedTuple):
    """Number of a fold, the classes without its rows, and the class of each row, numbered among these."""

    number: int
    seen: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class SoftmaxTask:
    """One fit over some rows and columns of a shared X.

    Attributes
    ----------
    classes : ndarray of shape (K,)
        Labels of rows with weight, sorted.
    y : ndarray of int, shape (n,)
        Number of the class; -1 in rows that take no part.
    weight : ndarray of float64, shape (n,)
        Weight of each row.
    folds : tuple of _Fold
        Fits without some rows, which judge the values of C; none where there is only one.
    held_out : ndarray of int, shape (n,)
        Fold in which a row is held out; -1 in none.
    truth, judging : ndarrays of shape (n,)
        Class and weight of the rows in the folds: `y` and `weight`, or those of a predefined split.
    grid : tuple of float
        Values of C, ascending.
    columns, shift, factor
        As in `FitJob`; None for no scaling.
    """

    classes: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    folds: tuple[_Fold, ...]
    held_out: np.ndarray
    truth: np.ndarray
    judging: np.ndarray
    grid: tuple[float, ...]
    columns: slice
    shift: np.ndarray | None = None
    factor: np.ndarray | None = None

    def problems(self) -> list[SoftmaxProblem]:
        """For every C, the fit to all rows and then one without each fold."""
        # The fit to all rows is also the one without a predefined split.
        parts = [(self.y, len(self.classes))]
        parts += [(fold.y, len(fold.seen)) for fold in self.folds if fold.y is not self.y]
        # Two columns w and -w are penalised half as much as their difference.
        unit = 0.5 if len(self.classes) == 2 else 1.0
        costs = (unit * C * self.weight for C in self.grid)  # each is shared by the fits of all folds
        return [
            SoftmaxProblem(y, n_classes, cost, self.columns, self.shift, self.factor)
            for cost in costs
            for y, n_classes in parts
        ]

    def choose(self, X: np.ndarray, solutions: list[LinearSolution]) -> Choice:
        """Pick the C of least held-out log-loss from the solutions of `problems`, in their order."""
        apart = [fold.y is not self.y for fold in self.folds]
        stride = 1 + sum(apart)
        losses = np.zeros(len(self.grid))
        for number, fold in enumerate(self.folds):
            outside = np.flatnonzero(self.held_out == fold.number)
            for rows, Z in scaled_pieces(X, outside, self.columns, self.shift, self.factor):
                place = np.searchsorted(fold.seen, self.truth[rows]).clip(max=len(fold.seen) - 1)
                known = fold.seen[place] == self.truth[rows]
                for at in range(len(self.grid)):
                    fit = solutions[at * stride + sum(apart[: number + 1])]
                    logs = log_softmax(Z @ fit.coef.T.astype(Z.dtype) + fit.intercept, axis=1)
                    own = np.where(known, logs[np.arange(len(rows)), place], -np.inf)
                    losses[at] -= self.judging[rows] @ np.maximum(own, np.log(_LEAST_PROBABILITY))
        best = int(np.argmin(losses))
        judged = self.judging[np.isin(self.held_out, [fold.number for fold in self.folds])].sum()
        return Choice(self.grid[best], solutions[best * stride], (losses / judged).tolist() if self.folds else [])


def make_task(
    head: Any,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    groups: Any = None,
    job: FitJob | None = None,
    held_out: np.ndarray | None = None,
) -> SoftmaxTask:
    """Plan one fit of a `SoftmaxClassifier`, of all rows and columns or those of a job.

    Raises
    ------
    DataError
        If fewer than two classes have weight.
    """
    rows = np.arange(len(X)) if job is None else job.rows
    given = weight[rows]
    apart = np.zeros(len(rows), dtype=bool) if held_out is None else held_out[rows]
    trained = np.where(apart, 0.0, given)
    classes, numbers, weights, factor = number_classes(head, y[rows], trained, head.class_weight)
    index, weight = np.full(len(X), -1, dtype=np.intp), np.zeros(len(X))
    index[rows], weight[rows] = numbers, weights
    fold_of = np.full(len(X), -1, dtype=np.int16)
    view = (slice(0, X.shape[1]), None, None) if job is None else (job.columns, job.shift, job.factor)
    if head.C != "auto":
        return SoftmaxTask(classes, index, weight, (), fold_of, index, weight, (float(head.C),), *view)
    spread = row_spread(X, weight, *view)
    grid = tuple(C / spread for C in C_GRID)
    if held_out is not None:
        truth, judging = np.full(len(X), -1, dtype=np.intp), np.zeros(len(X))
        truth[rows], judging[rows] = judging_rows(y[rows], given, apart, classes, factor)
        fold_of[truth >= 0] = 0
        only = _Fold(0, np.arange(len(classes)), index)
        return SoftmaxTask(classes, index, weight, (only,), fold_of, truth, judging, grid, *view)
    counted = np.flatnonzero(index >= 0)
    together = None if groups is None else np.asarray(groups)[counted]
    fold_of[counted] = inner_folds(index[counted], CALIBRATION_FOLDS, head.random_state, together)
    folds = []
    for number in np.unique(fold_of[counted]).tolist():
        inside = (fold_of != number) & (index >= 0)
        seen, renumbered = np.unique(index[inside], return_inverse=True)
        if len(seen) > 1:  # one class alone is nothing to learn: that fold has no say
            fold_y = np.full(len(X), -1, dtype=np.intp)
            fold_y[inside] = renumbered.ravel()
            folds.append(_Fold(number, seen, fold_y))
    return SoftmaxTask(classes, index, weight, tuple(folds), fold_of, index, weight, grid, *view)


def solve_tasks(
    X: np.ndarray,
    tasks: list[SoftmaxTask],
    *,
    tol: float,
    max_iter: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Choice]:
    """Solve the problems of all tasks in one call."""
    problems = [task.problems() for task in tasks]
    every = [problem for part in problems for problem in part]
    solutions = iter(solve_softmax_many(X, every, tol=tol, max_iter=int(max_iter), progress=progress))
    return [task.choose(X, [next(solutions) for _ in part]) for task, part in zip(tasks, problems, strict=True)]
