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
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.matrices import MappedMatrix, is_mapped, row_pieces, take_rows

__all__ = [
    "DTYPES",
    "GivenRows",
    "JudgingRows",
    "NumberedRows",
    "TrainingRows",
    "above_zero",
    "checked_groups",
    "checked_held_out",
    "finite_piece",
    "finite_scores",
    "given_rows",
    "is_calibrated",
    "judging_rows",
    "number_classes",
    "raise_complaints",
    "rows_to_predict",
    "shared_rows",
    "thread_count",
    "training_rows",
    "whole_number",
    "yes_or_no",
]


#: What is taken as it is; all else becomes float64.
DTYPES = (np.float64, np.float32)


class GivenRows(NamedTuple):
    """What `fit` was given, checked: X (n, d), y (n,), float64 weights (n,) of at least 0, groups (n,) or None."""

    X: np.ndarray | MappedMatrix
    y: np.ndarray
    weight: np.ndarray
    groups: np.ndarray | None


class JudgingRows(NamedTuple):
    """Held-out rows by which a fit is judged: X (m, d), y (m,) numbers of classes, float64 weights (m,) above 0."""

    X: np.ndarray | MappedMatrix
    y: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows that count.

    Attributes
    ----------
    X : ndarray of float32 or float64, or MappedMatrix, shape (n, d)
    y : ndarray of int, shape (n,)
        Number of the class of each row.
    weight : ndarray of float64, shape (n,)
        Above 0; class weights are multiplied in.
    classes : ndarray, shape (K,)
        Labels, sorted; every one has rows.
    factor : ndarray of float64, shape (K,)
        What the weights of each class were multiplied with.
    groups : ndarray of shape (n,), or None
    judging : JudgingRows or None
        Those of a predefined split.
    """

    X: np.ndarray | MappedMatrix
    y: np.ndarray
    weight: np.ndarray
    classes: np.ndarray
    factor: np.ndarray
    groups: np.ndarray | None
    judging: JudgingRows | None = None


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
        If the groups do not fit, or a column holds text.
    ValueError
        If X, y or the weights are nothing to learn from, as scikit-learn says it.
    """
    _forget_fit(estimator)
    if is_mapped(X):
        X, y = _mapped(X, y)
        estimator.n_features_in_ = X.shape[1]
        return _weighed(X, y, sample_weight, groups)
    _refuse_text(X)
    X, y = validate_data(estimator, X, y, dtype=dtype)
    return _weighed(X, y, sample_weight, groups)


