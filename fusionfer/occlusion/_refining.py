"""Coarse to fine: some windows first, then those that matter, the rest between them."""

from __future__ import annotations

import numpy as np

__all__ = ["coarse_windows", "fill_in", "worth_most"]

_FIRST = 2 / 3  # of what may be computed is spent, at most, before it is known where something matters


def coarse_windows(grid: tuple[int, int], effort: float) -> np.ndarray:
    """Return the windows that are computed first: all for an effort of 1, else every k-th of rows and columns.

    k is the smallest number from 2 that leaves a third of the effort for the second step; the last row and the last
    column are always among them, so that nothing has to be guessed beyond the first windows.

    Parameters
    ----------
    grid : tuple of int
        Windows below and beside each other.
    effort : float
        Share of the windows that may be computed, in (0, 1].

    Returns
    -------
    ndarray of int64, shape (m,)
        In order; the four corners at least.
    """
    n = grid[0] * grid[1]
    if effort >= 1 or min(grid) < 3:
        return np.arange(n)
    for step in range(2, max(grid) + 1):
        rows, columns = (_every(count, step) for count in grid)
        if len(rows) * len(columns) <= _FIRST * effort * n:
            break
    return (rows[:, None] * grid[1] + columns).ravel()


def fill_in(grid: tuple[int, int], first: np.ndarray, drops: np.ndarray) -> np.ndarray:
    """Return drops of all windows, interpolated bilinearly between the first ones.

    Parameters
    ----------
    grid : tuple of int
    first : ndarray of int, shape (m,)
        From `coarse_windows`.
    drops : ndarray of float, shape (n, c)
        Of all windows; only those of `first` are read.

    Returns
    -------
    ndarray of float64, shape (n, c)
    """
    rows, columns = np.unique(first // grid[1]), np.unique(first % grid[1])
    known = drops[first].reshape(len(rows), len(columns), -1)
    between = np.einsum("ra,abc,qb->rqc", _weights(grid[0], rows), known, _weights(grid[1], columns))
    return between.reshape(grid[0] * grid[1], -1)


def worth_most(grid: tuple[int, int], first: np.ndarray, drops: np.ndarray, count: int) -> np.ndarray:
    """Return the windows to compute next: those whose interpolated drop, of any class, is farthest from none.

    Parameters
    ----------
    grid, first, drops
        As in `fill_in`.
    count : int
        How many.

    Returns
    -------
    ndarray of int64, shape (count,)
        In order; of equal drops the first windows.
    """
    guess = np.abs(fill_in(grid, first, drops))
    largest = np.maximum(guess.max(axis=0), np.finfo(float).tiny)
    worth = (guess / largest).max(axis=1)
    worth[first] = -1.0
    return np.sort(np.argsort(-worth, kind="stable")[:count])


def _every(count: int, step: int) -> np.ndarray:
    return np.unique(np.append(np.arange(0, count, step), count - 1))


def _weights(count: int, known: np.ndarray) -> np.ndarray:
    """Return the matrix (count, known) that interpolates linearly between known positions."""
    return np.stack([np.interp(np.arange(count), known, unit) for unit in np.eye(len(known))], axis=1)
