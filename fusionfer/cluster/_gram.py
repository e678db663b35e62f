"""The Gram matrix of rows that many workers hold: sums of what each makes of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusionfer.cluster._blocks import Held
from fusionfer.exceptions import DataError
from fusionfer.heads.linear._ridge import Gram, Hessian, factorise, weighted_gram
from fusionfer.heads.linear._stack import pieces
from fusionfer.matrices import MappedMatrix, read_rows
from fusionfer.memory import allowed_bytes

__all__ = ["ClusterGram", "GramBlock", "ReducedHessian", "loaded"]

_SHARE = 0.25  # of the allowed memory, which a block's rows may take to be read once instead of in every product


class ClusterGram(Gram):
    """As `Gram`, from a `ClusterMatrix`: means and products are made by the workers, and only their sums come here.

    Parameters
    ----------
    X : ClusterMatrix of shape (n, D)
    """

    def __init__(self, X: Any) -> None:
        self.X: Any = X
        self.n = len(X)
        self._made: dict[Any, np.ndarray] = {}
        with X.blocks("mean", GramBlock) as blocks:
            self.mean = blocks.total("sums") / self.n
        if not np.all(np.isfinite(self.mean)):
            column = int(np.flatnonzero(~np.isfinite(self.mean))[0])
            msg = f"X must be finite; column {column} holds NaN or infinity, or values whose sum overflows."
            raise DataError(msg)

    def _whole(self, dtype: np.dtype) -> np.ndarray:
        with self.X.blocks("gram", GramBlock) as blocks:
            return np.asfortranarray(blocks.total("gram", self.mean, dtype))


class GramBlock(Held):
    """The rows of one block on a worker, for sums over them."""

    def __init__(self, matrix: MappedMatrix) -> None:
        self.X = matrix

    def sums(self) -> np.ndarray:
        """Column sums (D,), in float64 throughout."""
        total = np.zeros(self.X.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in pieces(*self.X.shape):
                total += read_rows(self.X, rows).sum(axis=0, dtype=np.float64)
        return total

    def gram(self, mean: np.ndarray, dtype: Any) -> np.ndarray:
        """Lower triangle of the sum of outer products about `mean`."""
        return weighted_gram(self.X, mean, dtype=dtype)


class ReducedHessian(Hessian):
    """As `Hessian`, from the weighted Gram matrix of the rows whose losses curve, summed over all workers.

    Parameters
    ----------
    gram : ndarray of shape (d, d)
        Lower triangle; overwritten.
    rest, factor : ndarray of shape (d,)
        As of `Hessian`.
    """

    def __init__(self, gram: np.ndarray, rest: np.ndarray, factor: np.ndarray) -> None:
        self.Z = None
        A = np.asfortranarray(gram)
        A += np.outer(rest, rest).astype(A.dtype)
        A *= factor.astype(A.dtype)
        A *= factor.astype(A.dtype)[:, None]
        self.factor = factorise(A)


def loaded(matrix: MappedMatrix) -> np.ndarray | MappedMatrix:
    """On a worker: rows that all products of a solve go through, in memory where they are a small part of it."""
    return np.asarray(matrix) if matrix.nbytes <= _SHARE * allowed_bytes() else matrix
