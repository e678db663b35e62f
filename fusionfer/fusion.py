"""Put the features of several backbones side by side: aligned by sample id, named, with equal weight."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fusionfer.exceptions import DataError, NonFiniteFeaturesError, unknown_name
from fusionfer.matrices import is_mapped, moments

__all__ = [
    "SCALINGS",
    "BlockScaler",
    "align",
    "check_blocks",
    "column_names",
    "fingerprint_count",
    "fingerprints",
    "is_among",
    "split_block",
]

SCALINGS = ("equal", "standard")

_HEX = 16  # digits of a fingerprint: 8 bytes, of which two agree by chance once in 10^10 data sets of 50,000 rows


def align(ids_by_block: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Find the samples that all blocks have, by id and never by position.

    Parameters
    ----------
    ids_by_block : mapping of str to array-like of str
        The sample ids of each block, each id once.

    Returns
    -------
    ids : ndarray of str, shape (n,)
        The ids that every block has, in the order of the first block. A block has
        ``len(ids_by_block[name]) - n`` samples that are not among them.
    indices : dict of str to ndarray of int, shape (n,)
        Where `ids` stand in each block: ``ids_by_block[name][indices[name]]`` equals `ids`.

    Raises
    ------
    DataError
        If there is no block, an id occurs twice in a block, or no id is common to all.

    Examples
    --------
    >>> ids, indices = align({"a": ["s1", "s2", "s3"], "b": ["s3", "s1"]})
    >>> ids.tolist(), indices["a"].tolist(), indices["b"].tolist()
    (['s1', 's3'], [0, 2], [1, 0])
    """
    if not ids_by_block:
        msg = "There is no block to align: give the sample ids of at least one."
        raise DataError(msg)
    arrays = {name: np.asarray(ids, dtype=np.str_) for name, ids in ids_by_block.items()}
    first = next(iter(arrays.values()))
    if all(np.array_equal(first, ids) for ids in arrays.values()):  # the usual case, 30 times faster
        _positions(next(iter(arrays)), first)
        return first.copy(), {name: np.arange(len(first)) for name in arrays}
    positions = {name: _positions(name, ids) for name, ids in arrays.items()}
    common = first.tolist()
    for known in positions.values():
        common = [i for i in common if i in known]
    if not common:
        counts = ", ".join(f"{name} ({len(ids)} samples, such as {_example(ids)})" for name, ids in arrays.items())
        msg = f"No sample id is common to all blocks: {counts}. They are of different data sets, or empty."
        raise DataError(msg)
    indices = {
        name: np.fromiter((known[i] for i in common), dtype=np.intp, count=len(common))
        for name, known in positions.items()
    }
    return np.array(common, dtype=np.str_), indices


def _example(ids: np.ndarray) -> str:
    return repr(str(ids[0])) if len(ids) else "none"


def _positions(name: str, ids: np.ndarray) -> dict[str, int]:
    """Position of each id of one block; an id that occurs twice is an error."""
    known = dict(zip(ids.tolist(), range(len(ids)), strict=True))
    if len(known) < len(ids):
        unique, counts = np.unique(ids, return_counts=True)
        twice = [repr(str(i)) for i in unique[counts > 1]]
        msg = (
            f"Block {name!r}: {len(twice)} sample ids occur more than once (first: {', '.join(twice[:3])}). "
            "Each sample needs an id of its own."
        )
        raise DataError(msg)
    return known


def fingerprints(values: Iterable[str]) -> str:
    """Return what it takes to recognise values later, without the values.

    Parameters
    ----------
    values : iterable of str
        Ids, groups, or hashes of files.

    Returns
    -------
    str
        The first 16 hexadecimal digits of the SHA-256 of each, sorted, each once, without anything between them.

    Examples
    --------
    >>> known = fingerprints(["a", "b", "a"])
    >>> fingerprint_count(known), is_among(["b", "c"], known).tolist()
    (2, [True, False])
    """
    return "".join(sorted({_fingerprint(value) for value in values}))


def fingerprint_count(known: str) -> int:
    """Return of how many values `fingerprints` were taken."""
    return len(known) // _HEX


