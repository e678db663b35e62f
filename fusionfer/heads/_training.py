"""What every head does first with the rows that it is given: check them, weigh them, number their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from fusionfer.exceptions import DataError, unknown_name

__all__ = [
    "DTYPES",
    "GivenRows",
    "NumberedRows",
    "TrainingRows",
    "above_zero",
    "checked_groups",
    "given_rows",
    "is_calibrated",
    "number_classes",
    "raise_complaints",
    "shared_rows",
    "training_rows",
    "whole_number",
]


#: What is taken as it is; all else becomes float64.
DTYPES = (np.float64, np.float32)


class GivenRows(NamedTuple):
    """What `fit` was given, checked: X (n, d), y (n,), float64 weights (n,) of at least 0, groups (n,) or None."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    groups: np.ndarray | None


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows that count.

    Attributes
    ----------
    X : ndarray of float32 or float64, shape (n, d)
    y : ndarray of int, shape (n,)
        Number of the class of each row.
    weight : ndarray of float64, shape (n,)
        Above 0; class weights are multiplied in.
    classes : ndarray, shape (K,)
        Labels, sorted; every one has rows.
    factor : ndarray of float64, shape (K,)
        What the weights of each class were multiplied with.
    groups : ndarray of shape (n,), or None
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    classes: np.ndarray
    factor: np.ndarray
    groups: np.ndarray | None


class NumberedRows(NamedTuple):
    """Labels and factors of the classes (K,) as in `TrainingRows`; class, -1 without weight, and weight of all rows."""

    classes: np.ndarray
    number: np.ndarray
    weight: np.ndarray
    factor: np.ndarray


def given_rows(
    estimator: Any, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, dtype: Any = DTYPES
) -> GivenRows:
    """Check what `fit` of a head was given; what an earlier fit left is gone, `n_features_in_` is set.

    Raises
    ------
    DataError
        If the groups do not fit.
    ValueError
        If X, y or the weights are nothing to learn from, as scikit-learn says it.
    """
    _forget_fit(estimator)
    X, y = validate_data(estimator, X, y, dtype=dtype)
    return _weighed(X, y, sample_weight, groups)


