"""Matrices that stay in their files: rows and columns of memory maps, side by side, scaled on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from fusionfer.exceptions import DataError, NonFiniteFeaturesError
from fusionfer.matrices._rows import Rows, at, compose, count, is_dense, plain_rows, spread

__all__ = [
    "PIECE_BYTES",
    "MappedMatrix",
    "in_pieces",
    "is_mapped",
    "is_read_here",
    "moments",
    "read_rows",
    "row_pieces",
    "take_rows",
]

#: Rows are read in pieces of about so many bytes.
PIECE_BYTES = 1 << 25


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
    shift, factor : array-like of float, shape (d,), optional
        What is read is ``(part - shift) * factor``, in float32; one that is missing changes nothing.

    Attributes
    ----------
    shape : tuple of int
        (n, d).

    Raises
    ------
    DataError
        If the parts differ in the number of rows, or are not float32 matrices, or `index`, `shift` or `factor` do not
        fit them.

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
        index: Sequence[Rows] | None = None,
        shift: np.ndarray | None = None,
        factor: np.ndarray | None = None,
    ) -> None:
        self.parts = tuple(np.asarray(part) for part in parts)
        strange = [f"{part.dtype} {part.shape}" for part in self.parts if part.dtype != np.float32 or part.ndim != 2]
        if strange or not self.parts:
            msg = f"The parts must be float32 matrices, got {', '.join(strange) or 'none'}."
            raise DataError(msg)
        given = [slice(0, len(part)) for part in self.parts] if index is None else index
        if len(given) != len(self.parts):
            msg = f"The index must say of each of {len(self.parts)} parts which rows, got {len(given)} entries."
            raise DataError(msg)
        self.index = tuple(plain_rows(rows, len(part)) for rows, part in zip(given, self.parts, strict=True))
        counts = [count(rows) for rows in self.index]
        if len(set(counts)) > 1:
            msg = f"The parts must have the same number of rows, got {', '.join(map(str, counts))}."
            raise DataError(msg)
        if shift is not None or factor is not None:
            shift, factor = _scaling(shift, factor, sum(part.shape[1] for part in self.parts))
        self._set(self.parts, self.index, shift, factor)

    def _set(
        self, parts: Sequence[np.ndarray], index: Sequence[Rows], shift: np.ndarray | None, factor: np.ndarray | None
    ) -> None:
        self.parts, self.index, self.shift, self.factor = tuple(parts), tuple(index), shift, factor
        self.widths = tuple(part.shape[1] for part in self.parts)
        self.shape = (count(self.index[0]), sum(self.widths))

    def _with(
        self, parts: Sequence[np.ndarray], index: Sequence[Rows], shift: np.ndarray | None, factor: np.ndarray | None
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

    def rows(self, which: Any) -> Self:
        """Choose rows without reading them.

        Parameters
        ----------
        which : slice, array-like of int, or array-like of bool of shape (n,)

        Returns
        -------
        MappedMatrix
        """
        chosen = plain_rows(which, self.shape[0])
        made: dict[int, Rows] = {}  # parts whose rows are alike go on sharing one index

        for rows in self.index:
            if id(rows) not in made:
                made[id(rows)] = compose(rows, chosen)
        return self._with(self.parts, [made[id(rows)] for rows in self.index], self.shift, self.factor)

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
        """Return ``(self - shift) * factor``, with `shift` and `factor` of shape (d,), without reading anything.

        Raises
        ------
        DataError
            If they have other shapes, or a column that was scaled to 0 would be moved.
        """
        shift, factor = _scaling(shift, factor, self.shape[1])
        if self.shift is not None and self.factor is not None:
            if np.any((self.factor == 0) & (shift != 0) & (factor != 0)):
                msg = "A column that was scaled to 0 cannot be moved again; scale the features once."
                raise DataError(msg)
            # (x - s) f, then (. - s') f', is (x - (s + s' / f)) f f'; a column of factor 0 stays constant.
            moved = np.divide(shift, self.factor, out=np.zeros_like(shift), where=self.factor != 0)
            shift, factor = self.shift + moved, self.factor * factor
        return self._with(self.parts, self.index, shift, factor)

    def __getitem__(self, key: Any) -> Any:
        """Index as an array is indexed.

        Slices give a matrix that reads nothing, where that of columns has no step and is not empty. All else gives an
        array, and reads only the parts that the columns stand in: ``matrix[:, 3]``, ``matrix[:, ::2]``,
        ``matrix[rows, [1, 6]]`` is an error, as numpy would pair these numbers.

        Raises
        ------
        DataError
            If rows and columns are both chosen by arrays, or an index has more axes than there are.
        IndexError
            If a row or column is not there.
        """
        rows, columns = _two_axes(key)
        n_columns = self.shape[1]
        if isinstance(columns, slice):
            start, stop, step = columns.indices(n_columns)
            if step == 1 and start < stop:
                chosen = self if stop - start == n_columns else self.columns(columns)
                if isinstance(rows, slice):
                    return chosen.rows(rows)
                return chosen.read([rows])[0] if isinstance(rows, (int, np.integer)) else chosen.read(rows)
        # Lists, masks, negative numbers and steps mean here what they mean of an array.
        numbers = np.arange(n_columns)[columns]
        if isinstance(rows, (int, np.integer)):
            return self.read([rows])[0][numbers]
        if numbers.ndim > 1 or not (isinstance(rows, slice) or isinstance(columns, (slice, int, np.integer))):
            msg = (
                "Rows and columns cannot both be chosen by arrays: numpy would pair their numbers. For all of these "
                "columns in all of these rows write matrix.rows(rows)[:, columns]."
            )
            raise DataError(msg)
        read = self.rows(rows)._columns_read(numbers.ravel())
        return read.reshape(len(read), *numbers.shape)

    def _columns_read(self, numbers: np.ndarray) -> np.ndarray:
        """Read some columns, in any order, piece by piece: of each part the span in which they stand."""
        out = np.empty((self.shape[0], len(numbers)), dtype=np.float32)
        end = 0
        for width in self.widths:
            start, end = end, end + width
            mine = np.flatnonzero((start <= numbers) & (numbers < end))
            if len(mine):
                low = int(numbers[mine].min())
                span = self.columns(slice(low, int(numbers[mine].max()) + 1))
                for rows in row_pieces(span, PIECE_BYTES):
                    out[rows, mine] = span.read(rows)[:, numbers[mine] - low]
        return out

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
        chosen = plain_rows(which, self.shape[0])
        if out is None:
            out = np.empty((count(chosen), self.shape[1]), dtype=np.float32)
        end = 0
        for part, rows, width in zip(self.parts, self.index, self.widths, strict=True):
            start, end = end, end + width
            out[:, start:end] = part[compose(rows, chosen)]
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
        """``self @ V`` for V (d,) or (d, k), piece by piece: (n,) or (n, k), in the common dtype.

        Raises
        ------
        DataError
            If V has another number of rows.
        """
        V = self._right(V)
        out = np.empty((self.shape[0], *V.shape[1:]), dtype=np.result_type(self.dtype, V.dtype))
        for rows, parts in self.walk():
            end = 0
            for part, places in parts:
                start, end = end, end + part.shape[1]
                product = at(part @ V[start:end], places)
                if start:
                    out[rows] += product
                else:
                    out[rows] = product
        return out

    def combine(self, B: np.ndarray) -> np.ndarray:
        """``B @ self`` for B (k, n), piece by piece: (k, d) float64; products in the dtype of B, sums in float64.

        Raises
        ------
        DataError
            If B has another number of columns.
        """
        B = self._left(B)
        total = np.zeros((len(B), self.shape[1]))
        for rows, parts in self.walk():
            end = 0
            for part, places in parts:
                start, end = end, end + part.shape[1]
                product = spread(B[:, rows], places, len(part)) @ part
                if places is not None and not np.all(np.isfinite(product)):  # rows that are not ours may hold anything
                    product = B[:, rows] @ part[places]
                total[:, start:end] += product
        return total

    def _right(self, V: Any) -> np.ndarray:
        """What can stand to the right of `@`, as an array; too long, it would be cut to what fits."""
        V = np.asarray(V)
        if V.ndim not in {1, 2} or len(V) != self.shape[1]:
            msg = f"A matrix of shape {self.shape} is multiplied with {self.shape[1]} rows, got shape {V.shape}."
            raise DataError(msg)
        return V

    def _left(self, B: Any) -> np.ndarray:
        """What rows can be combined by, as an array."""
        B = np.asarray(B)
        if B.ndim != 2 or B.shape[1] != self.shape[0]:
            msg = f"Rows of a matrix of shape {self.shape} are combined by (k, {self.shape[0]}), got shape {B.shape}."
            raise DataError(msg)
        return B

    def moments(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted mean and variance of each column, in two passes.

        Parameters
        ----------
        share : ndarray of float64, shape (n,)
            Weight of each row; they sum to 1.

        Returns
        -------
        mean, variance : ndarray of float64, shape (d,)

        Raises
        ------
        DataError
            If there are more or fewer weights than rows.
        """
        return moments(self, share)

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
                which = compose(own, rows)
                if isinstance(which, slice) or not is_dense(which):
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
            bad = []  # the first row of each part
            for part, places in parts:
                with np.errstate(over="ignore", invalid="ignore"):
                    if np.isfinite(part.sum()) or np.isfinite(part).all():
                        continue
                good = np.isfinite(at(part, places)).all(axis=1)
                if not good.all():
                    bad.append(rows.start + int(np.argmin(good)))
            if bad:
                msg = f"X holds NaN, infinity or numbers beyond float32, first in row {min(bad)}."
                raise NonFiniteFeaturesError(msg)


