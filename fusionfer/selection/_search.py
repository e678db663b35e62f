"""What a search tries: from values of parameters to points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.heads import HEADS

__all__ = ["listed_search", "search_points"]


def search_points(search: Any, head: Any) -> list[dict[str, Any]]:
    """Return the points of a search, in the order in which they are listed.

    Parameters
    ----------
    search : None, "default", dict or list of dict
        As `HybridSelector` takes it.
    head : estimator
        The head that gets the parameters.

    Returns
    -------
    list of dict
        Parameters of each point; without a search one point without any.

    Raises
    ------
    DataError
        If `search` is of another kind, holds nothing to try, or the head has no listed search.
    UnknownNameError
        If the head has no such parameter.

    Examples
    --------
    >>> from fusionfer.heads import make_head
    >>> search_points({"C": [1.0, 10.0], "tol": [0.01]}, make_head("ecoc"))
    [{'C': 1.0, 'tol': 0.01}, {'C': 10.0, 'tol': 0.01}]
    """
    if search is None:
        return [{}]
    name = type(head).__name__
    if isinstance(search, str) and search == "default":
        search = listed_search(head)
        if not search:
            msg = f"{name} has no listed search; give one, as search={{'parameter': [values]}}."
            raise DataError(msg)
    grids = list(search) if isinstance(search, list | tuple) else [search]
    if not grids or not all(isinstance(grid, Mapping) and grid for grid in grids):
        msg = f"search must be 'default', a dict of lists of values, or a list of such dicts, got {search!r}."
        raise DataError(msg)
    known = head.get_params()
    for parameter, values in ((parameter, values) for grid in grids for parameter, values in grid.items()):
        if parameter not in known:
            raise unknown_name(f"parameter of {name}:", parameter, known, plural=f"parameters of {name}")
        if not isinstance(values, list | tuple | np.ndarray) or not len(values):
            msg = f"search must give a list of values for {parameter}, got {values!r}."
            raise DataError(msg)
    return [
        dict(zip(grid, values, strict=True))
        for grid in grids
        for values in itertools.product(*map(_list, grid.values()))
    ]


def _list(values: Any) -> list[Any]:
    """Values as Python has them: numpy's own would be strangers in sentences and stored models."""
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def listed_search(head: Any) -> Mapping[str, Any]:
    """Return the search that `fusionfer.heads.HEADS` lists for the class of `head`; empty if there is none."""
    cls = type(head)
    for entry in HEADS.values():
        if entry.target.endswith(f":{cls.__name__}") and entry.load() is cls:  # loads no head but this one
            return entry.search
    return {}
