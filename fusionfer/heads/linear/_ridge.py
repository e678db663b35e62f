"""Solve with I + rho Z^T Z for many rho: the linear step of all solvers, from one Gram matrix."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from scipy import linalg

from fusionfer.exceptions import DataError
from fusionfer.heads.linear._stack import pieces
from fusionfer.matrices import MappedMatrix, read_rows

__all__ = ["Gram", "Hessian", "Ridge", "factorise", "weighted_gram"]

_CACHE_BYTES = 1 << 29  # of the factors held at a time, 26 MB each with 2,560 columns in float32


def weighted_gram(
    X: np.ndarray | MappedMatrix, centre: np.ndarray, weight: np.ndarray | None = None, dtype: Any = None
) -> np.ndarray:
    """Lower triangle of sum_i weight_i (x_i - centre)(x_i - centre)^T, in Fortran order, piece by piece.

    Centring before the product, not after it, leaves nothing to cancel.
    """
    n, d = X.shape
    dtype = np.dtype(dtype or X.dtype)
    syrk = linalg.get_blas_funcs("syrk", dtype=dtype)
    total = np.zeros((d, d), dtype=dtype, order="F")
    centre = centre.astype(dtype)
    for rows in pieces(n, d):
        piece = read_rows(X, rows).astype(dtype)
        piece -= centre
        if weight is not None:
            piece *= np.sqrt(weight[rows, None]).astype(dtype)
        total = syrk(1.0, piece.T, beta=1.0, c=total, lower=1, overwrite_c=1)
    return total


def factorise(A: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """Cholesky factor of `A` + I (lower triangle, overwritten), lifted as far as rounding demands."""
    diagonal = np.einsum("ii->i", A)
    noise = 4.0 * float(np.finfo(A.dtype).eps) * float(diagonal.sum(dtype=np.float64))
    diagonal += max(ridge, noise)
    while True:
        factor, info = linalg.get_lapack_funcs("potrf", (A,))(A, lower=1, clean=0)
        if info == 0:
            return factor
        noise = max(4.0 * noise, ridge)
        diagonal += noise


class Gram:
    """The centred Gram matrix of the shared X, made once, for every block of columns a part of it.

    Parameters
    ----------
    X : ndarray of float32 or float64, or MappedMatrix, shape (n, D)
    """

    def __init__(self, X: np.ndarray | MappedMatrix) -> None:
        self.X, self.n = X, len(X)
        ones = np.ones(self.n, dtype=X.dtype)
        sums = [ones[rows] @ read_rows(X, rows) for rows in pieces(*X.shape)]
        self.mean: np.ndarray = np.asarray(np.sum(sums, axis=0, dtype=np.float64) / max(self.n, 1))
        if not np.all(np.isfinite(self.mean)):
            column = int(np.flatnonzero(~np.isfinite(self.mean))[0])
            msg = f"X must be finite; column {column} holds NaN or infinity, or values whose sum overflows."
            raise DataError(msg)
        self._made: dict[Any, np.ndarray] = {}

    def block(self, columns: slice, dtype: Any) -> np.ndarray:
        """Lower triangle for some columns, as a view."""
        dtype = np.dtype(dtype)
        held = next((made for key, made in self._made.items() if key.itemsize >= dtype.itemsize), None)
        if held is None:
            held = self._made[dtype] = self._whole(dtype)
        return held[columns, columns]

    def _whole(self, dtype: np.dtype) -> np.ndarray:
        return weighted_gram(self.X, self.mean, dtype=dtype)


class Ridge:
    """Solves with I + rho D G D (+ the mean's outer product), rho = 2 ** level, by cached Cholesky factors.

    With fewer rows than columns the matrix of the other side is factored: (I + Z^T Z)^-1 = I - Z^T (I + Z Z^T)^-1 Z.

    Parameters
    ----------
    gram : Gram
    columns : slice
    shift, factor : ndarray of shape (d,)
        The scaling; `shift` counts only with `penalized`.
    penalized : bool
        Whether the intercept is penalised: then the mean of Z is no longer free.
    """

    def __init__(
        self, gram: Gram, columns: slice, shift: np.ndarray, factor: np.ndarray, penalized: bool = False
    ) -> None:
        self.gram, self.columns, self.factor = gram, columns, factor
        self.mean = (gram.mean[columns] - shift) * factor if penalized else None
        self.n, self.d = gram.n, len(factor)
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._Z: np.ndarray | None = None
        if self.n < self.d:
            self._Z = (np.asarray(gram.X[:, columns], dtype=np.float64) - gram.mean[columns]) * factor

    def trace(self) -> float:
        """Sum of the squares of Z, about its mean."""
        if self._Z is not None:
            return float(np.sum(self._Z**2))
        block = self.gram.block(self.columns, self.gram.X.dtype)
        return float(np.einsum("ii->i", block).astype(np.float64) @ self.factor**2)

    def solve(self, V: np.ndarray, level: int) -> np.ndarray:
        """Rows of `V` (r, d) times the inverse."""
        if level not in self._cache:
            self._cache[level] = self._factor(2.0**level)
            if len(self._cache) * self._cache[level].nbytes > _CACHE_BYTES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(level)
        factor = self._cache[level]
        if self._Z is None:
            return linalg.cho_solve((factor, True), V.T.astype(factor.dtype), check_finite=False).T.astype(np.float64)
        Z = self._rows(2.0**level)
        return V - linalg.cho_solve((factor, True), Z @ V.T, check_finite=False).T @ Z

    def _rows(self, rho: float) -> np.ndarray:
        """Rows Z such that the matrix is I + Z^T Z."""
        Z = np.sqrt(rho) * self._Z
        return Z if self.mean is None else np.vstack([Z, self.mean])

    def _factor(self, rho: float) -> np.ndarray:
        if self._Z is not None:
            Z = self._rows(rho)
            return factorise(Z @ Z.T)
        # The part of float32 rounding must stay below the identity that it is added to.
        small = np.float32 if 4.0 * np.finfo(np.float32).eps * rho * self.trace() < 1.0 else np.float64
        block = self.gram.block(self.columns, np.promote_types(small, self.gram.X.dtype))
        scale = (np.sqrt(rho) * self.factor).astype(block.dtype)
        A = np.multiply(block, scale, order="F")
        A *= scale[:, None]
        if self.mean is not None:
            A += np.outer(self.mean, self.mean).astype(A.dtype)
        return factorise(A)


class Hessian:
    """Solves with I + sum_i weight_i z_i z_i^T + r r^T over the k rows of one learner whose losses curve.

    Parameters
    ----------
    X : ndarray or MappedMatrix, shape (k, d)
    centre, factor : ndarray of shape (d,)
        z = (x - centre) * factor.
    rest : ndarray of shape (d,)
        r = rest * factor.
    weight : ndarray of shape (k,)
    dtype : dtype
        Of the factor; float64 in any case where k is less than d and rounding in float32 would count.
    """

    def __init__(
        self,
        X: np.ndarray | MappedMatrix,
        centre: np.ndarray,
        rest: np.ndarray,
        factor: np.ndarray,
        weight: np.ndarray,
        dtype: Any,
    ) -> None:
        self.Z: np.ndarray | None = None
        k, d = X.shape
        if k < d:
            X = read_rows(X, slice(None))
            self.Z = self._rows(X, centre, rest, factor, weight, np.dtype(dtype))
            # v - Z^T (...) Z v loses what v has along the rows of Z, by the size of their squares.
            if 16.0 * np.finfo(dtype).eps * float(np.vdot(self.Z, self.Z)) > 1.0 and self.Z.dtype != np.float64:
                self.Z = self._rows(X, centre, rest, factor, weight, np.dtype(np.float64))
            self.factor = factorise(self.Z @ self.Z.T)
        else:
            A = weighted_gram(X, centre, weight, dtype=dtype)
            A += np.outer(rest, rest).astype(dtype)
            A *= factor.astype(dtype)
            A *= factor.astype(dtype)[:, None]
            self.factor = factorise(A)

    @staticmethod
    def _rows(
        X: np.ndarray, centre: np.ndarray, rest: np.ndarray, factor: np.ndarray, weight: np.ndarray, dtype: np.dtype
    ) -> np.ndarray:
        """Rows Z (k + 1, d) such that the Hessian is I + Z^T Z."""
        Z = np.empty((len(X) + 1, X.shape[1]), dtype=dtype)
        np.subtract(X, centre.astype(dtype), out=Z[:-1])
        Z[:-1] *= np.sqrt(weight, dtype=np.float64).astype(dtype)[:, None]
        Z[-1] = rest
        Z *= factor.astype(dtype)
        return Z

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        return self.factor.nbytes + (0 if self.Z is None else self.Z.nbytes)

    @staticmethod
    def size(k: int, d: int, itemsize: int) -> int:
        """Bytes that one of k rows will hold."""
        return 8 * (k + 1) * (k + 1 + d) if k < d else itemsize * d * d

    @staticmethod
    def price(k: int, d: int) -> float:
        """Multiplications that making one takes."""
        few, many = min(k, d), max(k, d)
        return float(few) * few * (many + few / 3)

    def solve(self, v: np.ndarray) -> np.ndarray:
        """Vector (d,) times the inverse."""
        if self.Z is None:
            return linalg.cho_solve((self.factor, True), v.astype(self.factor.dtype), check_finite=False)
        u = v.astype(self.Z.dtype)
        return v - linalg.cho_solve((self.factor, True), self.Z @ u, check_finite=False) @ self.Z
