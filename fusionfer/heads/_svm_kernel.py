"""The Gaussian kernel between rows and a few chosen rows, in pieces and without a copy of all rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from fusionfer.exceptions import DataError
from fusionfer.matrices import MappedMatrix, is_mapped, read_rows

__all__ = ["GaussianKernel", "fit_kernel", "moments"]

_CHUNK = 1 << 22  # values of a float64 array that is worked on at once


@dataclass(frozen=True, eq=False)
class GaussianKernel:
    """k(x, s) = exp(-gamma ||(x - s) * factor||^2).

    Attributes
    ----------
    shift, factor : ndarray of float64, shape (d,)
        Taken off, then multiplied with, the columns. Distances do not depend on `shift`; taking off the mean keeps
        float32 exact where columns lie far from 0.
    gamma : float
        More than 0.
    """

    shift: np.ndarray
    factor: np.ndarray
    gamma: float

    def scaled(self, X: np.ndarray | MappedMatrix, dtype: Any = None) -> np.ndarray:
        """Rows (n, d) in the kernel's coordinates, computed in float64 and returned in `dtype` or that of X."""
        Z = np.empty(X.shape, dtype=X.dtype if dtype is None else dtype)
        for rows in _pieces(len(X), X.shape[1]):
            Z[rows] = (read_rows(X, rows) - self.shift) * self.factor
        return Z

    def between(self, X: np.ndarray | MappedMatrix, points: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices of the rows of X (n, d) with the kernel (rows, m) to `points` (m, d), which are scaled already.

        Products run in the dtype of `points`; distances and the kernel are float64.

        Raises
        ------
        ValueError
            If a row of a MappedMatrix is not finite: nobody has seen it before.
        """
        norms = np.einsum("ij,ij->i", points, points, dtype=np.float64)
        for rows in _pieces(len(X), max(X.shape[1], len(points))):
            own = read_rows(X, rows)
            Z = self.scaled(check_array(own, input_name="X") if is_mapped(X) else own, points.dtype)
            squares = (Z @ points.T).astype(np.float64)
            squares *= -2.0
            squares += norms
            squares += np.einsum("ij,ij->i", Z, Z, dtype=np.float64)[:, None]
            np.maximum(squares, 0.0, out=squares)  # rounding
            squares *= -self.gamma
            yield rows, np.exp(squares, out=squares)


def fit_kernel(
    X: np.ndarray | MappedMatrix, weight: np.ndarray, gamma: float | str, standardize: bool
) -> GaussianKernel:
    """Make the kernel for training rows.

    Parameters
    ----------
    X : ndarray or MappedMatrix, shape (n, d)
        Rows.
    weight : ndarray of float64, shape (n,)
        Weight of each row, at least 0.
    gamma : float or "scale"
        "scale" is 1 / (sum of the variances of the columns): then gamma ||x - s||^2 is 2 on average.
    standardize : bool
        Whether columns are divided by their standard deviation.
    """
    mean, variance = moments(X, weight)
    factor = np.ones(X.shape[1])
    if standardize:
        varies = variance > 0
        factor = np.divide(1.0, np.sqrt(variance), out=np.zeros(len(variance)), where=varies)
    if gamma == "scale":
        total = float(variance @ factor**2)
        gamma = 1.0 / total if total > 0 else 1.0
    return GaussianKernel(mean, factor, float(gamma))


def moments(X: Any, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance of the columns, in float64, without a float64 copy; 0 for a constant column."""
    share = weight / weight.sum()
    if is_mapped(X):
        mean, variance = X.moments(share)
    else:
        mean, variance = np.zeros(X.shape[1]), np.zeros(X.shape[1])
        for rows in _pieces(*X.shape):
            mean += share[rows] @ X[rows].astype(np.float64)
        for rows in _pieces(*X.shape):
            variance += share[rows] @ (X[rows] - mean) ** 2
    if not np.all(np.isfinite(variance)):
        msg = "The variance of a column exceeds float64; scale the features first."
        raise DataError(msg)
    # What rounding leaves of a constant column.
    eps = np.finfo(np.float64).eps
    return mean, np.where(variance > len(X) * eps * variance + (len(X) * mean * eps) ** 2, variance, 0.0)


def _pieces(n: int, width: int) -> Iterator[slice]:
    step = max(1, _CHUNK // max(1, width))
    return (slice(at, min(at + step, n)) for at in range(0, n, step))
