"""Learners that are clones of any binary scikit-learn classifier, fitted one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, has_fit_parameter

from fusionfer.exceptions import DataError
from fusionfer.heads._training import DTYPES
from fusionfer.matrices import is_mapped
from fusionfer.memory import memory_limit, planned_bytes

__all__ = ["check_learner", "fit_clones", "log_odds", "real_scores"]

_LARGEST_ODDS = 15.0  # of log-odds that stand in for a decision function; one in 3 million


def check_learner(learner: Any) -> None:
    """Refuse what is no classifier.

    Raises
    ------
    TypeError
        If it cannot fit, clone, and score rows.
    """
    methods = hasattr(learner, "decision_function") or hasattr(learner, "predict_proba")
    if isinstance(learner, type) or not (hasattr(learner, "fit") and hasattr(learner, "get_params") and methods):
        msg = (
            "A learner is None (the linear one) or a scikit-learn classifier with fit and decision_function or "
            f"predict_proba, not {learner!r}."
        )
        raise TypeError(msg)


def fit_clones(
    learner: Any,
    X: np.ndarray,
    Y: np.ndarray,
    cost: np.ndarray,
    folds: np.ndarray | None,
    *,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[Any], np.ndarray | None]:
    """Fit one clone a column of `Y`, and others without each fold, which score the rows left out.

    Parameters
    ----------
    learner : estimator
        Binary classifier.
    X : ndarray or MappedMatrix, shape (n, d)
        Rows. Learners of others take arrays alone: a MappedMatrix is read as a whole, once for all of them.
    Y : ndarray of int8, shape (n, L)
        Sides; 0 where a row takes no part.
    cost : ndarray of float64, shape (n,) or (n, L)
        Weight of each row.
    folds : ndarray of int, shape (n,), or None
        Fold in which a row is held out; -1 in rows of no fold.
    n_jobs : int or None
        Threads; they share X, and the memory that is planned with.
    random_state : int, RandomState instance or None
        Seeds clones whose own seed is None; None leaves them so.
    progress : callable, optional
        ``progress(done, total, what)`` after each fit.

    Returns
    -------
    estimators : list of L estimators
    held_out : ndarray of float64, shape (n, L), or None
        `real_scores` by learners that have not seen the row, 0 in rows of no fold; None without folds.

    Raises
    ------
    DataError
        If rows have different weights and the learner takes none, or its scores are not finite.
    ValueError
        If a row of a MappedMatrix is not finite.
    """
    weighted = has_fit_parameter(learner, "sample_weight")
    if not weighted and any(np.ptp(_column(cost, j)[Y[:, j] != 0]) > 0 for j in range(Y.shape[1])):
        msg = (
            f"{type(learner).__name__}.fit takes no sample_weight, but rows have different weights here "
            "(sample_weight, class_weight, prior or cost). Leave these out, or take a learner that has weights."
        )
        raise DataError(msg)
    if is_mapped(X):
        X = check_array(np.asarray(X), dtype=DTYPES, input_name="X")
    rng = None if random_state is None else check_random_state(random_state)
    numbers = [] if folds is None else np.unique(folds[folds >= 0]).tolist()
    unseen = [fold for fold in numbers if not np.any(Y[folds == fold])]  # a predefined split, which no fit trains on
    tasks = [(j, fold) for fold in (None, *numbers) if fold not in unseen for j in range(Y.shape[1])]
    clones = [_seeded(clone(learner), rng) for _ in tasks]

    def fit(j: int, fold: int | None, estimator: Any) -> tuple[Any, np.ndarray, np.ndarray | float]:
        inside = Y[:, j] != 0
        outside = np.empty(0, dtype=np.intp)
        if fold is not None and folds is not None:
            inside &= folds != fold
            outside = np.flatnonzero(folds == fold)
        sides = Y[inside, j]
        if len(sides) == 0 or np.all(sides == sides[0]):
            # A side that is missing inside the fold cannot be learned: the other is what such a learner says.
            return None, outside, float(sides[0]) if len(sides) else 0.0
        weights = {"sample_weight": _column(cost, j)[inside]} if weighted else {}
        estimator.fit(X if inside.all() else X[inside], sides, **weights)
        return estimator, outside, _score(estimator, X[outside]) if len(outside) else 0.0

    estimators: list[Any] = []
    held_out = None if folds is None else np.zeros(Y.shape)
    side_by_side = min(effective_n_jobs(n_jobs), len(tasks))
    # A learner may be one that plans with the memory, as xgb-wn does: each has its share of it.
    with memory_limit(planned_bytes() // side_by_side if side_by_side > 1 else None):
        jobs = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
            delayed(fit)(j, fold, estimator) for (j, fold), estimator in zip(tasks, clones, strict=True)
        )
        for done, ((j, fold), (estimator, outside, scores)) in enumerate(zip(tasks, jobs, strict=True), start=1):
            if fold is None:
                estimators.append(estimator)
            elif held_out is not None:
                held_out[outside, j] = scores
            if progress is not None:
                progress(done, len(tasks), "fitting learners")
    if held_out is not None:
        for fold in unseen:
            held_out[folds == fold] = real_scores(estimators, X[folds == fold])
    return estimators, held_out


def real_scores(estimators: list[Any], X: np.ndarray) -> np.ndarray:
    """Scores on the real line (n, L): decision functions, or log-odds of learners that have none."""
    return np.column_stack([_score(estimator, X) for estimator in estimators])


def log_odds(estimators: list[Any], X: np.ndarray) -> np.ndarray:
    """Log-odds (n, L) of the probabilities that the learners give by themselves."""
    return np.column_stack([_odds(estimator, X) for estimator in estimators])


def _score(estimator: Any, X: np.ndarray) -> np.ndarray:
    if hasattr(estimator, "decision_function"):
        return _finite(np.asarray(estimator.decision_function(X), dtype=np.float64), estimator)
    # Trees give probabilities of 0 and 1; their log-odds would be all that a sigmoid sees.
    return np.clip(_odds(estimator, X), -_LARGEST_ODDS, _LARGEST_ODDS)


def _odds(estimator: Any, X: np.ndarray) -> np.ndarray:
    # From both columns, since 1 - p keeps no digits where p is nearly 1.
    logs = np.log(np.maximum(np.asarray(estimator.predict_proba(X), dtype=np.float64), np.finfo(np.float64).tiny))
    return _finite(logs[:, 1] - logs[:, 0], estimator)


def _finite(scores: np.ndarray, estimator: Any) -> np.ndarray:
    if not np.all(np.isfinite(scores)):
        name = type(estimator).__name__
        msg = f"{name} as a learner gives scores that are not finite. Scale the features, or take another learner."
        raise DataError(msg)
    return scores


def _column(cost: np.ndarray, j: int) -> np.ndarray:
    return cost if cost.ndim == 1 else cost[:, j]


def _seeded(estimator: Any, rng: np.random.RandomState | None) -> Any:
    if rng is not None and estimator.get_params().get("random_state", 0) is None:
        estimator.set_params(random_state=int(rng.randint(2**31 - 1)))
    return estimator
