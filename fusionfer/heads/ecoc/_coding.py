"""Coding matrices: which classes a learner sets against which others."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.heads.ecoc._checking import check_coding
from fusionfer.heads.ecoc._random_codes import search_random_code

__all__ = ["CODINGS", "coding_matrix", "count_learners"]

CODINGS = ("onevsall", "onevsone", "ordinal", "binarycomplete", "ternarycomplete", "denserandom", "sparserandom")


def count_learners(coding: str, n_classes: int) -> int:
    """Return how many learners a coding has.

    ================ ================================================= ===============
    coding           learners                                          of 7 classes
    ================ ================================================= ===============
    onevsall         K                                                 7
    onevsone         K (K - 1) / 2                                     21
    ordinal          K - 1                                             6
    binarycomplete   2^(K - 1) - 1                                     63
    ternarycomplete  (3^K - 2^(K + 1) + 1) / 2                         966
    denserandom      ceil(10 log2 K), at most those of binarycomplete  29
    sparserandom     ceil(15 log2 K), at most those of ternarycomplete 43
    ================ ================================================= ===============

    Two classes have one learner in every coding.

    Parameters
    ----------
    coding : str
        Name of a coding.
    n_classes : int
        K, at least 2.

    Returns
    -------
    int

    Raises
    ------
    UnknownNameError
        If there is no such coding.

    Examples
    --------
    >>> count_learners("ternarycomplete", 7)
    966
    """
    K = n_classes
    if coding not in CODINGS:
        raise unknown_name("coding", coding, CODINGS)
    if K == 2:
        return 1
    binary, ternary = 2 ** (K - 1) - 1, (3**K - 2 ** (K + 1) + 1) // 2
    return {
        "onevsall": K,
        "onevsone": K * (K - 1) // 2,
        "ordinal": K - 1,
        "binarycomplete": binary,
        "ternarycomplete": ternary,
        "denserandom": min(binary, math.ceil(10 * math.log2(K))),
        "sparserandom": min(ternary, math.ceil(15 * math.log2(K))),
    }[coding]


def coding_matrix(coding: Any, n_classes: int, *, max_learners: int = 1000, random_state: Any = None) -> np.ndarray:
    """Return the coding matrix of a name, or a user's own after a check.

    - onevsall: one class against all others.
    - onevsone: one class against another; the rest take no part.
    - ordinal: the first 1, 2, ... K - 1 classes, in the order of the labels, against those that follow.
    - binarycomplete: every way to part all classes in two.
    - ternarycomplete: every way to set some classes against some others.
    - denserandom, sparserandom: the best of 10,000 random matrices, see `search_random_code`.

    Parameters
    ----------
    coding : str or array-like of shape (K, L)
        A name from `CODINGS`, or a matrix of +1, -1 and 0 with a row for each class in the order of the labels.
    n_classes : int
        K, at least 2.
    max_learners : int
        Most columns. They are counted before the matrix is built.
    random_state : int, RandomState instance or None
        Draws the random codings. None draws the same as 0.

    Returns
    -------
    ndarray of int8, shape (K, L)
        Two classes have the one column (-1, +1) in every named coding.

    Raises
    ------
    UnknownNameError
        If there is no coding of that name.
    DataError
        If there are more than `max_learners` columns, or the own matrix is invalid (see `check_coding`).

    Examples
    --------
    >>> coding_matrix("onevsone", 3)
    array([[ 1,  1,  0],
           [-1,  0,  1],
           [ 0, -1, -1]], dtype=int8)
    """
    if not isinstance(coding, str):
        matrix = check_coding(coding, n_classes)
        _check_count("The coding matrix", matrix.shape[1], n_classes, max_learners)
        return matrix
    count = count_learners(coding, n_classes)
    _check_count(f"Coding {coding!r}", count, n_classes, max_learners)
    if n_classes == 2:
        return np.array([[-1], [1]], dtype=np.int8)
    if coding == "onevsall":
        return (2 * np.eye(n_classes) - 1).astype(np.int8)
    if coding == "onevsone":
        matrix = np.zeros((n_classes, count), dtype=np.int8)
        for j, (first, second) in enumerate(itertools.combinations(range(n_classes), 2)):
            matrix[first, j], matrix[second, j] = 1, -1
        return matrix
    if coding == "ordinal":
        return np.where(np.arange(n_classes)[:, None] > np.arange(n_classes - 1), 1, -1).astype(np.int8)
    sparse = coding in {"ternarycomplete", "sparserandom"}
    if coding in {"binarycomplete", "ternarycomplete"} or count == count_learners(_complete(sparse), n_classes):
        return _all_columns(n_classes, sparse)
    return search_random_code(n_classes, count, sparse=sparse, random_state=random_state)


def _complete(sparse: bool) -> str:
    return "ternarycomplete" if sparse else "binarycomplete"


def _check_count(what: str, count: int, n_classes: int, max_learners: int) -> None:
    if count > max_learners:
        msg = (
            f"{what} has {count:,} learners for {n_classes} classes, max_learners is {max_learners:,}. "
            "Take a smaller coding such as 'onevsall' or 'sparserandom', or raise max_learners."
        )
        raise DataError(msg)


def _all_columns(n_classes: int, sparse: bool) -> np.ndarray:
    """Every column that has both sides, once: of a column and its negative that whose first entry is +1."""
    sides = (1, 0, -1) if sparse else (1, -1)
    columns = [
        column
        for column in itertools.product(sides, repeat=n_classes)
        if -1 in column and next(side for side in column if side) == 1
    ]
    return np.array(columns, dtype=np.int8).T.copy()
