"""Several p-values for one claim, or for several."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["holm", "intersection_union"]


def intersection_union(p_values: Any) -> float:
    """Return the p-value of "all of these hold": the largest.

    "The hybrid beats A and it beats B" is rejected as a whole unless each part stands on its own, so every part is
    tested at the full level, and nothing is to be corrected.

    Parameters
    ----------
    p_values : array-like of float, shape (m,)
        One-sided p-values, one for each part; at least one.

    Returns
    -------
    float

    Raises
    ------
    DataError
        If there is none, or one is not between 0 and 1.

    References
    ----------
    Berger (1982), Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 295-300: theorem 1.

    Examples
    --------
    >>> intersection_union([0.01, 0.2])
    0.2
    """
    return float(_checked(p_values).max())


def holm(p_values: Any) -> np.ndarray:
    """Return p-values that hold for each of several claims at once.

    Parameters
    ----------
    p_values : array-like of float, shape (m,)
        One for each claim; at least one.

    Returns
    -------
    ndarray of float64, shape (m,)
        In the same order; to be compared with the level that all claims share.

    Raises
    ------
    DataError
        If there is none, or one is not between 0 and 1.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = _checked(p_values)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _checked(p_values: Any) -> np.ndarray:
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.all((values >= 0) & (values <= 1)):
        msg = f"p-values are one or more numbers from 0 to 1, got {p_values!r}."
        raise DataError(msg)
    return values
