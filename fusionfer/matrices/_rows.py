"""Which rows of which: slices where rows follow each other, else row numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["Rows", "at", "compose", "count", "is_dense", "plain_rows", "spread"]

Rows = slice | np.ndarray


def plain_rows(which: Any, n: int) -> Rows:
    """A slice of step 1 within n rows, or an array of row numbers; numbers that follow each other become a slice."""
    if isinstance(which, slice):
        start, stop, step = which.indices(n)
        return slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
    index = np.asarray(which)
    if index.dtype == np.bool_:
        if index.shape != (n,):
            msg = f"A mask of rows must have shape ({n},), got {index.shape}."
            raise DataError(msg)
        index = np.flatnonzero(index)
    if index.size == 0:
        return slice(0, 0)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        msg = f"Rows must be a slice, whole numbers or a mask, got {index.dtype} of shape {index.shape}."
        raise DataError(msg)
    # Sums of places are taken below, and 100 + 200 is 44 in eight bits. What does not fit is out of range anyhow.
    low, high = int(index.min()), int(index.max())
    if low < -n or high >= n:
        msg = f"Row {high if high >= n else low} is out of range: there are {n}."
        raise IndexError(msg)
    index = index.astype(np.intp, copy=False)
    if low < 0:
        index = np.where(index < 0, index + n, index)
    return _straight(index)


def _straight(index: np.ndarray) -> Rows:
    """Row numbers that follow each other as a slice: such rows need not be copied to be read."""
    if len(index) == 0:
        return slice(0, 0)
    first = int(index[0])
    if int(index[-1]) - first == len(index) - 1 and np.all(index[1:] > index[:-1]):
        return slice(first, first + len(index))
    return index


def compose(rows: Rows, chosen: Rows) -> Rows:
    """Rows of a part, of which some are chosen, as rows of the part."""
    if isinstance(rows, slice):
        if isinstance(chosen, slice):
            return slice(rows.start + chosen.start, rows.start + chosen.stop)
        return chosen + rows.start if rows.start else chosen
    return _straight(rows[chosen])


def count(rows: Rows) -> int:
    """How many rows they are."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def is_dense(rows: np.ndarray) -> bool:
    """Whether row numbers ascend, and are at least half of those from the first to the last."""
    return bool(rows[-1] - rows[0] < 2 * len(rows) and np.all(rows[1:] > rows[:-1]))


def at(values: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """The values at these places, or all of them where there is None."""
    return values if places is None else values[places]


def spread(B: np.ndarray, places: np.ndarray | None, m: int) -> np.ndarray:
    """B (k, rows) with its columns at their places among m, and zeros between."""
    if places is None:
        return B
    wide = np.zeros((len(B), m), dtype=B.dtype)
    wide[:, places] = B
    return wide
