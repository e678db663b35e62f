"""Many learners over the same columns of X as rows of one matrix, each with its own scaling of the columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fusionfer.heads.linear._backends import make_products
from fusionfer.matrices import MappedMatrix, read_rows

__all__ = ["Stack", "pieces"]

_PIECE_BYTES = 1 << 25


def pieces(n: int, d: int) -> Iterator[slice]:
    """Cut n rows of d columns so that a float64 copy of one piece is small."""
    step = max(1, _PIECE_BYTES // (8 * max(d, 1)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


class Stack:
    """Products of Z = (X - shift) * factor with a row of weights for each learner, without making any Z.

    Parameters
    ----------
    X : ndarray of float32 or float64, or MappedMatrix, shape (n, d)
        A view of the shared columns.
    problems : sequence of LinearProblem or SoftmaxProblem
        All with the same columns.
    counts : sequence of int
        Learners of each problem; their rows follow each other.
    backend : str
        For products in the dtype of X.
    exact : bool
        Whether products run in float64 although X is float32, piece by piece and by numpy.
    """

    def __init__(
        self,
        X: np.ndarray | MappedMatrix,
        problems: Sequence[Any],
        counts: Sequence[int],
        backend: str = "numpy",
        exact: bool = False,
    ) -> None:
        self.X, self.n, self.d = X, *X.shape
        self.shift = np.array([np.zeros(self.d) if p.shift is None else p.shift for p in problems], dtype=np.float64)
        self.factor = np.array([np.ones(self.d) if p.factor is None else p.factor for p in problems], dtype=np.float64)
        self.owner = np.repeat(np.arange(len(problems)), counts)
        self.exact = exact and X.dtype != np.float64
        self.dtype = np.float64 if self.exact else X.dtype
        self._products = None if self.exact else make_products(backend, X)

    def forward(self, W: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """Scores (r, n) of weights `W` (r, d) of learners whose problems are `owner` (r,), in `dtype`."""
        V = W * self.factor[owner]
        offset = np.einsum("ij,ij->i", V, self.shift[owner])
        if self._products is not None:
            F = self._products.forward(V.astype(self.dtype))
        else:
            F = np.empty((len(W), self.n))
            for rows in pieces(self.n, self.d):
                F[:, rows] = V @ read_rows(self.X, rows).T.astype(np.float64)
        F -= offset[:, None].astype(self.dtype)
        return F

    def backward(self, B: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """Sums of the rows of Z weighted by `B` (r, n): (r, d) in float64."""
        if self._products is not None:
            V = self._products.backward(B.astype(self.dtype, copy=False)).astype(np.float64, copy=False)
        else:
            V = np.zeros((len(B), self.d))
            for rows in pieces(self.n, self.d):
                V += B[:, rows] @ read_rows(self.X, rows).astype(np.float64)
        V -= B.sum(axis=1).astype(np.float64)[:, None] * self.shift[owner]
        V *= self.factor[owner]
        return V

    def take(self, rows: np.ndarray | slice, problem: int, dtype: Any = np.float64) -> np.ndarray:
        """Some rows of the Z of one problem, as a copy."""
        Z = read_rows(self.X, rows).astype(dtype)
        Z -= self.shift[problem].astype(dtype)
        Z *= self.factor[problem].astype(dtype)
        return Z
