"""Intervals of a proportion."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtri

from fusionfer.exceptions import DataError, unknown_name

__all__ = ["proportion_interval"]


def proportion_interval(
    hits: Any, n: Any, *, level: float = 0.95, method: str = "wilson"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of a proportion, such as an accuracy or the sensitivity of a class.

    Parameters
    ----------
    hits, n : array-like of int, any shapes that go together
        Rows that count, of how many independent rows.
    level : float
        Between 0 and 1.
    method : {"wilson", "clopper-pearson"}
        Wilson's interval covers as often as it says on average; that of Clopper and Pearson at least as often, and is
        wider.

    Returns
    -------
    low, high : ndarrays of float64
        From 0 to 1; NaN where n is 0.

    Raises
    ------
    DataError
        If there are more hits than rows, a count is negative, or the level is not between 0 and 1.
    UnknownNameError
        If there is no such method.

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212; Clopper and Pearson (1934), Biometrika
    26, 404-413.

    Examples
    --------
    >>> low, high = proportion_interval(45, 50)
    >>> print(f"{low:.3f} {high:.3f}")
    0.786 0.957
    """
    k, rows = np.broadcast_arrays(np.asarray(hits, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if np.any(k < 0) or np.any(k > rows) or not 0 < level < 1:
        msg = (
            "A proportion is 0 or more hits of at least as many rows, at a level between 0 and 1; got "
            f"{hits!r} of {n!r} at {level!r}."
        )
        raise DataError(msg)
    if method not in ("wilson", "clopper-pearson"):
        raise unknown_name("method", method, ("wilson", "clopper-pearson"))
    some = np.where(rows > 0, rows, np.nan)
    if method == "wilson":
        z = float(ndtri(0.5 + level / 2))
        share, spread = k / some, z**2 / some
        middle = (share + spread / 2) / (1 + spread)
        half = np.sqrt(share * (1 - share) * spread + (spread / 2) ** 2) / (1 + spread)
        # At the ends the two terms are equal but for their last digit.
        low, high = np.where(k == 0, 0.0 * some, middle - half), np.where(k == rows, 0.0 * some + 1.0, middle + half)
        return low, high
    tail = (1 - level) / 2
    inner = np.where(rows > 0, k, 1.0), np.where(rows > 0, rows, 2.0)  # any values that are defined
    low = np.where(inner[0] > 0, betaincinv(np.maximum(inner[0], 1), inner[1] - inner[0] + 1, tail), 0.0)
    high = np.where(inner[0] < inner[1], betaincinv(inner[0] + 1, np.maximum(inner[1] - inner[0], 1), 1 - tail), 1.0)
    return low + 0.0 * some, high + 0.0 * some