def is_mapped(X: Any) -> bool:
    """Whether `X` is a matrix that should not be read as a whole."""
    return isinstance(X, MappedMatrix)


def is_read_here(X: Any) -> bool:
    """Whether `X` stays in its files, and this process reads it, in pieces: no matrix that computes elsewhere."""
    return is_mapped(X) and not hasattr(X, "solver")


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
    """Call `work` on the rows, piece by piece as arrays, and put together what it returns, one entry a row.

    Of no rows it is asked once, so that it says what it says of an empty array.
    """
    pieces = list(row_pieces(X, most)) or [slice(0, 0)]
    return np.concatenate([np.asarray(work(X.read(rows))) for rows in pieces])


def moments(X: Any, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance of each column, in two passes and in float64, piece by piece.

    Parameters
    ----------
    X : ndarray of float32 or float64, or MappedMatrix, shape (n, d)
    share : ndarray of float64, shape (n,)
        Weight of each row; they sum to 1.

    Returns
    -------
    mean, variance : ndarray of float64, shape (d,)

    Raises
    ------
    DataError
        If there are more or fewer weights than rows.

    Examples
    --------
    >>> mean, variance = moments(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([0.5, 0.5]))
    >>> mean.tolist(), variance.tolist()
    ([1.0, 1.0], [1.0, 0.0])
    """
    share = np.asarray(share, dtype=np.float64)
    if share.shape != (X.shape[0],):
        msg = f"The moments of {X.shape[0]} rows need as many weights, got shape {share.shape}."
        raise DataError(msg)
    mean, variance = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows in row_pieces(X, PIECE_BYTES // 2):  # in float64 twice as large
        mean += share[rows] @ read_rows(X, rows).astype(np.float64)
    for rows in row_pieces(X, PIECE_BYTES // 2):
        variance += share[rows] @ (read_rows(X, rows) - mean) ** 2
    return mean, variance


def _scaling(shift: Any, factor: Any, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Shift and factor of each column in float64; one that is None changes nothing."""
    given = {"shift": np.zeros(n_columns) if shift is None else shift}
    given["factor"] = np.ones(n_columns) if factor is None else factor
    made = {name: np.asarray(values, dtype=np.float64) for name, values in given.items()}
    for name, values in made.items():
        if values.shape != (n_columns,):
            msg = f"The {name} of {n_columns} columns must have shape ({n_columns},), got {values.shape}."
            raise DataError(msg)
    return made["shift"], made["factor"]


def _two_axes(key: Any) -> tuple[Any, Any]:
    """What an index says of rows, and what of columns."""
    if not isinstance(key, tuple):
        return key, slice(None)
    if len(key) > 2:
        msg = f"A matrix has two axes, rows and columns; got an index of {len(key)}."
        raise DataError(msg)
    return (*key, slice(None), slice(None))[:2]
