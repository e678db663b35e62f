"""McNemar's test: which of two classifiers is right more often, on the same rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, gammaln

from fusionfer.exceptions import DataError

__all__ = ["McNemar", "mcnemar"]


class McNemar(NamedTuple):
    """What the rows say that only one of two classifiers gets right.

    Attributes
    ----------
    first_only, second_only : int
        Rows that only the first, and only the second classifier gets right.
    exact, mid_p : float
        Two-sided p-values of the exact conditional test and of its mid-p version.
    greater, less : float
        One-sided mid-p: how likely at least such a lead of the first (of the second) is by chance.
    """

    first_only: int
    second_only: int
    exact: float
    mid_p: float
    greater: float
    less: float


def mcnemar(first_only: int, second_only: int) -> McNemar:
    """Test whether two classifiers are right equally often.

    Of the n rows that only one of them gets right, each has about half if neither is better: the number that only the
    first gets right is then binomial with n and 1/2. The mid-p version counts the outcome that was observed by half.

    Parameters
    ----------
    first_only, second_only : int
        Rows that only the first, and only the second classifier gets right; rows must be independent.

    Returns
    -------
    McNemar

    Raises
    ------
    DataError
        If a count is negative.

    Notes
    -----
    With no row at all that only one gets right, both two-sided p-values are 1 and the one-sided ones 1/2.

    References
    ----------
    McNemar (1947), Psychometrika 12, 153-157.

    Fagerland, Lydersen and Laake (2013), BMC Medical Research Methodology 13:91: the exact conditional test
    and the mid-p test (1 - f/2 where both counts are equal, with f the probability of what was observed).

    Examples
    --------
    Their table 1, of 21 children before and after a transplantation:

    >>> found = mcnemar(1, 7)
    >>> print(f"{found.exact:.4f} {found.mid_p:.4f}")
    0.0703 0.0391
    """
    if min(first_only, second_only) < 0:
        msg = f"McNemar's test takes two counts of rows, 0 or more, got {first_only!r} and {second_only!r}."
        raise DataError(msg)
    b, c = int(first_only), int(second_only)
    n, least = b + c, min(b, c)
    point = float(np.exp(gammaln(n + 1) - gammaln(b + 1) - gammaln(c + 1) - n * np.log(2)))
    tail = float(bdtr(least, n, 0.5))  # as likely as the smaller count, or less
    one_sided = tail - point / 2
    if b == c:
        return McNemar(b, c, 1.0, 1.0 - point / 2 if n else 1.0, 0.5, 0.5)
    greater = one_sided if b > c else 1.0 - one_sided
    return McNemar(b, c, min(1.0, 2 * tail), min(1.0, 2 * one_sided), greater, 1.0 - greater)
