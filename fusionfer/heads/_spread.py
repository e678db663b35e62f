"""Rows as a linear head sees them, scaled piece by piece; how far they spread, and the values of C that go with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["C_GRID", "row_spread", "scaled_pieces"]

#: Values of C that "auto" tries, in units of 1 / `row_spread`, so that the scale of X does not matter.
C_GRID = tuple(float(value) for value in np.round(10.0 ** np.arange(-3.0, 2.25, 0.5), 6))

_CHUNK_BYTES = 1 << 25


def scaled_pieces(
    X: np.ndarray, rows: np.ndarray, columns: slice, shift: np.ndarray | None, factor: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some rows, and the learners' view of them in the dtype of X, piece by piece."""
    step = max(1, _CHUNK_BYTES // (X.shape[1] * X.dtype.itemsize))
    for at in range(0, len(rows), step):
        piece = rows[at : at + step]
        Z = X[piece, columns]
        if shift is not None and factor is not None:
            Z = (Z - shift.astype(Z.dtype)) * factor.astype(Z.dtype)
        yield piece, Z


def row_spread(
    X: np.ndarray,
    weight: np.ndarray,
    columns: slice,
    shift: np.ndarray | None = None,
    factor: np.ndarray | None = None,
) -> float:
    """Weighted mean squared distance of a row from the mean row, 1 where all rows are equal."""
    square, mean = 0.0, np.zeros(len(range(*columns.indices(X.shape[1]))))
    share = weight / weight.sum()
    for rows, Z in scaled_pieces(X, np.flatnonzero(weight > 0), columns, shift, factor):
        square += float(share[rows] @ np.einsum("ij,ij->i", Z, Z, dtype=np.float64))
        mean += share[rows] @ Z
    spread = square - float(mean @ mean)
    return spread if spread > 1e-12 * square else 1.0
