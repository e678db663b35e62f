"""read_copies: the groups of copies in what ``fusionfer audit --json`` printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fusionfer.exceptions import DataError

__all__ = ["read_copies"]

_KINDS = ("copies", "near")  # an audit that looked for exact copies only has no near ones


def read_copies(path: str | Path) -> tuple[tuple[str, ...], ...]:
    """Read which pictures are copies of each other.

    Parameters
    ----------
    path : str or Path
        What ``fusionfer audit DATA --json`` printed, or `Audit.describe` as JSON.

    Returns
    -------
    tuple of tuple of str
        Ids of each group: exact copies first, then near ones.

    Raises
    ------
    DataError
        If the file cannot be read, or is no audit.
    """
    path = Path(path)
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        msg = f"The audit {path} cannot be read: {error.strerror or error}."
        raise DataError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path} is no JSON: {error}. An audit is what `fusionfer audit DATA --json` prints."
        raise DataError(msg) from error
    if not isinstance(found, dict) or not isinstance(found.get("copies"), list):
        msg = f"{path} is no audit: it has no list of copies. An audit is what `fusionfer audit DATA --json` prints."
        raise DataError(msg)
    groups = []
    for kind in _KINDS:
        some = found.get(kind) or []
        if not isinstance(some, list):
            msg = f"{path}: {kind} must be a list, and is {type(some).__name__}."
            raise DataError(msg)
        for number, one in enumerate(some):
            ids = one.get("ids") if isinstance(one, dict) else None
            if not isinstance(ids, list) or not _are_several(ids):
                msg = f"{path}: entry {number} of {kind} must have ids, two different texts at least, got {ids!r:.80}."
                raise DataError(msg)
            groups.append(tuple(ids))
    return tuple(groups)


def _are_several(ids: list[Any]) -> bool:
    return all(isinstance(one, str) and one for one in ids) and len(set(ids)) == len(ids) > 1
