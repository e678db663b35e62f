"""Measures of many confusion matrices at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fusionfer.exceptions import DataError, unknown_name

__all__ = ["TABLE_MEASURES", "measure_tables"]


def measure_tables(tables: np.ndarray, measure: str) -> np.ndarray:
    """Return one figure of every confusion matrix.

    The figures are those of the scorers of scikit-learn of the same name: what is undefined for a class counts as 0,
    and classes that are neither there nor predicted take no part.

    Parameters
    ----------
    tables : ndarray of shape (..., K, K)
        Counts or weights; rows are true classes, columns what they were predicted as.
    measure : str
        A name of `TABLE_MEASURES`.

    Returns
    -------
    ndarray of float64, shape (...)

    Raises
    ------
    DataError
        If the tables are not square.
    UnknownNameError
        If the measure is not known.

    Examples
    --------
    >>> measure_tables(np.array([[[8, 2], [1, 9]], [[5, 5], [5, 5]]]), "accuracy").tolist()
    [0.85, 0.5]
    """
    if measure not in TABLE_MEASURES:
        raise unknown_name("measure", measure, TABLE_MEASURES)
    tables = np.asarray(tables, dtype=np.float64)
    if tables.ndim < 2 or tables.shape[-1] != tables.shape[-2]:
        msg = f"Confusion matrices are square, shape (..., K, K), got {tables.shape}."
        raise DataError(msg)
    return TABLE_MEASURES[measure](tables)


def _parts(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, true rows and predicted rows of each class, (..., K)."""
    return np.diagonal(tables, axis1=-2, axis2=-1), tables.sum(axis=-1), tables.sum(axis=-2)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Division in which nothing by nothing is 0."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below > 0)


def _accuracy(tables: np.ndarray) -> np.ndarray:
    hits, true, _ = _parts(tables)
    return _ratio(hits.sum(axis=-1), true.sum(axis=-1))


def _balanced(tables: np.ndarray) -> np.ndarray:
    hits, true, _ = _parts(tables)
    return _ratio(_ratio(hits, true).sum(axis=-1), (true > 0).sum(axis=-1))


def _matthews(tables: np.ndarray) -> np.ndarray:
    """Gorodkin's form for any number of classes."""
    hits, true, predicted = _parts(tables)
    n = true.sum(axis=-1)
    shared = hits.sum(axis=-1) * n - (true * predicted).sum(axis=-1)
    spread = (n**2 - (true**2).sum(axis=-1)) * (n**2 - (predicted**2).sum(axis=-1))
    return _ratio(shared, np.sqrt(np.maximum(spread, 0)))


def _precision(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(hits, predicted)


def _recall(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(hits, true)


def _f1(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(2 * hits, true + predicted)


def _jaccard(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(hits, true + predicted - hits)


def _macro(of_class: Callable[..., np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def measure(tables: np.ndarray) -> np.ndarray:
        hits, true, predicted = _parts(tables)
        return _ratio(of_class(hits, true, predicted).sum(axis=-1), (true + predicted > 0).sum(axis=-1))

    return measure


def _weighted(of_class: Callable[..., np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def measure(tables: np.ndarray) -> np.ndarray:
        hits, true, predicted = _parts(tables)
        return _ratio((of_class(hits, true, predicted) * true).sum(axis=-1), true.sum(axis=-1))

    return measure


_OF_CLASS = {"precision": _precision, "recall": _recall, "f1": _f1, "jaccard": _jaccard}

#: Measure -> what computes it from tables (..., K, K); the names are those of scikit-learn's scorers.
TABLE_MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced,
    "matthews_corrcoef": _matthews,
    **{f"{name}_macro": _macro(of_class) for name, of_class in _OF_CLASS.items()},
    **{f"{name}_weighted": _weighted(of_class) for name, of_class in _OF_CLASS.items()},
}
