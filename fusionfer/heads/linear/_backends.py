"""The two products with X that all the time goes into, by numpy or by another library that is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from fusionfer.exceptions import unknown_name
from fusionfer.matrices import MappedMatrix, is_mapped

__all__ = ["BACKENDS", "Products", "make_products"]


class Products(Protocol):
    """Products with one X, in its dtype."""

    def forward(self, W: np.ndarray) -> np.ndarray:
        """``W @ X.T``, (R, n)."""

    def backward(self, B: np.ndarray) -> np.ndarray:
        """``B @ X``, (R, d)."""


class _Numpy:
    def __init__(self, X: np.ndarray) -> None:
        self.X = X

    def forward(self, W: np.ndarray) -> np.ndarray:
        return _thin(W, self.X.T)

    def backward(self, B: np.ndarray) -> np.ndarray:
        return _thin(B, self.X)


def _thin(A: np.ndarray, M: np.ndarray) -> np.ndarray:
    """``A @ M`` for few rows of A: one or two as vectors, others in full eights, which BLAS takes 1.5 times as fast."""
    rows = len(A)
    if rows <= 2:
        return np.stack([a @ M for a in A])
    if rows % 8 == 0 or rows > 64:
        return A @ M
    padded = np.zeros((-(-rows // 8) * 8, A.shape[1]), dtype=A.dtype)
    padded[:rows] = A
    return (padded @ M)[:rows]


class _Mapped:
    """Of a matrix that stays in its files: pieces of rows, each while it is in the processor's reach."""

    def __init__(self, X: MappedMatrix) -> None:
        self.X = X

    def forward(self, W: np.ndarray) -> np.ndarray:
        F = np.empty((len(W), len(self.X)), dtype=W.dtype)
        V = np.ascontiguousarray(W.T)  # in this order BLAS is quicker, and its threads do not wait for each other
        for rows, parts in self.X.walk():
            end = 0
            for part, places in parts:
                start, end = end, end + part.shape[1]
                product = (part @ V[start:end]).T
                if places is not None:
                    product = product[:, places]
                if start:
                    F[:, rows] += product
                else:
                    F[:, rows] = product
        return F

    def backward(self, B: np.ndarray) -> np.ndarray:
        return self.X.combine(B)


class _Torch:
    """On the GPU where there is one: X is copied to it once, and only the thin factors travel."""

    def __init__(self, X: np.ndarray) -> None:
        import torch

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if not X.flags.writeable and self.device.type == "cpu":
            X = np.array(X)  # torch shares memory on the CPU, and warns where it might be written
        self.torch: Any = torch
        self.X = torch.as_tensor(X if X.flags.writeable else np.array(X), device=self.device)

    def _there(self, A: np.ndarray) -> Any:
        return self.torch.as_tensor(np.ascontiguousarray(A), device=self.device)

    def forward(self, W: np.ndarray) -> np.ndarray:
        return (self._there(W) @ self.X.T).cpu().numpy()

    def backward(self, B: np.ndarray) -> np.ndarray:
        return (self._there(B) @ self.X).cpu().numpy()


BACKENDS: dict[str, Callable[[np.ndarray], Products]] = {"numpy": _Numpy, "torch": _Torch}


def make_products(backend: str, X: Any) -> Products:
    """Return the products with `X` by the backend of that name; torch is imported only here.

    A matrix that stays in its files is multiplied by numpy, which needs no copy of it.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if is_mapped(X):
        return _Mapped(X)
    return BACKENDS[backend](X)
