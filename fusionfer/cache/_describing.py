"""What `fusionfer info` says of one cache file, finished or not."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.cache._format import ABSENT, DONE, FAILED, PART, block_name
from fusionfer.cache._reading import Damage, open_stored

__all__ = ["FileDescription", "describe"]


@dataclass(frozen=True)
class FileDescription:
    """What `fusionfer info` says of a cache file.

    Attributes
    ----------
    path : str
        The file.
    block : str
        ``backbone:level``.
    rows, done, failed, absent : int
        Counts of rows.
    complete, intact : bool
        Whether no row is absent and the file is no ``.part``; whether no block is damaged.
    dim, block_rows, bytes : int
        Columns, rows per checksum, size of the file.
    damages : tuple of Damage
        Blocks that do not have the checksum written with them.
    failures : dict of str to str
        Id -> why there are no features of it.
    labels, splits : dict of str to int
        How many rows have each; the empty name stands for those without.
    key, record : dict
        Provenance: what decides a hit, and what is recorded besides.
    created, written_by : str
        When and by what the file was made.
    """

    path: str
    block: str
    rows: int
    done: int
    failed: int
    absent: int
    complete: bool
    intact: bool
    dim: int
    block_rows: int
    bytes: int
    damages: tuple[Damage, ...]
    failures: dict[str, str]
    labels: dict[str, int]
    splits: dict[str, int]
    key: dict[str, Any]
    record: dict[str, Any]
    created: str
    written_by: str


def describe(path: str | os.PathLike[str]) -> FileDescription:
    """Say what a cache file holds, finished or not, and compare all its checksums.

    Parameters
    ----------
    path : str or path-like
        An ``.h5`` or ``.part`` file of a cache.

    Returns
    -------
    FileDescription
        All that is to be said of it.

    Raises
    ------
    CacheFormatError
        If the file is no cache, is too damaged to be opened, or has another format version.
    """
    stored = open_stored(Path(path))
    damages = stored.verify()
    counts = np.bincount(stored.state, minlength=3)
    return FileDescription(
        path=str(stored.path),
        block=block_name(stored.backbone, stored.level),
        rows=len(stored.rows),
        done=int(counts[DONE]),
        failed=int(counts[FAILED]),
        absent=int(counts[ABSENT]),
        complete=stored.complete and stored.path.suffix != PART,
        intact=not damages,
        dim=stored.dim,
        block_rows=stored.layout.block_rows,
        bytes=stored.path.stat().st_size,
        damages=tuple(damages),
        failures={str(stored.rows.ids[i]): reason for i, reason in stored.reasons.items()},
        labels=dict(sorted(Counter(stored.rows.labels.tolist()).items())),
        splits=dict(sorted(Counter(stored.rows.splits.tolist()).items())),
        key=stored.key,
        record=stored.record,
        created=stored.layout.created,
        written_by=stored.layout.written_by,
    )
