"""Random codes: many are drawn, and the one whose classes lie farthest apart is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from fusionfer.exceptions import DataError

__all__ = ["row_distances", "search_random_code"]

_CANDIDATES = 10_000
_BATCH = 250  # candidates drawn at once
_SPARE = 4  # columns are drawn this many times over, since some are useless or twins of others


def row_distances(codes: np.ndarray) -> np.ndarray:
    """Number of learners that set two classes on opposite sides, for each pair of classes.

    It is 1/2 sum_j |m_aj| |m_bj| |m_aj - m_bj|: entries of 0 do not count, as Escalera, Pujol and Radeva (2009) ask.

    Parameters
    ----------
    codes : ndarray, shape (..., K, L)
        Code matrices.

    Returns
    -------
    ndarray of float64, shape (..., K (K - 1) / 2)
        Pairs (0, 1), (0, 2), ... (K - 2, K - 1).

    Examples
    --------
    >>> row_distances(np.array([[1, 1, 0], [-1, 0, 1], [0, -1, -1]])).tolist()
    [1.0, 1.0, 1.0]
    """
    M = np.asarray(codes, dtype=np.float64)
    turned = np.swapaxes(M, -1, -2)
    opposite = (np.abs(M) @ np.abs(turned) - M @ turned) / 2.0
    first, second = np.triu_indices(M.shape[-2], 1)
    return opposite[..., first, second]


def search_random_code(n_classes: int, n_learners: int, *, sparse: bool, random_state: Any = None) -> np.ndarray:
    """Return the best of 10,000 random matrices.

    Entries are independent: +1 and -1 with probability 1/2 each (dense), or +1 and -1 with 1/4 each and 0 with 1/2
    (sparse) [1]_. Columns without both sides, and twins of an earlier column (equal or opposite), are drawn anew. The
    matrix with the largest least distance between two rows (`row_distances` [2]_) is kept, of equals the one with the
    larger mean distance, of these the first.

    Parameters
    ----------
    n_classes, n_learners : int
        K and L.
    sparse : bool
        Whether entries may be 0.
    random_state : int, RandomState instance or None
        Draws. None draws the same as 0.

    Returns
    -------
    ndarray of int8, shape (K, L)
        The first side of every column is +1.

    Raises
    ------
    DataError
        If no matrix is found, because there are hardly as many different columns as asked for.

    References
    ----------
    .. [1] E. Allwein, R. Schapire, Y. Singer (2000). Reducing multiclass to binary: a unifying approach for margin
       classifiers. Journal of Machine Learning Research 1, 113-141; section 6: 10,000 matrices of ceil(10 log2 K) or
       ceil(15 log2 K) columns, the largest least distance.
    .. [2] S. Escalera, O. Pujol, P. Radeva (2009). Separability of ternary codes for sparse designs of error-correcting
       output codes. Pattern Recognition Letters 30(3), 285-297: positions with a zero must not count.

    Examples
    --------
    >>> code = search_random_code(7, 29, sparse=False, random_state=0)
    >>> code.shape, int(row_distances(code).min())
    ((7, 29), 14)
    """
    rng = check_random_state(0 if random_state is None else random_state)
    entries = np.array([-1, 0, 0, 1] if sparse else [-1, 1], dtype=np.int8)
    key = rng.randint(1, 2**62, size=n_classes, dtype=np.int64)
    best, best_quality = None, -np.inf
    for _ in range(_CANDIDATES // _BATCH):
        drawn = entries[rng.randint(len(entries), size=(_BATCH, n_classes, _SPARE * n_learners))]
        codes = _first_different(drawn, n_learners, key)
        if not len(codes):
            continue
        distances = row_distances(codes)
        # A mean is less than L + 1, so it only decides between equal least distances.
        quality = distances.min(axis=1) + distances.mean(axis=1) / (n_learners + 1)
        at = int(np.argmax(quality))
        if distances[at].min() > 0 and quality[at] > best_quality:
            best, best_quality = codes[at], quality[at]
    if best is None:
        msg = (
            f"Found no random code of {n_learners} different learners for {n_classes} classes. "
            "Take 'binarycomplete' or 'ternarycomplete'."
        )
        raise DataError(msg)
    return best


def _first_different(drawn: np.ndarray, n_learners: int, key: np.ndarray) -> np.ndarray:
    """Keep the first `n_learners` usable columns of each candidate (B, K, many); candidates with fewer are dropped.

    Columns are compared by a hash (products of int64 wrap around). Twins that only seem so cost a spare column.
    """
    usable = (drawn > 0).any(axis=1) & (drawn < 0).any(axis=1)
    first_side = np.take_along_axis(drawn, np.argmax(drawn != 0, axis=1)[:, None, :], axis=1)
    drawn = drawn * first_side
    hashed = np.einsum("bkj,k->bj", drawn.astype(np.int64), key)
    order = np.argsort(hashed, axis=1, kind="stable")
    ordered = np.take_along_axis(hashed, order, axis=1)
    twin = np.zeros_like(usable)
    np.put_along_axis(twin, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    usable &= ~twin
    enough = usable.sum(axis=1) >= n_learners
    taken = np.argsort(~usable[enough], axis=1, kind="stable")[:, :n_learners]
    return np.take_along_axis(drawn[enough], taken[:, None, :], axis=2)
