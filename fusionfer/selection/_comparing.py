"""Fit and score a head for every candidate, point and fold: one by one, or all in one call where the head can.

Whichever way, scaler and head see the training part of a fold only; the held-out part is scaled once for all points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from fusionfer.exceptions import DataError
from fusionfer.fusion import BlockScaler
from fusionfer.heads import FitJob
from fusionfer.matrices import MappedMatrix, is_mapped, piecewise, take_rows
from fusionfer.memory import memory_limit, planned_bytes
from fusionfer.selection._deciding import params_text
from fusionfer.selection._folds import Folds
from fusionfer.selection._judging import Judge, Judged, new_judged

__all__ = ["Comparison", "Progress", "fit_arguments", "head_blocks", "local_blocks", "renamed", "rows_for"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What all fits of one selection share.

    Attributes
    ----------
    X, y : ndarray or MappedMatrix (n, d), and ndarray (n,)
        Training rows and labels.
    weight, groups : ndarrays of shape (n,), or None
        Weights above 0, and groups as numbers.
    folds : list of (ndarray of int, ndarray of int)
        Training and held-out rows, ascending.
    blocks, candidates : dict of str to slice
        Columns of each block, and of what is compared.
    scale : str or None
        Mode of `BlockScaler`.
    points : sequence of dict
        Parameters that are tried; one empty point if nothing is searched.
    scorer : callable
        ``scorer(estimator, X, y)``.
    measure : str
        What the scores are called in sentences.
    held_out : ndarray of bool, shape (n,), or None
        The held-out rows of the only fold, by which heads go inside their fits, too; None where there are folds.
    judge : Judge or None
        Keeps what is said of single rows, where the score follows from these.
    """

    X: np.ndarray | MappedMatrix
    y: np.ndarray
    weight: np.ndarray | None
    groups: np.ndarray | None
    folds: Folds
    blocks: Mapping[str, slice]
    candidates: Mapping[str, slice]
    scale: str | None
    points: Sequence[Mapping[str, Any]]
    scorer: Callable[..., float]
    measure: str
    held_out: np.ndarray | None = None
    judge: Judge | None = None

    def scores(
        self, head: Any, n_jobs: int | None, progress: Progress | None
    ) -> tuple[dict[str, np.ndarray], Judged | None]:
        """Score of `head` on the held-out rows: candidate -> (n_points, n_folds); and what it said of these rows."""
        # Who draws rows twice, as a bootstrap does, cannot be computed as "all rows less those held out".
        plain = not hasattr(head, "fit_many") or any(np.any(np.diff(inside) == 0) for inside, _ in self.folds)
        names, n_points = list(self.candidates), len(self.points)
        judged = new_judged(self.judge, self.folds, self.y, self.groups, names, n_points) if self.judge else None
        scores = self._one_by_one(head, n_jobs, progress, judged) if plain else self._together(head, progress, judged)
        return scores, judged

    def _one_by_one(
        self, head: Any, n_jobs: int | None, progress: Progress | None, judged: Judged | None
    ) -> dict[str, np.ndarray]:
        """Every fit alone; candidates and folds in as many threads as asked for."""
        alone = effective_n_jobs(n_jobs) == 1
        scores = {name: np.zeros((len(self.points), len(self.folds))) for name in self.candidates}

        def run(name: str, number: int) -> np.ndarray:
            columns, (inside, outside) = self.candidates[name], self.folds[number]
            given, kept = rows_for(head, inside, self.held_out)
            Z, Z_out = _part(self.X, given, columns), _part(self.X, outside, columns)
            if self.scale is not None:
                scaler = BlockScaler(local_blocks(self.blocks, columns), mode=self.scale)
                learned = Z if kept is None else _part(self.X, inside, columns)
                scaler.fit(learned, sample_weight=_taken(self.weight, inside))
                Z, Z_out = scaler.transform(Z), scaler.transform(Z_out)
            found = np.zeros(len(self.points))
            for i in range(len(self.points)):
                fitted = clone(head).set_params(**self._params(head, name, i))
                heard = renamed(progress, name) if alone else None
                weight, groups = _taken(self.weight, given), _taken(self.groups, given)
                fitted.fit(Z, self.y[given], **fit_arguments(fitted, weight, groups, heard, kept))
                found[i] = self._score(fitted, Z_out, name, number, i, judged)
                if alone and progress is not None:
                    progress(number * len(found) + i + 1, len(self.folds) * len(found), name)
            return found

        tasks = [(name, number) for name in self.candidates for number in range(len(self.folds))]
        many = min(effective_n_jobs(n_jobs), len(tasks))
        # Fits side by side share the memory; those of a cluster divide theirs themselves.
        share = planned_bytes() // many if many > 1 and not hasattr(self.X, "team") else None
        # Threads: X is not copied to other processes, and fits spend their time where the interpreter lock is free.
        with memory_limit(share):
            results = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
                delayed(run)(name, number) for name, number in tasks
            )
            for (name, number), found in zip(tasks, results, strict=True):
                scores[name][:, number] = found
                if not alone and progress is not None:
                    progress((number + 1) * len(found), scores[name].size, name)
        return scores

    def _together(self, head: Any, progress: Progress | None, judged: Judged | None) -> dict[str, np.ndarray]:
        """All fits in one call of the head's `fit_many`."""
        scalings = [self._scaling(inside) for inside, _ in self.folds]
        keys = [
            (name, number, i)
            for number in range(len(self.folds))
            for name in self.candidates
            for i in range(len(self.points))
        ]
        jobs = []
        for name, number, i in keys:
            columns, (shift, factor) = self.candidates[name], scalings[number]
            params = self._params(head, name, i)
            given, _ = rows_for(head, self.folds[number][0], self.held_out)
            jobs.append(FitJob(given, columns, shift[columns], factor[columns], params))
        fit_arguments(head, self.weight, None, None)  # an error where weights are given that the head cannot take
        kept = {} if self.held_out is None else {"held_out": self.held_out}
        fitted = head.fit_many(
            self.X, self.y, jobs, sample_weight=self.weight, groups=self.groups, progress=progress, **kept
        )
        scores = {name: np.zeros((len(self.points), len(self.folds))) for name in self.candidates}
        scaled_fold = -1
        for done, ((name, number, i), one) in enumerate(zip(keys, fitted, strict=True), 1):
            if number != scaled_fold:
                Z_out, scaled_fold = _scaled(take_rows(self.X, self.folds[number][1]), *scalings[number]), number
            scores[name][i, number] = self._score(one, Z_out[:, self.candidates[name]], name, number, i, judged)
            if progress is not None:
                progress(done, len(keys), "held-out scores")
        return scores

    def _scaling(self, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shift and factor of all columns (d,), from the training rows of one fold.

        Columns are scaled one by one, and blocks by their own width, so those of a candidate are a part of these.
        """
        if self.scale is None:
            return np.zeros(self.X.shape[1]), np.ones(self.X.shape[1])
        scaler = BlockScaler(dict(self.blocks), mode=self.scale)
        scaler.fit(take_rows(self.X, inside), sample_weight=_taken(self.weight, inside))
        return scaler.mean_, scaler.factor_

    def _params(self, head: Any, name: str, i: int) -> dict[str, Any]:
        """Parameters of one fit: those of the point, and the candidate's blocks for a head that asks for them."""
        return {**head_blocks(head, local_blocks(self.blocks, self.candidates[name])), **self.points[i]}

    def _score(self, fitted: Any, Z: Any, name: str, number: int, i: int, judged: Judged | None) -> float:
        """Score of one fit on the held-out rows, which are noted in `judged`; one that is not defined is an error."""
        where = f"{name} with {params_text(self.points[i])}" if self.points[i] else name
        y = self.y[self.folds[number][1]]
        fitted = piecewise(fitted, Z)
        try:
            with config_context(assume_finite=True):  # checked once, or by the fits; each point would check again
                if self.judge is not None and judged is not None:
                    fitted, judged.said[name][i, judged.fold == number] = self.judge.ask(fitted, Z, y)
                score = float(self.scorer(fitted, Z, y))
        except ValueError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            msg = (
                f"{self.measure} of {where} cannot be computed on fold {number + 1} of {len(self.folds)}: {reason}. "
                "Some scorings need every class in every fold: use fewer folds, or another scoring."
            )
            raise DataError(msg) from error
        if not np.isfinite(score):
            msg = f"{self.measure} of {where} is {score} on fold {number + 1}; choose a scoring that is defined."
            raise DataError(msg)
        return score


def rows_for(head: Any, inside: np.ndarray, held_out: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows that `head` is given to train on `inside`, and which of them it must not train on.

    A head that holds rows out by itself (for C, calibration, early stopping) is given those of the predefined split.

    Raises
    ------
    DataError
        If there is such a split, and the head would hold out others.
    """
    if held_out is None or not _holds_rows_out(head):
        return inside, None
    if not has_fit_parameter(head, "held_out"):
        msg = (
            f"{type(head).__name__}.fit takes groups, by which it holds rows out, but no held_out: it would choose by "
            "rows of its own. Take a head whose fit has that parameter, or one that holds nothing out."
        )
        raise DataError(msg)
    return np.arange(len(held_out)), held_out


def _holds_rows_out(head: Any) -> bool:
    return has_fit_parameter(head, "held_out") or has_fit_parameter(head, "groups")


def fit_arguments(
    head: Any,
    weight: np.ndarray | None,
    groups: np.ndarray | None,
    progress: Progress | None,
    held_out: np.ndarray | None = None,
) -> dict[str, Any]:
    """Keyword arguments for the `fit` of `head`: of what there is, that which it takes.

    Raises
    ------
    DataError
        If there are weights, and the head takes none: to leave them out would be another fit.
    """
    if weight is not None and not has_fit_parameter(head, "sample_weight"):
        msg = f"{type(head).__name__} takes no sample_weight; fit without weights."
        raise DataError(msg)
    offered = {"sample_weight": weight, "groups": groups, "progress": progress, "held_out": held_out}
    return {key: value for key, value in offered.items() if value is not None and has_fit_parameter(head, key)}


def head_blocks(head: Any, blocks: dict[str, slice]) -> dict[str, Any]:
    """The parameter `blocks` for a head that has one and was not given its own."""
    params = head.get_params(deep=False)
    return {"blocks": blocks} if "blocks" in params and params["blocks"] is None else {}


def local_blocks(blocks: Mapping[str, slice], columns: slice) -> dict[str, slice]:
    """The blocks that lie in `columns`, counted from its start."""
    return {
        name: slice(block.start - columns.start, block.stop - columns.start)
        for name, block in blocks.items()
        if columns.start <= block.start and block.stop <= columns.stop
    }


def _part(X: Any, rows: np.ndarray, columns: slice) -> Any:
    """Some rows and columns: of an array a copy, of a matrix that stays in its files a view."""
    return X.rows(rows).columns(columns) if is_mapped(X) else X[rows, columns]


def _scaled(X: Any, shift: np.ndarray, factor: np.ndarray) -> Any:
    """(X - shift) * factor in the dtype of X."""
    return X.scaled(shift, factor) if is_mapped(X) else (X - shift.astype(X.dtype)) * factor.astype(X.dtype)


def _taken(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]


def renamed(progress: Progress | None, name: str) -> Progress | None:
    """What a head reports (rounds, sweeps), under the name of what it is fitted for."""
    if progress is None:
        return None
    return lambda done, total, what: progress(done, total, f"{name}: {what}")
