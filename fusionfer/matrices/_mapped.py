"""Matrices that stay in their files: rows and columns of memory maps, side by side, scaled on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from fusionfer.exceptions import DataError, NonFiniteFeaturesError

__all__ = ["PIECE_BYTES", "MappedMatrix", "in_pieces", "is_mapped", "read_rows", "row_pieces", "take_rows"]

#: Rows are read in pieces of about so many bytes.
PIECE_BYTES = 1 << 25

_Rows = slice | np.ndarray


class MappedMatrix:
    """Several arrays side by side as one read-only matrix that is never in memory as a whole.

    Each array is usually the memory map of a cache file. Rows and columns are chosen, and columns scaled, without
    touching the data; what is asked for in numbers is read piece by piece. ``numpy.asarray(matrix)`` reads all of it.

    Parameters
    ----------
    parts : sequence of ndarray of float32, shapes (n_k, d_k)
        What stands side by side.
    index : sequence of slice or ndarray of int, optional
        For each part, which of its rows stand in the rows of the matrix; by default all of them in their order.
    shift, factor : ndarray of float64, shape (d,), optional
        What is read is ``(part - shift) * factor``, in float32.

    Attributes
    ----------
    shape : tuple of int
        (n, d).

    Raises
    ------
    DataError
        If the parts differ in the number of rows, or are not float32 matrices.

    Examples
    --------
    >>> left, right = np.eye(3, dtype=np.float32), np.ones((3, 2), dtype=np.float32)
    >>> matrix = MappedMatrix([left, right])
    >>> matrix.shape, matrix[np.array([2, 0])].tolist()
    ((3, 5), [[0.0, 0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0, 1.0]])
    >>> matrix.rows([2, 0])[:, 2:4] @ np.ones((2, 1), dtype=np.float32)
    array([[2.],
           [1.]], dtype=float32)
    """

    ndim = 2
    dtype = np.dtype(np.float32)
    # Of numpy's operators none may take the matrix for an object: `array @ matrix` must fail, not be slow.
    __array_ufunc__ = None

    def __init__(
        self,
        parts: Sequence[np.ndarray],
        index: Sequence[_Rows] | None = None,
        shift: np.ndarray | None = None,
        factor: np.ndarray | None = None,
    ) -> None:
        self.parts = tuple(np.asarray(part) for part in parts)
        strange = [f"{part.dtype} {part.shape}" for part in self.parts if part.dtype != np.float32 or part.ndim != 2]
        if strange or not self.parts:
            msg = f"The parts must be float32 matrices, got {', '.join(strange) or 'none'}."
            raise DataError(msg)
        given = [slice(0, len(part)) for part in self.parts] if index is None else index
        self.index = tuple(_plain_rows(rows, len(part)) for rows, part in zip(given, self.parts, strict=True))
        counts = [_count(rows) for rows in self.index]
        if len(set(counts)) > 1:
            msg = f"The parts must have the same number of rows, got {', '.join(map(str, counts))}."
            raise DataError(msg)
        self._set(self.parts, self.index, shift, factor)

    def _set(
        self, parts: Sequence[np.ndarray], index: Sequence[_Rows], shift: np.ndarray | None, factor: np.ndarray | None
    ) -> None:
        self.parts, self.index, self.shift, self.factor = tuple(parts), tuple(index), shift, factor
        self.widths = tuple(part.shape[1] for part in self.parts)
        self.shape = (_count(self.index[0]), sum(self.widths))

    def _with(
        self, parts: Sequence[np.ndarray], index: Sequence[_Rows], shift: np.ndarray | None, factor: np.ndarray | None
    ) -> Self:
        """Return the same with these in the place of its own, which are known to fit: all views are made here."""
        made = object.__new__(type(self))
        made._set(parts, index, shift, factor)
        return made

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that it would take in memory."""
        return 4 * self.shape[0] * self.shape[1]

    @property
    def is_plain(self) -> bool:
        """Whether rows are read as they lie in the files: contiguous, and not scaled."""
        return self.shift is None and all(isinstance(rows, slice) for rows in self.index)

    def array(self) -> np.ndarray | None:
        """The matrix as a view of its only part, where it has one alone and `is_plain`; else None."""
        if len(self.parts) > 1 or not self.is_plain:
            return None
        return self.parts[0][self.index[0]]

    def rows(self, which: Any) -> Self:
        """Choose rows without reading them.

        Parameters
        ----------
        which : slice, array-like of int, or array-like of bool of shape (n,)

        Returns
        -------
        MappedMatrix
        """
        chosen = _plain_rows(which, self.shape[0])
        made: dict[int, _Rows] = {}  # parts whose rows are alike go on sharing one index

        def compose(rows: _Rows) -> _Rows:
            if id(rows) not in made:
                made[id(rows)] = _compose(rows, chosen)
            return made[id(rows)]

        return self._with(self.parts, [compose(rows) for rows in self.index], self.shift, self.factor)

    def columns(self, which: slice) -> Self:
        """Choose columns, by a slice without step, without reading them."""
        start, stop, step = which.indices(self.shape[1])
        if step != 1 or start >= stop:
            msg = f"Columns must be a slice without step, with at least one of the {self.shape[1]}; got {which}."
            raise DataError(msg)
        parts, index, end = [], [], 0
        for part, rows, width in zip(self.parts, self.index, self.widths, strict=True):
            begin, end = end, end + width
            if start < end and begin < stop:
                parts.append(part[:, max(start - begin, 0) : min(stop, end) - begin])
                index.append(rows)
        scaling = (None if one is None else one[start:stop] for one in (self.shift, self.factor))
        return self._with(parts, index, *scaling)

    def beside(self, *others: MappedMatrix) -> Self:
        """Return this matrix and others, of the same rows, side by side.

        Raises
        ------
        DataError
            If they have other numbers of rows.
        """
        every: tuple[MappedMatrix, ...] = (self, *others)
        if len({len(one) for one in every}) > 1:
            msg = f"Matrices side by side must have the same rows, got {', '.join(str(len(one)) for one in every)}."
            raise DataError(msg)
        shift = factor = None
        if any(one.shift is not None for one in every):
            shift = np.concatenate([np.zeros(one.shape[1]) if one.shift is None else one.shift for one in every])
            factor = np.concatenate([np.ones(one.shape[1]) if one.factor is None else one.factor for one in every])
        parts, index = [part for one in every for part in one.parts], [rows for one in every for rows in one.index]
        return self._with(parts, index, shift, factor)

    def scaled(self, shift: np.ndarray, factor: np.ndarray) -> Self:
        """Return ``(self - shift) * factor``, with `shift` and `factor` of shape (d,), without reading anything."""
        shift, factor = np.asarray(shift, dtype=np.float64), np.asarray(factor, dtype=np.float64)
        if self.shift is not None and self.factor is not None:
            if np.any((self.factor == 0) & (shift != 0) & (factor != 0)):
                msg = "A column that was scaled to 0 cannot be moved again; scale the features once."
                raise DataError(msg)
            # (x - s) f, then (. - s') f', is (x - (s + s' / f)) f f'; a column of factor 0 stays constant.
            moved = np.divide(shift, self.factor, out=np.zeros_like(shift), where=self.factor != 0)
            shift, factor = self.shift + moved, self.factor * factor
        return self._with(self.parts, self.index, shift, factor)

    def __getitem__(self, key: Any) -> Any:
        """Index as an array is indexed: slices give matrices that read nothing, all else gives arrays."""
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, slice(None))
        if isinstance(rows, (int, np.integer)):
            return self.read(np.array([rows]))[0][columns]
        if not isinstance(columns, slice):
            return self.read(rows)[:, columns]
        whole = columns == slice(None) or columns.indices(self.shape[1]) == (0, self.shape[1], 1)
        chosen = self if whole else self.columns(columns)
        return chosen.rows(rows) if isinstance(rows, slice) else chosen.read(rows)

    def read(self, which: Any = slice(None), out: np.ndarray | None = None) -> np.ndarray:
        """Read rows into memory.

        Parameters
        ----------
        which : slice, array-like of int, or array-like of bool of shape (n,)
        out : ndarray of float32, optional
            Where to.

        Returns
        -------
        ndarray of float32, shape (rows, d)
        """
        chosen = _plain_rows(which, self.shape[0])
        if out is None:
            out = np.empty((_count(chosen), self.shape[1]), dtype=np.float32)
        end = 0
        for part, rows, width in zip(self.parts, self.index, self.widths, strict=True):
            start, end = end, end + width
            out[:, start:end] = part[_compose(rows, chosen)]
        if self.shift is not None and self.factor is not None:
            out -= self.shift.astype(np.float32)
            out *= self.factor.astype(np.float32)
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read everything."""
        if copy is False:
            msg = "A MappedMatrix is read from files: it cannot become an array without a copy."
            raise ValueError(msg)
        out = np.empty(self.shape, dtype=np.float32)
        for rows in row_pieces(self):
            self.read(rows, out[rows])
        return out if dtype is None else out.astype(dtype, copy=False)

    def __matmul__(self, V: np.ndarray) -> np.ndarray:
        """``self @ V`` for V (d, k), piece by piece: (n, k), in the common dtype."""
        V = np.asarray(V)
        out = np.empty((self.shape[0], *V.shape[1:]), dtype=np.result_type(self.dtype, V.dtype))
        for rows, parts in self.walk():
            end = 0
            for part, places in parts:
                start, end = end, end + part.shape[1]
                product = _at(part @ V[start:end], places)
                if start:
                    out[rows] += product
                else:
                    out[rows] = product
        return out

    def combine(self, B: np.ndarray) -> np.ndarray:
        """``B @ self`` for B (k, n), piece by piece: (k, d) float64; products in the dtype of B, sums in float64."""
        B = np.asarray(B)
        total = np.zeros((len(B), self.shape[1]))
        for rows, parts in self.walk():
            end = 0
            for part, places in parts:
                start, end = end, end + part.shape[1]
                product = _spread(B[:, rows], places, len(part)) @ part
                if places is not None and not np.all(np.isfinite(product)):  # rows that are not ours may hold anything
                    product = B[:, rows] @ part[places]
                total[:, start:end] += product
        return total

    def moments(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted mean and variance of each column, in two passes.

        Parameters
        ----------
        share : ndarray of float64, shape (n,)
            Weight of each row; they sum to 1.

        Returns
        -------
        mean, variance : ndarray of float64, shape (d,)
        """
        mean, variance = np.zeros(self.shape[1]), np.zeros(self.shape[1])
        for rows in row_pieces(self, PIECE_BYTES // 2):  # in float64 twice as large
            mean += share[rows] @ self.read(rows).astype(np.float64)
        for rows in row_pieces(self, PIECE_BYTES // 2):
            variance += share[rows] @ (self.read(rows) - mean) ** 2
        return mean, variance

    def walk(self, most: int = PIECE_BYTES) -> Iterator[tuple[slice, list[tuple[np.ndarray, np.ndarray | None]]]]:
        """Go through the rows once, in pieces of about `most` bytes, copying as little as can be.

        Yields
        ------
        rows : slice
        parts : list of (ndarray of float32, shape (m, d_k), and ndarray of int, shape (rows,), or None)
            Side by side they are the rows: all of them where there is None, else those at these places, in that order.
            Arrays are views of the maps where rows lie together in their order, or nearly: most rows of a data set (a
            split, a fold) are multiplied sooner with the rest than copied without. Else they are read.
        """
        for rows in row_pieces(self, most):
            if self.shift is not None:
                yield rows, [(self.read(rows), None)]
                continue
            parts: list[tuple[np.ndarray, np.ndarray | None]] = []
            for part, own in zip(self.parts, self.index, strict=True):
                which = _compose(own, rows)
                if isinstance(which, slice) or not _is_dense(which):
                    parts.append((part[which], None))
                else:
                    parts.append((part[which[0] : which[-1] + 1], which - which[0]))
            yield rows, parts

    def check_finite(self) -> None:
        """Read all of it once, and refuse NaN and infinity.

        Raises
        ------
        NonFiniteFeaturesError
            With the first row.
        """
        for rows, parts in self.walk():
            for part, places in parts:
                with np.errstate(over="ignore", invalid="ignore"):
                    if np.isfinite(part.sum()) or np.isfinite(part).all():
                        continue
                good = np.isfinite(_at(part, places)).all(axis=1)
                if not good.all():
                    msg = (
                        f"X holds NaN, infinity or numbers beyond float32, first in row {rows.start + np.argmin(good)}."
                    )
                    raise NonFiniteFeaturesError(msg)


def is_mapped(X: Any) -> bool:
    """Whether `X` is a matrix that should not be read as a whole."""
    return isinstance(X, MappedMatrix)


def take_rows(X: Any, which: Any) -> Any:
    """Return rows of an array as an array, and those of a MappedMatrix as such, unread."""
    return X.rows(which) if isinstance(X, MappedMatrix) else X[which]


def read_rows(X: Any, which: Any) -> np.ndarray:
    """Return rows of an array or of a MappedMatrix as an array; of an array a view where it gives one."""
    return X.read(which) if isinstance(X, MappedMatrix) else X[which]


def row_pieces(X: Any, most: int = PIECE_BYTES) -> Iterator[slice]:
    """Slices that go through the rows of X, each of about `most` bytes in float32, and of whole rows."""
    n, d = X.shape
    step = max(1, most // (4 * max(d, 1)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def in_pieces(work: Callable[[np.ndarray], np.ndarray], X: MappedMatrix, most: int = PIECE_BYTES) -> np.ndarray:
    """Call `work` on the rows, piece by piece as arrays, and put together what it returns, one entry a row."""
    return np.concatenate([np.asarray(work(X.read(rows))) for rows in row_pieces(X, most)])


def _plain_rows(which: Any, n: int) -> _Rows:
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
    low, high = int(index.min()), int(index.max())
    if low < -n or high >= n:
        msg = f"Row {high if high >= n else low} is out of range: there are {n}."
        raise IndexError(msg)
    if low < 0:
        index = np.where(index < 0, index + n, index)
    return _straight(index)


def _straight(index: np.ndarray) -> _Rows:
    """Row numbers that follow each other as a slice: such rows need not be copied to be read."""
    if len(index) == 0:
        return slice(0, 0)
    first = int(index[0])
    if int(index[-1]) - first == len(index) - 1 and np.all(index[1:] > index[:-1]):
        return slice(first, first + len(index))
    return index


def _compose(rows: _Rows, chosen: _Rows) -> _Rows:
    """Rows of a part, of which some are chosen, as rows of the part."""
    if isinstance(rows, slice):
        if isinstance(chosen, slice):
            return slice(rows.start + chosen.start, rows.start + chosen.stop)
        return chosen + rows.start if rows.start else chosen
    return _straight(rows[chosen])


def _count(rows: _Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _is_dense(rows: np.ndarray) -> bool:
    """Whether row numbers ascend, and are at least half of those from the first to the last."""
    return bool(rows[-1] - rows[0] < 2 * len(rows) and np.all(rows[1:] > rows[:-1]))


def _at(values: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    return values if places is None else values[places]


def _spread(B: np.ndarray, places: np.ndarray | None, m: int) -> np.ndarray:
    """B (k, rows) with its columns at their places among m, and zeros between."""
    if places is None:
        return B
    wide = np.zeros((len(B), m), dtype=B.dtype)
    wide[:, places] = B
    return wide
