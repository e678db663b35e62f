"""What a fit needs to know of its rows before any learner is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import joblib
import numpy as np

from fusionfer.heads._calibration import CALIBRATION_FOLDS
from fusionfer.heads._folds import inner_folds
from fusionfer.heads._training import judging_rows, number_classes
from fusionfer.heads.ecoc._coding import coding_matrix
from fusionfer.heads.ecoc._parameters import needs_calibration
from fusionfer.heads.ecoc._priors import check_cost, class_priors, side_costs, weigh_by_prior

__all__ = ["Plan", "make_plan", "plan_key"]

#: Parameters of the head that a plan depends on, besides whether it needs folds.
_PLANNED_BY = ("coding", "max_learners", "random_state", "class_weight", "prior", "cost")


class Judging(NamedTuple):
    """Class (-1 for none) and weight of the rows whose held-out scores choose C and calibrate, (n,) each."""

    y_index: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan:
    """Classes, weights, sides and folds of the rows of one fit.

    Attributes
    ----------
    classes : ndarray of shape (K,)
        Labels of rows with weight, sorted.
    y_index : ndarray of int, shape (n,)
        Number of the class; -1 in rows without weight, which count as absent.
    weight : ndarray of float64, shape (n,)
        Weight of each row, scaled to the prior.
    prior : ndarray of float64, shape (K,)
        Share of each class in the weight.
    code : ndarray of int8, shape (K, L)
        Coding matrix.
    cost : ndarray of float64, shape (n,) or (n, L)
        Weight of each row in the learners, misclassification costs included.
    penalty : ndarray of float64, shape (K, K)
        Cost of mistaking a class (row) for another (column).
    folds : ndarray of int, shape (n,), or None
        Fold in which a row is held out, -1 in none; None where none are needed.
    held_out : Judging or None
        The rows of a predefined split, which count as absent in all else.
    """

    classes: np.ndarray
    y_index: np.ndarray
    weight: np.ndarray
    prior: np.ndarray
    code: np.ndarray
    cost: np.ndarray
    penalty: np.ndarray
    folds: np.ndarray | None
    held_out: Judging | None = None

    @cached_property
    def sides(self) -> np.ndarray:
        """Side of each row in each learner, int8 (n, L)."""
        return self.sides_of(self.y_index)

    def sides_of(self, y_index: np.ndarray) -> np.ndarray:
        """Side of rows of these classes in each learner, int8 (n, L); 0 for -1."""
        return np.vstack([self.code, np.zeros_like(self.code[:1])])[y_index]

    @property
    def judging(self) -> Judging:
        """The rows that choose C and calibrate: all that are trained on, or those of the predefined split."""
        return self.held_out or Judging(self.y_index, self.weight)

    @property
    def learner_weight(self) -> np.ndarray:
        """Sum of the weights of the rows that each learner sees, (L,)."""
        return self.weight.sum() * (self.prior @ (self.code != 0))

    @property
    def learner_cost(self) -> np.ndarray:
        """Sum of the costs of the rows that each learner sees, (L,)."""
        return self.learner_weight if self.cost.ndim == 1 else np.sum(self.cost, axis=0, where=self.sides != 0)

    def placed(self, rows: np.ndarray, n_rows: int) -> Plan:
        """Return the same plan for an X of more rows, of which these are `rows`; all others are absent."""
        if len(rows) == n_rows:
            return self

        def place(values: np.ndarray, absent: int) -> np.ndarray:
            placed = np.full((n_rows, *values.shape[1:]), absent, dtype=values.dtype)
            placed[rows] = values
            return placed

        folds = None if self.folds is None else place(self.folds, -1)
        index, weight, cost = place(self.y_index, -1), place(self.weight, 0), place(self.cost, 0)
        held = self.held_out and Judging(place(self.held_out.y_index, -1), place(self.held_out.weight, 0))
        return Plan(self.classes, index, weight, self.prior, self.code, cost, self.penalty, folds, held)


def make_plan(head: Any, y: np.ndarray, weight: np.ndarray, groups: Any, held_out: np.ndarray | None = None) -> Plan:
    """Plan the fit of an `ECOCClassifier`.

    Parameters
    ----------
    head : ECOCClassifier
        Its parameters.
    y : ndarray of shape (n,)
        Labels.
    weight : ndarray of float64, shape (n,)
        Weight of each row, at least 0.
    groups : array-like of shape (n,) or None
        Rows of one group are held out together.
    held_out : ndarray of bool, shape (n,), or None
        Rows of a predefined split.

    Returns
    -------
    Plan

    Raises
    ------
    DataError
        If fewer than two classes have weight, or class weights, prior, cost or coding do not fit the classes.
    """
    given = weight
    weight = given if held_out is None else np.where(held_out, 0.0, given)
    classes, y_index, weight, factor = number_classes(head, y, weight, head.class_weight)
    present = y_index >= 0
    shares = np.bincount(y_index[present], weights=weight[present]) / weight.sum()
    prior = class_priors(head.prior, classes, shares)
    held = None if held_out is None else Judging(*judging_rows(y, given, held_out, classes, factor))
    if prior is not shares:
        weight = weigh_by_prior(weight, y_index, prior, shares)
        held = held and Judging(held.y_index, weigh_by_prior(held.weight, held.y_index, prior, shares))
    code = coding_matrix(head.coding, len(classes), max_learners=int(head.max_learners), random_state=head.random_state)
    cost, penalty = weight, 1.0 - np.eye(len(classes))
    if head.cost is not None:
        penalty = check_cost(head.cost, len(classes))
        cost = weight[:, None] * side_costs(penalty, code, prior)[y_index]
    folds = None
    if _needs_folds(head):
        folds = np.full(len(y), -1, dtype=np.int16)
        counted = present if held is None else present | (held.y_index >= 0)
        chosen = None if groups is None else np.asarray(groups)[counted]
        apart = None if held_out is None else held_out[counted]
        folds[counted] = inner_folds(y_index[counted], CALIBRATION_FOLDS, head.random_state, chosen, apart)
    return Plan(classes, y_index, weight, prior, code, cost, penalty, folds, held)


def plan_key(head: Any) -> str:
    """What heads have in common whose plans for the same rows are equal: a hash of all that `make_plan` reads of them.

    Of values, not of what ``repr`` shows of them: it leaves out the middle of large arrays.
    """
    return joblib.hash((_needs_folds(head), *(getattr(head, name) for name in _PLANNED_BY)))


def _needs_folds(head: Any) -> bool:
    return bool(head.probability or head.C == "auto" or needs_calibration(head))