def shared_rows(X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> GivenRows:
    """Check what `fit_many` of a head was given, where rows and columns are no one estimator's.

    Raises
    ------
    DataError, ValueError
        As `given_rows`.
    """
    X, y = check_array(X, dtype=DTYPES), column_or_1d(y)
    check_consistent_length(X, y)
    return _weighed(X, y, sample_weight, groups)


def _weighed(X: np.ndarray, y: np.ndarray, sample_weight: Any, groups: Any) -> GivenRows:
    check_classification_targets(y)
    groups = checked_groups(groups, len(y))
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    return GivenRows(X, y, weight, groups)


def training_rows(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    groups: Any = None,
    class_weight: Any = None,
    dtype: Any = DTYPES,
) -> TrainingRows:
    """Check what `fit` of a head was given, and leave out rows of weight 0.

    Without such rows X is not copied. `n_features_in_` of the estimator is set; what an earlier fit left is gone.

    Raises
    ------
    DataError
        If fewer than two classes are left, or groups or class weights do not fit.
    ValueError
        If X or y is nothing to learn from, as scikit-learn says it.
    """
    X, y, weight, groups = given_rows(estimator, X, y, sample_weight, groups, dtype)
    classes, index, weight, factor = number_classes(estimator, y, weight, class_weight)
    counted = index >= 0
    if not np.all(counted):
        X, index, weight = X[counted], index[counted], weight[counted]
        groups = None if groups is None else groups[counted]
    return TrainingRows(X, index, weight, classes, factor, groups)


def _forget_fit(estimator: Any) -> None:
    """Take off what an earlier fit has left: some attributes are there with some parameters only."""
    for name in [name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")]:
        delattr(estimator, name)


def number_classes(estimator: Any, y: np.ndarray, weight: np.ndarray, class_weight: Any = None) -> NumberedRows:
    """Find the classes that have weight, and multiply the class weights into that of the rows.

    Raises
    ------
    DataError
        If fewer than two classes have weight, or the class weights are none.
    """
    present = np.flatnonzero(weight > 0)
    classes, numbers = np.unique(y[present], return_inverse=True)
    numbers = numbers.ravel()
    factor = _class_factors(class_weight, classes, np.bincount(numbers, weight[present], len(classes)))
    if class_weight is not None:
        weight = weight.copy()
        weight[present] *= factor[numbers]
    kept = factor > 0
    if np.count_nonzero(kept) < 2:
        which = f"of one class only, {str(classes[kept][0])!r}" if np.any(kept) else "with weight 0 only"
        msg = f"{type(estimator).__name__} needs rows of at least two classes, got {len(y)} rows {which}."
        raise DataError(msg)
    index = np.full(len(y), -1, dtype=np.intp)
    index[present] = np.where(kept, np.cumsum(kept) - 1, -1)[numbers]
    return NumberedRows(classes[kept], index, weight, factor[kept])


def _class_factors(class_weight: Any, classes: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Factor of each class (K,), at least 0, from `class_weight` and the weight that its rows have.

    "balanced" gives all classes the same weight and keeps the sum. It goes by weights and not by rows, so that a row of
    weight 2 is two rows. A dict may leave out classes, and may hold more than there are if it leaves out none.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise unknown_name("class_weight", class_weight, ["balanced"], plural="class weights by name")
        return sums.sum() / (len(sums) * sums)
    if not isinstance(class_weight, Mapping):
        msg = f'class_weight must be "balanced", None or a dict of label -> weight, got {class_weight!r}.'
        raise DataError(msg)
    labels = classes.tolist()
    strange = [label for label in class_weight if label not in labels]
    if strange and not set(labels) <= set(class_weight):
        raise unknown_name("class in class_weight:", strange[0], map(str, labels), plural="classes")
    given = [class_weight.get(label, 1.0) for label in labels]
    if not all(isinstance(value, Real) and 0 <= float(value) < np.inf for value in given):
        msg = f"class_weight must be finite and at least 0 for every class, got {dict(class_weight)!r}."
        raise DataError(msg)
    return np.array(given, dtype=np.float64)


def checked_groups(groups: Any, n: int) -> np.ndarray | None:
    """Return the groups of n rows as an array (n,), or None.

    Raises
    ------
    DataError
        If there are more or fewer.
    """
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.shape != (n,):
        what = f"{len(groups)} entries" if groups.ndim == 1 else f"shape {groups.shape}"
        msg = f"groups has {what} for {n} rows; give the group of each row."
        raise DataError(msg)
    return groups


def is_calibrated(estimator: Any) -> bool:
    """Whether an estimator has probabilities; for `available_if`, which wants the reason as an AttributeError."""
    if not estimator.probability:
        msg = "predict_proba needs probability=True when the head is fitted."
        raise AttributeError(msg)
    return True


def above_zero(name: str, value: Any, *, also: str | None = None) -> str | None:
    """Return a complaint unless the value is a finite number above 0, or the word that is allowed besides."""
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < np.inf:
        return None
    if also is not None and isinstance(value, str) and value == also:
        return None
    return f"{name} must be {f'{also!r} or ' if also else ''}a finite number above 0, got {value!r}"


def whole_number(name: str, value: Any, low: int) -> str | None:
    """Return a complaint unless the value is a whole number of at least `low`."""
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low:
        return None
    return f"{name} must be a whole number of at least {low}, got {value!r}"


def raise_complaints(estimator: Any, *complaints: str | None) -> None:
    """Raise one DataError for all complaints about the parameters of an estimator, if there are any."""
    found = [complaint for complaint in complaints if complaint]
    if found:
        msg = f"{type(estimator).__name__}: {'; '.join(found)}."
        raise DataError(msg)