def is_among(values: Iterable[str], known: str) -> np.ndarray:
    """Find the values that `fingerprints` were taken of.

    Parameters
    ----------
    values : iterable of str, length n
        What may be known.
    known : str
        What `fingerprints` returned.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    marks = {known[start : start + _HEX] for start in range(0, len(known), _HEX)}
    return np.array([_fingerprint(value) in marks for value in values], dtype=bool)


def _fingerprint(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]


def check_blocks(blocks: Mapping[str, slice] | None, n_columns: int) -> dict[str, slice]:
    """Return `blocks` with plain bounds, after making sure that they tile the columns.

    Parameters
    ----------
    blocks : mapping of str to slice, or None
        Columns of each block; None means one block, "all".
    n_columns : int
        Number of columns that there are.

    Returns
    -------
    dict of str to slice
        In the given order, each with start, stop and no step.

    Raises
    ------
    DataError
        If a block is empty or no plain slice, or the blocks overlap, leave a gap, or end elsewhere than the columns;
        all complaints at once.

    Examples
    --------
    >>> check_blocks({"a": slice(0, 2), "b": slice(2, None)}, 5)
    {'a': slice(0, 2, None), 'b': slice(2, 5, None)}
    """
    if blocks is None:
        return {"all": slice(0, n_columns)}
    complaints = []
    plain = {}
    for name, columns in blocks.items():
        if not isinstance(columns, slice) or columns.step not in (None, 1):
            complaints.append(f"block {name!r} must be a slice without step, got {columns!r}")
            continue
        start, stop = columns.start or 0, n_columns if columns.stop is None else columns.stop
        if not 0 <= start < stop <= n_columns:
            complaints.append(f"block {name!r} has columns {start} to {stop} of {n_columns}")
        plain[str(name)] = slice(start, stop)
    if not complaints:
        end, last = 0, None
        for name, columns in sorted(plain.items(), key=lambda item: item[1].start):
            if columns.start < end:
                complaints.append(f"blocks {last!r} and {name!r} overlap in columns {columns.start} to {end}")
            elif columns.start > end:
                complaints.append(f"columns {end} to {columns.start} belong to no block")
            end, last = max(end, columns.stop), name
        if end < n_columns:
            complaints.append(f"columns {end} to {n_columns} belong to no block")
    if complaints:
        msg = f"The blocks must tile the {n_columns} columns without gap or overlap: {'; '.join(complaints)}."
        raise DataError(msg)
    return plain


def column_names(blocks: Mapping[str, slice]) -> np.ndarray:
    """Name every column after its block.

    Parameters
    ----------
    blocks : mapping of str to slice
        Columns of each block; they must tile the columns.

    Returns
    -------
    ndarray of str objects, shape (d,)
        ``resnet50.penultimate_0017`` is column 17 of block ``resnet50:penultimate``. Numbers have four digits, or as
        many as the widest block needs, so that names sort as the columns stand.

    Examples
    --------
    >>> column_names({"resnet34:penultimate": slice(0, 2), "b": slice(2, 3)}).tolist()
    ['resnet34.penultimate_0000', 'resnet34.penultimate_0001', 'b_0000']
    """
    n_columns = max((columns.stop for columns in blocks.values()), default=0)
    plain = check_blocks(blocks, n_columns)
    digits = max([4, *(len(str(columns.stop - columns.start - 1)) for columns in plain.values())])
    names = np.empty(n_columns, dtype=object)
    for name, columns in plain.items():
        stem = ".".join(part for part in split_block(name) if part)
        names[columns] = [f"{stem}_{i:0{digits}d}" for i in range(columns.stop - columns.start)]
    return names


def split_block(block: str) -> tuple[str, str]:
    """Return backbone and level of a block's name; levels may hold colons, of the backbones only those of timm do.

    Examples
    --------
    >>> split_block("resnet34:fc:in"), split_block("timm:resnet18:multi"), split_block("mine")
    (('resnet34', 'fc:in'), ('timm:resnet18', 'multi'), ('mine', ''))
    """
    prefix = "timm:" if block.startswith("timm:") else ""
    backbone, _, level = block.removeprefix(prefix).partition(":")
    return prefix + backbone, level


class BlockScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Standardise every column, and give each block the same weight whatever its width.

    With mode "equal" a standardised block is divided by the square root of its number of columns (those that vary), so
    that the squared norm of its part of a row is 1 on average over the training rows. Without this, 2,048 columns of
    one backbone outvote 512 of another in every distance and every penalty.

    Parameters
    ----------
    blocks : dict of str to slice, optional
        Columns of each block; they must tile the columns. By default all columns are one block.
    mode : {"equal", "standard"}
        "standard" leaves out the division.

    Attributes
    ----------
    mean_ : ndarray of float64, shape (d,)
        Mean of each column, weighted where weights were given.
    factor_ : ndarray of float64, shape (d,)
        What a column is multiplied with after its mean is taken off; 0 for a column that is constant in training.
    blocks_ : dict of str to slice
        The blocks, with plain bounds.
    n_features_in_ : int
        Number of columns.

    Notes
    -----
    float32 stays float32; no float64 copy of X is made, and sums run in float64.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 7.0]])
    >>> BlockScaler({"a": slice(0, 1), "b": slice(1, 3)}).fit_transform(X).round(3)
    array([[-1.   , -0.707, -0.707],
           [ 1.   ,  0.707,  0.707]])
    """

    def __init__(self, blocks: dict[str, slice] | None = None, mode: str = "equal") -> None:
        self.blocks = blocks
        self.mode = mode

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BlockScaler:
        """Learn means and factors.

        Parameters
        ----------
        X : array-like or MappedMatrix, shape (n, d)
            Training rows.
        y : None
            Not used.
        sample_weight : array-like of shape (n,), optional
            Weight of each row, at least 0.

        Returns
        -------
        BlockScaler
            Itself.

        Raises
        ------
        DataError
            If the blocks do not tile the columns, there is no row, the weights sum to 0, or values are so large that
            their variance cannot be computed.
        NonFiniteFeaturesError
            If a mapped X holds NaN or infinity, with the first column that does; of an array scikit-learn says it, with
            a ValueError.
        UnknownNameError
            If `mode` is not known.
        """
        if self.mode not in SCALINGS:
            raise unknown_name("scaling", self.mode, SCALINGS)
        if is_mapped(X):
            self.n_features_in_ = X.shape[1]
        else:
            X = validate_data(self, X, dtype=(np.float64, np.float32))
        n, d = X.shape
        weight = None
        if sample_weight is not None:
            rows = np.empty((n, 1)) if is_mapped(X) else X
            weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        self.blocks_ = check_blocks(self.blocks, d)
        share = _shares(n, weight)
        with np.errstate(over="ignore", invalid="ignore"):  # said below
            mean, variance = X.moments(share) if is_mapped(X) else moments(X, share)
        self.mean_: np.ndarray = mean
        if not np.all(np.isfinite(variance)):
            column = int(np.flatnonzero(~np.isfinite(variance))[0])
            if not is_mapped(X) and np.all(np.isfinite(X[:, column])):  # squares of float32 always fit
                largest = np.max(np.abs(X[:, column]))
                msg = (
                    f"Column {column} of X holds {largest:.3g}: its square is beyond float64. Divide the column before."
                )
                raise DataError(msg)
            msg = f"X must be finite; column {column} holds NaN or infinity."
            raise NonFiniteFeaturesError(msg)
        # What rounding leaves of a constant column; the bound of scikit-learn's StandardScaler.
        eps = np.finfo(np.float64).eps
        varies = variance > n * eps * variance + (n * self.mean_ * eps) ** 2
        self.factor_ = np.divide(1.0, np.sqrt(variance), out=np.zeros(d), where=varies)
        if self.mode == "equal":
            for columns in self.blocks_.values():
                self.factor_[columns] /= max(1, int(np.count_nonzero(varies[columns]))) ** 0.5
        return self

    def transform(self, X: Any) -> Any:
        """Scale rows with what `fit` learned.

        Parameters
        ----------
        X : array-like or MappedMatrix, shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n, d), float32 where X is float32, else float64
            Of a MappedMatrix one that scales what is read of it.
        """
        check_is_fitted(self)
        if is_mapped(X):
            if X.shape[1] != self.n_features_in_:
                msg = f"The scaler was fitted on {self.n_features_in_} columns, not on {X.shape[1]}."
                raise DataError(msg)
            return X.scaled(self.mean_, self.factor_)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        scaled = X - self.mean_.astype(X.dtype)
        scaled *= self.factor_.astype(X.dtype)
        return scaled

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns: after `blocks` where they were given, else as they came in.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names to use instead.

        Returns
        -------
        ndarray of str objects, shape (d,)
        """
        check_is_fitted(self)
        if input_features is None and self.blocks is not None:
            return column_names(self.blocks_)
        return super().get_feature_names_out(input_features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _shares(n: int, weight: np.ndarray | None) -> np.ndarray:
    """What each of n rows counts, (n,), in sum 1."""
    if n == 0:
        msg = "X has no rows: a scaler learns from at least one."
        raise DataError(msg)
    if weight is None:
        return np.full(n, 1.0 / n)
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not 0.0 < total < np.inf:
        msg = f"The sum of sample_weight must be above 0 and finite, got {total} for {n} rows."
        raise DataError(msg)
    return weight / total
