"""The t test for scores over folds, whose training rows overlap."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from fusionfer.exceptions import DataError

__all__ = ["ResampledT", "corrected_resampled_t"]


class ResampledT(NamedTuple):
    """A corrected t test; NaN in all but `difference` and `df` where the differences do not vary.

    Attributes
    ----------
    difference : float
        Mean difference.
    statistic, df : float, int
        t and its degrees of freedom.
    two_sided, greater, less : float
        p-values.
    low, high : float
        Interval of the difference.
    """

    difference: float
    statistic: float
    df: int
    two_sided: float
    greater: float
    less: float
    low: float
    high: float


def corrected_resampled_t(
    differences: Any, test_over_train: float, *, margin: float = 0.0, level: float = 0.95
) -> ResampledT:
    """Test whether the mean of differences over folds exceeds `margin`.

    Folds share training rows, so their scores vary together, and the usual t test finds differences where there are
    none. The correction takes the variance of the mean as s^2 (1/J + n_test/n_train) in the place of s^2 / J.

    Parameters
    ----------
    differences : array-like of float, shape (J,)
        Score of the first less score of the second in each of J folds; at least two.
    test_over_train : float
        Held-out rows of a fold by its training rows: 1 / (k - 1) for k folds.
    margin : float
        What the first must gain under the null hypothesis.
    level : float
        Level of the interval.

    Returns
    -------
    ResampledT

    Raises
    ------
    DataError
        If there are fewer than two differences, or the ratio is not positive.

    Notes
    -----
    Where the differences are the same in all folds there is no variance and no test: scores of small folds are
    coarse, and equal differences are no proof of anything.

    References
    ----------
    Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52, 239-281: the "corrected
    resampled t-test".

    Examples
    --------
    >>> found = corrected_resampled_t([0.02, 0.01, 0.03, 0.02, 0.02], 1 / 4)
    >>> print(f"{found.statistic:.3f} {found.greater:.4f} {found.low:.4f} {found.high:.4f}")
    4.216 0.0068 0.0068 0.0332
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not test_over_train > 0:
        msg = (
            "The corrected t test takes the differences of two or more folds and the ratio of held-out to training "
            f"rows, above 0; got an array of shape {values.shape} and {test_over_train!r}."
        )
        raise DataError(msg)
    mean, df = float(values.mean()), len(values) - 1
    spread = float(values.std(ddof=1))
    if spread <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return ResampledT(mean, math.nan, df, *[math.nan] * 5)
    error = spread * math.sqrt(1 / len(values) + test_over_train)
    statistic = (mean - margin) / error
    half = error * float(stdtrit(df, 0.5 + level / 2))
    greater, less = float(stdtr(df, -statistic)), float(stdtr(df, statistic))
    return ResampledT(mean, statistic, df, 2 * min(greater, less), greater, less, mean - half, mean + half)
