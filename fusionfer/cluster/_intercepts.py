"""The best intercepts of hinge losses whose rows lie on many workers: a few looks at ever finer grids."""

from __future__ import annotations

import numpy as np

from fusionfer.cluster._blocks import Blocks

__all__ = ["best_intercepts"]

_POINTS = 24  # of one look
_LOOKS = 8  # at most; each narrows the place down to a cell


def best_intercepts(
    blocks: Blocks,
    live: np.ndarray,
    dual: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    squares: np.ndarray,
    penalty: float,
    precise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise penalty / 2 b^2 + sum_i c_i max(0, 1 - y_i (f_i + b)) over b, for many learners at once.

    The sum is convex: tangents at two ends of a cell bound it from below within. Whatever intercept is returned, its
    value is that of the whole objective there, and so is sound.

    Parameters
    ----------
    blocks : Blocks
        Of `HingeBlock`, after `judge`.
    live : ndarray of int, shape (r,)
        Numbers of the learners.
    dual : ndarray of bool, shape (r,)
        Whether the scores of each are those of the dual weights.
    low, high : ndarray of shape (r,)
        First and last kink of each; not finite where there is none.
    squares : ndarray of shape (r,)
        What else the objective consists of, to which `precise` is relative.
    penalty : float
    precise : float
        Share of the objective that may be lost.

    Returns
    -------
    b, value : ndarray of shape (r,)
    """
    empty = ~(np.isfinite(low) & np.isfinite(high))
    low, high = np.where(empty, 0.0, low), np.where(empty, 0.0, high)
    if penalty:
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    best, value = np.zeros(len(live)), np.full(len(live), np.inf)
    guess = 0.5 * (low + high)
    open_ = np.arange(len(live))
    for _ in range(_LOOKS):
        grid = np.linspace(low[open_], high[open_], _POINTS, axis=1)
        grid = np.sort(np.concatenate([grid, guess[open_, None]], axis=1), axis=1)
        losses, slopes = blocks.total("losses", live[open_], dual[open_], grid)
        losses, slopes = losses + 0.5 * penalty * grid**2, slopes + penalty * grid
        rows, last = np.arange(len(open_)), grid.shape[1] - 1
        lowest = losses.argmin(axis=1)
        better = losses[rows, lowest] < value[open_]
        best[open_[better]], value[open_[better]] = grid[rows, lowest][better], losses[rows, lowest][better]
        # To the left of the cell the sum falls, to the right it rises.
        left = np.clip((slopes < 0).sum(axis=1) - 1, 0, last - 1)
        a, z = grid[rows, left], grid[rows, left + 1]
        f_a, f_z, s_a, s_z = losses[rows, left], losses[rows, left + 1], slopes[rows, left], slopes[rows, left + 1]
        turn = s_z - s_a
        meet = np.divide(f_a - f_z + s_z * z - s_a * a, turn, out=0.5 * (a + z), where=turn > 0)
        meet = np.clip(meet, a, z)
        bound = np.maximum(f_a + s_a * (meet - a), f_z + s_z * (meet - z))
        low[open_], high[open_], guess[open_] = a, z, meet
        settled = value[open_] - bound <= precise * (squares[open_] + value[open_])
        open_ = open_[~settled]
        if len(open_) == 0:
            break
    return best, value
