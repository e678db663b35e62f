"""What is kept of every held-out row beside the score of its fold: what was predicted, or how likely its label was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from fusionfer.selection._folds import Folds
from fusionfer.statistics import TABLE_MEASURES, mean_scores, table_scores

__all__ = ["Judge", "Judged", "new_judged"]


class _Answered(ClassifierMixin, BaseEstimator):
    """Shows one answer of a fitted head to a scorer, so that the head is not asked twice."""

    def __init__(self, classes_: np.ndarray, answer: np.ndarray) -> None:
        self.classes_ = classes_
        self.answer = answer

    def predict(self, X: Any) -> np.ndarray:
        return self.answer

    def predict_proba(self, X: Any) -> np.ndarray:
        return self.answer


@dataclass(frozen=True, eq=False)
class Judge:
    """Scores one fit on held-out rows, and keeps what it said of each of them.

    Attributes
    ----------
    measure : str
        Name of the scorer, of those whose figure follows from single rows: those of `TABLE_MEASURES`, and
        "neg_log_loss".
    classes : ndarray of shape (K,)
        Labels, sorted.
    """

    measure: str
    classes: np.ndarray

    @staticmethod
    def knows(scoring: Any) -> bool:
        """Whether single rows tell how such a score would vary with other rows."""
        return isinstance(scoring, str) and (scoring in TABLE_MEASURES or scoring == "neg_log_loss")

    @property
    def dtype(self) -> np.dtype:
        """Of what is kept: classes as numbers, or losses."""
        return np.dtype(np.float64) if self.measure == "neg_log_loss" else np.min_scalar_type(len(self.classes))

    def ask(self, fitted: Any, Z: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return what a scorer may score in the place of `fitted` on rows Z, and what is kept of each row, (m,)."""
        if self.measure == "neg_log_loss":
            proba = np.asarray(fitted.predict_proba(Z), dtype=np.float64)
            column = np.searchsorted(fitted.classes_, y)
            tiny = np.finfo(proba.dtype).eps  # as scikit-learn clips
            said = np.clip(proba[np.arange(len(y)), column], tiny, 1 - tiny)
            return _Answered(fitted.classes_, proba), np.log(said)
        predicted = fitted.predict(Z)
        number = np.searchsorted(self.classes, predicted).clip(max=len(self.classes) - 1)
        known = self.classes[number] == predicted
        kept = np.where(known, number, len(self.classes)).astype(self.dtype)
        return _Answered(getattr(fitted, "classes_", self.classes), predicted), kept


@dataclass(frozen=True, eq=False)
class Judged:
    """What was said of the held-out rows of all folds, one after the other.

    Attributes
    ----------
    measure : str
        As in `Judge`.
    rows, fold : ndarrays of int, shape (m,)
        Which training row each is, and in which fold it was held out.
    y : ndarray of int, shape (m,)
        True classes, as numbers.
    n_classes : int
        Number of classes.
    said : dict of str to ndarray, shape (n_points, m)
        Candidate -> predicted classes as numbers (`n_classes` for a label that is none of them), or the logarithm of
        the probability of the true label.
    groups : ndarray of int, shape (m,), or None
        Rows that are drawn together; the same row in several folds is one group. None where all rows are independent.
    """

    measure: str
    rows: np.ndarray
    fold: np.ndarray
    y: np.ndarray
    n_classes: int
    said: Mapping[str, np.ndarray]
    groups: np.ndarray | None

    @property
    def can_be_drawn(self) -> bool:
        """Whether there are two rows or groups, so that rows can be drawn again."""
        return len(np.unique(self.rows if self.groups is None else self.groups)) > 1

    def of_column(self, column: int) -> np.ndarray:
        """What was said of each row by a candidate at a point, counted as in `scoring`, (m,)."""
        names, n_points = list(self.said), len(next(iter(self.said.values())))
        return self.said[names[column // n_points]][column % n_points]

    def arrays(self) -> dict[str, Any]:
        """The same as arrays alone, which any file can hold."""
        return {"rows": self.rows, "fold": self.fold, "y": self.y, "groups": self.groups, "said": dict(self.said)}

    def scoring(self, names: list[str]) -> Callable[[np.ndarray], np.ndarray]:
        """What scores all points of these candidates, one after the other, over weighted rows."""
        said = np.concatenate([self.said[name] for name in names]).T
        if self.measure == "neg_log_loss":
            return mean_scores(said)
        if self.measure == "accuracy":
            return mean_scores(said == self.y[:, None])
        return table_scores(self.y, said, self.measure, max(self.n_classes, int(said.max()) + 1))


def new_judged(
    judge: Judge, folds: Folds, y: np.ndarray, groups: np.ndarray | None, candidates: list[str], n_points: int
) -> Judged:
    """Return room for what will be said of the held-out rows of `folds`."""
    rows = np.concatenate([outside for _, outside in folds])
    fold = np.repeat(np.arange(len(folds)), [len(outside) for _, outside in folds])
    together = rows if groups is None else groups[rows]
    if len(np.unique(together)) == len(rows):  # nobody shares a group, and no row is held out twice
        together = None
    said = {name: np.zeros((n_points, len(rows)), dtype=judge.dtype) for name in candidates}
    numbers = np.searchsorted(judge.classes, y[rows]).astype(np.min_scalar_type(len(judge.classes)))
    return Judged(judge.measure, rows, fold, numbers, len(judge.classes), said, together)
