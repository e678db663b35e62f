"""Folds inside a head: stratified by class, undivided groups, and never a failure for want of rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import check_random_state

__all__ = ["inner_folds"]


def inner_folds(
    y: np.ndarray, n_folds: int, random_state: Any = None, groups: Any = None, held_out: np.ndarray | None = None
) -> np.ndarray:
    """Return the number of the fold in which each row is held out.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Classes, over which the folds are spread as evenly as their counts allow. Unlike scikit-learn's
        StratifiedKFold this never fails: with fewer rows than folds, some folds lack the class.
    n_folds : int
        At least 2.
    random_state : int, RandomState instance or None
        Shuffles. None shuffles as 0 does, so that a fit can be repeated.
    groups : array-like of shape (n,), optional
        Rows of one group (person, sequence) are held out together.
    held_out : ndarray of bool, shape (n,), optional
        A predefined split: these rows are the only fold, whatever else is given, and no fit trains on them.

    Returns
    -------
    ndarray of int, shape (n,)
        From 0 to ``n_folds - 1``; fewer where there are fewer groups, and all 0 where there is one group only. With a
        predefined split 0 in its rows, and -1 in those that are never held out.

    Examples
    --------
    >>> inner_folds(np.array(["happy", "happy", "sad", "sad"]), 2).tolist()
    [0, 1, 1, 0]
    """
    if held_out is not None:
        return np.where(held_out, 0, -1).astype(np.intp)
    rng = check_random_state(0 if random_state is None else random_state)
    y = np.asarray(y)
    if groups is None:
        order = np.lexsort((rng.permutation(len(y)), np.unique(y, return_inverse=True)[1]))
        folds = np.empty(len(y), dtype=np.intp)
        folds[order] = np.arange(len(y)) % n_folds
        return folds
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    folds = np.zeros(len(y), dtype=np.intp)
    n_folds = min(n_folds, int(numbers.max(initial=0)) + 1)
    if n_folds < 2:
        return folds
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=rng)
    with warnings.catch_warnings():
        # Classes of fewer rows than folds are no mistake here.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for number, (_, outside) in enumerate(splitter.split(y, np.unique(y, return_inverse=True)[1], numbers)):
            folds[outside] = number
    return folds