def shared_rows(X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> GivenRows:
    """Check what `fit_many` of a head was given, where rows and columns are no one estimator's.

    Raises
    ------
    DataError, ValueError
        As `given_rows`.
    """
    if is_mapped(X):
        return _weighed(*_mapped(X, y), sample_weight, groups)
    _refuse_text(X)
    X, y = check_array(X, dtype=DTYPES), column_or_1d(y)
    check_consistent_length(X, y)
    return _weighed(X, y, sample_weight, groups)


def _mapped(X: MappedMatrix, y: Any) -> tuple[MappedMatrix, np.ndarray]:
    """Check a matrix that stays in its files; whether it is finite shows in its sums, which every head makes first."""
    y = column_or_1d(y)
    check_consistent_length(X, y)
    if len(y) == 0:
        msg = "Found array with 0 sample(s) while a minimum of 1 is required."
        raise ValueError(msg)
    return X, y


def rows_to_predict(estimator: Any, X: Any) -> Any:
    """Check what a fitted head is to predict: (n, d) in float32 or float64, columns as in `fit`, or a MappedMatrix.

    Whether a MappedMatrix is finite is left to `finite_piece` or `finite_scores`, which see its rows anyway.

    Raises
    ------
    NotFittedError
        If there was no fit.
    DataError
        If a column holds text.
    ValueError
        If the columns are others than those of `fit`, by number or by name, as scikit-learn says it.
    """
    check_is_fitted(estimator)
    if is_mapped(X):
        if X.shape[1] != estimator.n_features_in_:
            msg = (
                f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting {estimator.n_features_in_} "
                "features as input."
            )
            raise ValueError(msg)
        return X
    _refuse_text(X)
    return validate_data(estimator, X, dtype=DTYPES, reset=False)


def finite_piece(estimator: Any, rows: np.ndarray) -> np.ndarray:
    """Return rows that were read from a MappedMatrix, if they are finite.

    Raises
    ------
    ValueError
        As `rows_to_predict` of an array.
    """
    return check_array(rows, dtype=DTYPES, estimator=estimator, input_name="X")


def finite_scores(estimator: Any, X: Any, scores: np.ndarray) -> np.ndarray:
    """Return scores (n, L) that are sums over the columns of X; a row of a map that is not finite has none.

    Raises
    ------
    ValueError
        As `rows_to_predict` of an array.
    """
    if is_mapped(X) and not np.isfinite(scores).all():
        strange = X.rows(~np.isfinite(scores).all(axis=1))
        for rows in row_pieces(strange):
            finite_piece(estimator, strange.read(rows))
    return scores


def _refuse_text(X: Any) -> None:
    """Raise an error if a column of a data frame holds text, which scikit-learn would read as numbers where it can."""
    if not (hasattr(X, "iloc") and hasattr(X, "columns")):
        return
    for at, dtype in enumerate(X.dtypes):
        if dtype.kind == "O" and any(isinstance(value, str) for value in X.iloc[:, at]):
            msg = f"X must hold numbers, but its column {X.columns[at]!r} holds text. Leave it out, or encode it."
            raise DataError(msg)


def _weighed(X: Any, y: np.ndarray, sample_weight: Any, groups: Any) -> GivenRows:
    check_classification_targets(y)
    groups = checked_groups(groups, len(y))
    like = np.empty((len(y), 1)) if is_mapped(X) else X
    weight = _check_sample_weight(sample_weight, like, dtype=np.float64, ensure_non_negative=True)
    return GivenRows(X, y, weight, groups)


def training_rows(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    groups: Any = None,
    class_weight: Any = None,
    dtype: Any = DTYPES,
    held_out: Any = None,
) -> TrainingRows:
    """Check what `fit` of a head was given, leave out rows of weight 0, and set those apart that are held out.

    Without such rows X is not copied. `n_features_in_` of the estimator is set; what an earlier fit left is gone.

    Raises
    ------
    DataError
        If fewer than two classes are left, or groups or class weights do not fit.
    ValueError
        If X or y is nothing to learn from, as scikit-learn says it.
    """
    X, y, weight, groups = given_rows(estimator, X, y, sample_weight, groups, dtype)
    held = checked_held_out(held_out, len(y))
    trained = weight if held is None else np.where(held, 0.0, weight)
    classes, index, trained, factor = number_classes(estimator, y, trained, class_weight)
    judging = None
    if held is not None:
        number, judged = judging_rows(y, weight, held, classes, factor)
        rows = np.flatnonzero(number >= 0)
        judging = JudgingRows(take_rows(X, rows), number[rows], judged[rows])
    counted = index >= 0
    if not np.all(counted):
        X, index, trained = take_rows(X, counted), index[counted], trained[counted]
        groups = None if groups is None else groups[counted]
    return TrainingRows(X, index, trained, classes, factor, groups, judging)


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


def checked_held_out(held_out: Any, n: int) -> np.ndarray | None:
    """Return which of n rows are held out as an array (n,) of bool, or None.

    Raises
    ------
    DataError
        If there are more or fewer, or they are not True and False.
    """
    if held_out is None:
        return None
    mask = np.asarray(held_out)
    if mask.shape != (n,) or mask.dtype != np.bool_:
        msg = f"held_out must be {n} times True or False, one for each row; got {mask.dtype} of shape {mask.shape}."
        raise DataError(msg)
    return mask


def judging_rows(
    y: np.ndarray, weight: np.ndarray, held_out: np.ndarray, classes: np.ndarray, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return class and weight of the rows that are held out, (n,) each; -1 and 0 in all others.

    Parameters
    ----------
    y, weight : ndarrays of shape (n,)
        Labels and weights of all rows.
    held_out : ndarray of bool, shape (n,)
    classes, factor : ndarrays of shape (K,)
        Of the rows that are trained on.

    Raises
    ------
    DataError
        If none of them has weight and a class that is trained on.
    """
    place = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    judged = held_out & (weight > 0) & (classes[place] == y)
    if not judged.any():
        msg = f"None of the {np.count_nonzero(held_out)} rows in held_out has weight and a class that is trained on."
        raise DataError(msg)
    return np.where(judged, place, -1), np.where(judged, weight * factor[place], 0.0)


def is_calibrated(estimator: Any) -> bool:
    """Whether an estimator has probabilities; for `available_if`, which wants the reason as an AttributeError."""
    if not (isinstance(estimator.probability, bool | np.bool_) and estimator.probability):
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


def thread_count(name: str, value: Any) -> str | None:
    """Return a complaint unless the value is None, or a number of threads as joblib counts them."""
    if value is None or (isinstance(value, Integral) and not isinstance(value, bool) and int(value) != 0):
        return None
    return f"{name} must be None or a whole number but 0 (-1: all processors), got {value!r}"


def yes_or_no(name: str, value: Any) -> str | None:
    """Return a complaint unless the value is True or False; any text, "no" too, would count as true in Python."""
    return None if isinstance(value, bool | np.bool_) else f"{name} must be True or False, got {value!r}"


def raise_complaints(estimator: Any, *complaints: str | None) -> None:
    """Raise one DataError for all complaints about the parameters of an estimator, if there are any."""
    found = [complaint for complaint in complaints if complaint]
    if found:
        msg = f"{type(estimator).__name__}: {'; '.join(found)}."
        raise DataError(msg)
