"""The folds that all candidates share: stratified, no group divided, every class in every training part."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.utils.validation import check_consistent_length

from fusionfer.exceptions import DataError

__all__ = ["Folds", "as_numbers", "held_out_fold", "make_folds", "renumbered"]

#: Training rows and held-out rows of each fold, ascending.
Folds = list[tuple[np.ndarray, np.ndarray]]


def make_folds(cv: Any, X: Any, y: np.ndarray, groups: np.ndarray | None, named: Any, seed: Any) -> Folds:
    """Divide the rows.

    Parameters
    ----------
    cv : int, splitter or iterable of pairs
        As `HybridSelector` takes it.
    X, y : ndarray or MappedMatrix (n, d), and ndarray (n,)
        Rows and labels; a splitter may look at both.
    groups : ndarray of int, shape (n,), or None
        As `as_numbers` returns them.
    named : array-like of shape (n,) or None
        The groups as they came, for messages.
    seed : int, RandomState instance or None
        Shuffles where `cv` is a number; None does as 0.

    Returns
    -------
    list of (ndarray of int, ndarray of int)

    Raises
    ------
    DataError
        If a class has too few rows or groups, a training part lacks a class, a group is divided, or nothing is held
        out.
    """
    if isinstance(cv, Integral):
        _check_counts(cv, y, groups)
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
        pairs = splitter(cv, shuffle=True, random_state=0 if seed is None else seed).split(y, y, groups)
    else:
        pairs = check_cv(cv).split(X, y, groups)
    rows, classes = np.arange(len(y)), np.unique(y)
    folds = [(np.sort(rows[inside]), np.sort(rows[outside])) for inside, outside in pairs]
    for number, (inside, outside) in enumerate(folds, 1):
        lost = np.setdiff1d(classes, y[inside])
        if len(lost) or not len(outside):
            what = f"no row of {', '.join(map(str, lost))} to train on" if len(lost) else "no held-out row"
            msg = f"Fold {number} of {len(folds)} has {what}; use fewer folds, or more groups of each class."
            raise DataError(msg)
        divided = outside[np.isin(groups[outside], groups[inside])] if groups is not None else outside[:0]
        if len(divided):
            msg = (
                f"Fold {number} of {len(folds)} divides group {str(np.asarray(named)[divided[0]])!r}: row {divided[0]} "
                "is held out while rows of the same group are trained on. Use a splitter that keeps groups together, "
                "such as StratifiedGroupKFold, or a number of folds."
            )
            raise DataError(msg)
    return folds


def held_out_fold(held_out: np.ndarray, y: np.ndarray, groups: np.ndarray | None, named: Any) -> Folds:
    """Return the one fold of a predefined split.

    Parameters
    ----------
    held_out : ndarray of bool, shape (n,)
        Rows that are scored and never trained on.
    y, groups, named
        As in `make_folds`.

    Raises
    ------
    DataError
        If no row is held out or none is left, a class is not among the rest, or a group is divided.
    """
    inside, outside = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    if not len(inside) or not len(outside):
        msg = f"held_out must hold out some rows and leave others to train on; it holds out {len(outside)} of {len(y)}."
        raise DataError(msg)
    lost = np.setdiff1d(y[outside], y[inside])
    if len(lost):
        msg = f"held_out leaves no row of {', '.join(map(str, lost))} to train on; take these rows out."
        raise DataError(msg)
    divided = outside[np.isin(groups[outside], groups[inside])] if groups is not None else outside[:0]
    if len(divided):
        msg = (
            f"held_out divides group {str(np.asarray(named)[divided[0]])!r}: row {divided[0]} is held out while rows "
            f"of the same group are trained on ({len(divided)} such rows); take these rows out."
        )
        raise DataError(msg)
    return [(inside, outside)]


def renumbered(cv: Any, kept: np.ndarray) -> Any:
    """Return `cv` for the rows that are `kept` (n,) alone; only pairs of indices depend on the numbers of rows."""
    if isinstance(cv, Integral) or hasattr(cv, "split"):
        return cv
    numbers = np.cumsum(kept) - 1
    rows = np.arange(len(kept))
    return [tuple(numbers[part[kept[part]]] for part in (rows[inside], rows[outside])) for inside, outside in cv]


def as_numbers(groups: Any, y: np.ndarray) -> np.ndarray | None:
    """Groups as numbers (n,), where an unnamed row is a group of its own; None where no row has a name."""
    if groups is None:
        return None
    groups = np.asarray(groups)
    check_consistent_length(groups, y)
    if groups.dtype.kind == "O":  # as pandas gives them
        groups = np.array(["" if _is_missing(group) else str(group) for group in groups.tolist()], dtype=np.str_)
    if groups.dtype.kind in "US":
        unnamed = groups == groups.dtype.type()
    else:
        unnamed = np.isnan(groups) if groups.dtype.kind == "f" else np.zeros(len(groups), dtype=bool)
    if unnamed.all():
        return None
    numbers = np.unique(groups, return_inverse=True)[1].ravel()
    return np.where(unnamed, numbers.max() + 1 + np.arange(len(numbers)), numbers)


def _is_missing(group: Any) -> bool:
    """Whether an object of a column says that there is no name: empty text, None, NaN, or what pandas calls NA."""
    return group is None or type(group).__name__ == "NAType" or group == "" or bool(group != group)


def _check_counts(cv: Any, y: np.ndarray, groups: np.ndarray | None) -> None:
    """Make sure that each class can be spread over `cv` folds."""
    if cv < 2:
        msg = f"cv must be at least 2 folds, or a splitter, got {cv!r}."
        raise DataError(msg)
    unit = "rows" if groups is None else "groups"
    counts = {
        label: int(np.count_nonzero(y == label)) if groups is None else len(np.unique(groups[y == label]))
        for label in np.unique(y).tolist()
    }
    few = [f"{label} ({count})" for label, count in counts.items() if count < cv]
    if few:
        lowest = min(counts.values())
        remedy = f"use cv={lowest}, or add" if lowest >= 2 else "add"
        msg = f"Too few {unit} for {cv} folds of class {', '.join(few)}: {remedy} {unit} of it, or drop it."
        raise DataError(msg)
