"""The F test over five times two folds, whose training rows overlap less than those of many folds."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import fdtrc

from fusionfer.exceptions import DataError

__all__ = ["CombinedF", "combined_f_5x2"]


class CombinedF(NamedTuple):
    """The combined F test; NaN in all but `difference` where the differences of a repetition never vary.

    Attributes
    ----------
    difference : float
        Mean of the ten differences.
    statistic, two_sided : float
        F with 10 and 5 degrees of freedom, and its p-value.
    greater, less : float
        One-sided p-values: half the two-sided one on the side of the mean difference; 1/2 where that is the margin.
    """

    difference: float
    statistic: float
    two_sided: float
    greater: float
    less: float


def combined_f_5x2(differences: Any, *, margin: float = 0.0) -> CombinedF:
    """Test whether two classifiers differ, from five repetitions of two folds.

    Parameters
    ----------
    differences : array-like of float, shape (5, 2)
        Score of the first less score of the second, by repetition and fold.
    margin : float
        What the first must gain under the null hypothesis.

    Returns
    -------
    CombinedF

    Raises
    ------
    DataError
        If the shape is another one.

    References
    ----------
    Alpaydin (1999), Combined 5 x 2 cv F test for comparing supervised classification learning algorithms, Neural
    Computation 11, 1885-1892.

    Examples
    --------
    >>> found = combined_f_5x2([[0.02, 0.04], [0.03, 0.02], [0.05, 0.01], [0.03, 0.03], [0.02, 0.03]])
    >>> print(f"{found.statistic:.3f} {found.two_sided:.4f}")
    4.091 0.0667
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.shape != (5, 2):
        msg = f"The 5x2 cv F test takes five repetitions of two differences, shape (5, 2), got {values.shape}."
        raise DataError(msg)
    mean, values = float(values.mean()), values - margin
    variances = float(((values - values.mean(axis=1, keepdims=True)) ** 2).sum())
    if variances <= 1e-24 * max(1.0, float(np.abs(values).max()) ** 2):
        return CombinedF(mean, *[math.nan] * 4)
    statistic = float((values**2).sum()) / (2 * variances)
    two_sided = float(fdtrc(10, 5, statistic))
    if math.isclose(mean, margin, abs_tol=1e-12):  # neither side is ahead, however much the repetitions differ
        return CombinedF(mean, statistic, two_sided, 0.5, 0.5)
    greater = two_sided / 2 if mean > margin else 1 - two_sided / 2
    return CombinedF(mean, statistic, two_sided, greater, 1 - greater)
