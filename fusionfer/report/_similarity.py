"""How much blocks of features say the same: linear CKA without the bias of many columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["block_similarity", "linear_cka"]

_ROWS = 4096


def linear_cka(X: np.ndarray, Y: np.ndarray) -> float:
    """Return how alike two sets of features of the same samples are: linear CKA, debiased.

    1 where one is the other up to rotation, shift and one factor; about 0 where they have nothing in common, however
    many columns they have. Plain CKA is far above 0 for noise as soon as there are about as many columns as rows.

    Parameters
    ----------
    X, Y : ndarray of float, shapes (n, d) and (n, e)
        The same samples in the same order, n at least 4.

    Returns
    -------
    float
        At most 1; slightly negative values are chance. NaN if either set is constant.

    Raises
    ------
    DataError
        If the numbers of samples differ, or there are fewer than 4.

    Notes
    -----
    With K = XX' and L = YY' and their diagonals set to 0, the unbiased HSIC of Song et al. (2012, equation 5) is
    ``(tr KL + 1'K1 1'L1 / ((n-1)(n-2)) - 2/(n-2) 1'KL1) / (n(n-3))``, and CKA is ``HSIC(K, L) / sqrt(HSIC(K, K)
    HSIC(L, L))``. All of it follows from X'Y, X'X and Y'Y: no matrix of n x n is made.

    References
    ----------
    Kornblith, S., Norouzi, M., Lee, H., Hinton, G. (2019). Similarity of neural network representations revisited.
    ICML, equations 3 and 4. Song, L., Smola, A., Gretton, A., Bedo, J., Borgwardt, K. (2012). Feature selection via
    dependence maximization. JMLR 13, 1393-1434. Used together: Nguyen, T., Raghu, M., Kornblith, S. (2021). Do wide and
    deep networks learn the same things? ICLR, section 2.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 30))
    >>> round(linear_cka(X, 3 * X[:, ::-1] + 1), 6)
    1.0
    """
    if len(X) != len(Y) or len(X) < 4:
        msg = f"Two sets of features of the same 4 or more samples can be compared, not of {len(X)} and {len(Y)}."
        raise DataError(msg)
    X, Y = _centred(X), _centred(Y)
    scale = float(np.sqrt(max(_hsic(X, X), 0.0) * max(_hsic(Y, Y), 0.0)))
    return _hsic(X, Y) / scale if scale > 0 else float("nan")


def block_similarity(X: np.ndarray, blocks: Mapping[str, slice], seed: int = 0) -> tuple[list[str], np.ndarray, int]:
    """Return `linear_cka` of each pair of blocks, columns standardised, on 4,096 rows at most.

    Standardised is what heads see by default; else a few columns with large numbers would decide alone.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
    blocks : mapping of str to slice
        Block name -> its columns.
    seed : int
        Of the rows that are drawn where there are more.

    Returns
    -------
    names : list of str
    values : ndarray of float64, shape (B, B)
    n_rows : int
        How many rows were compared.

    Raises
    ------
    DataError
        If there are fewer than 4 rows.
    """
    rows = np.arange(len(X))
    if len(rows) > _ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(len(X), _ROWS, replace=False))
    if len(rows) < 4:
        msg = f"Blocks can be compared on 4 rows or more, not on {len(rows)}."
        raise DataError(msg)
    parts = {name: _centred(X[rows, columns], standardise=True) for name, columns in blocks.items()}
    names = list(parts)
    own = [max(_hsic(part, part), 0.0) for part in parts.values()]
    values = np.eye(len(names))
    for i, one in enumerate(parts.values()):
        for j, other in enumerate(list(parts.values())[:i]):
            scale = float(np.sqrt(own[i] * own[j]))
            values[i, j] = values[j, i] = _hsic(one, other) / scale if scale > 0 else np.nan
    return names, values, len(rows)


def _centred(X: np.ndarray, standardise: bool = False) -> np.ndarray:
    """Return X with the mean row 0, and about 1 in size: float32 does for matrix products of numbers like these."""
    X = np.asarray(X, dtype=np.float32) - np.mean(X, axis=0, dtype=np.float64).astype(np.float32)
    squares = np.mean(np.square(X, dtype=np.float64), axis=0 if standardise else None)
    return X / np.sqrt(np.where(squares > 0, squares, 1.0)).astype(np.float32)


def _hsic(X: np.ndarray, Y: np.ndarray) -> float:
    n = len(X)
    products = X.T @ Y
    own, others = (np.einsum("ij,ij->i", A, A, dtype=np.float64) for A in (X, Y))
    sums_x, sums_y = (A @ A.sum(axis=0, dtype=np.float64) - d for A, d in ((X, own), (Y, others)))
    trace = float(np.sum(np.square(products, dtype=np.float64))) - float(own @ others)
    whole = float(sums_x.sum() * sums_y.sum()) / ((n - 1) * (n - 2))
    return (trace + whole - 2 / (n - 2) * float(sums_x @ sums_y)) / (n * (n - 3))
