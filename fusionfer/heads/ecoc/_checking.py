"""What makes a coding matrix usable: every class can be told from every other, and no learner is useless."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["check_coding"]

_NAMED = 5  # complaints of one kind that an error spells out


def check_coding(matrix: Any, n_classes: int) -> np.ndarray:
    """Return a user's coding matrix as int8 if it is valid.

    Valid is (docs/ecoc.md says which of these rules are MATLAB's): a row for each class; entries +1, -1 and 0; in every
    column both sides; no two columns equal or opposite; no two rows equal, none without a side; and each class can be
    reached from each other. A step leads between two classes on opposite sides of a column, and no column is used
    twice on one way.

    Parameters
    ----------
    matrix : array-like of shape (K, L)
        Side of each class in each learner.
    n_classes : int
        K.

    Returns
    -------
    ndarray of int8, shape (K, L)

    Raises
    ------
    DataError
        If it is not valid; all reasons are named at once, rows and columns counted from 0.

    Examples
    --------
    >>> check_coding([[1, 0], [-1, 1], [0, -1]], 3).dtype
    dtype('int8')
    """
    try:
        given = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"A coding is a name or a matrix of +1, -1 and 0, not {matrix!r}."
        raise DataError(msg) from error
    if given.ndim != 2 or given.shape[0] != n_classes or given.shape[1] == 0:
        msg = (
            f"A coding matrix has a row for each of the {n_classes} classes and a column a learner, got {given.shape}."
        )
        raise DataError(msg)
    if not np.isin(given, (-1, 0, 1)).all():
        strange = np.unique(given[~np.isin(given, (-1, 0, 1))])[:_NAMED]
        msg = f"A coding matrix holds +1, -1 and 0 only, got {', '.join(f'{value:g}' for value in strange)}."
        raise DataError(msg)
    code = given.astype(np.int8)
    complaints = [*_column_complaints(code), *_row_complaints(code)] or _unreachable(code)
    if complaints:
        msg = f"The coding matrix cannot be used: {'; '.join(complaints)}."
        raise DataError(msg)
    return code


def _column_complaints(code: np.ndarray) -> list[str]:
    one_sided = np.flatnonzero(~((code > 0).any(axis=0) & (code < 0).any(axis=0)))
    first: dict[bytes, int] = {}
    same = []
    for j, column in enumerate(code.T):
        if not column.any():
            continue
        known = first.setdefault(column.tobytes(), first.get((-column).tobytes(), j))
        if known != j:
            same.append((known, j))
    complaints = []
    if len(one_sided):
        complaints.append(f"columns without both sides: {_listed(one_sided)}")
    if same:
        complaints.append(f"columns that are equal or opposite: {_listed(same)}")
    return complaints


def _row_complaints(code: np.ndarray) -> list[str]:
    unused = np.flatnonzero(~code.any(axis=1))
    pairs = itertools.combinations(range(len(code)), 2)
    same = [(a, b) for a, b in pairs if np.array_equal(code[a], code[b]) and code[a].any()]
    complaints = []
    if len(unused):
        complaints.append(f"classes that no learner uses: rows {_listed(unused)}")
    if same:
        complaints.append(f"classes with the same row: {_listed(same)}")
    return complaints


def _unreachable(code: np.ndarray) -> list[str]:
    pairs = [pair for pair in itertools.combinations(range(len(code)), 2) if not _reaches(code, *pair, frozenset(), ())]
    return [f"classes that no chain of learners tells apart: rows {_listed(pairs)}"] if pairs else []


def _reaches(code: np.ndarray, start: int, goal: int, columns: frozenset[int], rows: tuple[int, ...]) -> bool:
    """Whether a way leads from one class to another that uses no column, and enters no class, twice."""
    opposed = code * code[start] < 0
    opposed[:, list(columns)] = False
    if opposed[goal].any():
        return True
    free = np.setdiff1d(np.arange(code.shape[1]), list(columns))
    if goal not in _component(code[:, free], start):  # else many ways that lead nowhere would be tried
        return False
    return any(
        _reaches(code, int(row), goal, columns | {int(j)}, (*rows, start))
        for row, j in zip(*np.nonzero(opposed), strict=True)
        if row not in rows
    )


def _component(code: np.ndarray, start: int) -> set[int]:
    """Classes that steps lead to from one class, when columns may be used again."""
    found, open_rows = {start}, [start]
    while open_rows:
        row = open_rows.pop()
        new = set(np.flatnonzero((code * code[row] < 0).any(axis=1)).tolist()) - found
        found |= new
        open_rows.extend(new)
    return found


def _listed(things: Any) -> str:
    named = ", ".join(str(tuple(map(int, t)) if isinstance(t, tuple) else int(t)) for t in things[:_NAMED])
    return named + (f" and {len(things) - _NAMED} more" if len(things) > _NAMED else "")
