"""What lies in the folder of a cache: each file's share of the whole, told from its tables without reading features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.cache._format import ABSENT, DONE, FAILED, PART, SUFFIX, block_name, key8
from fusionfer.cache._lock import LOCK, OWNER
from fusionfer.cache._planning import NEW
from fusionfer.cache._reading import open_stored
from fusionfer.exceptions import CacheError

if TYPE_CHECKING:
    from fusionfer.cache._folder import CacheFolder

__all__ = ["CacheEntry", "is_draft", "list_entries"]


@dataclass(frozen=True)
class CacheEntry:
    """One file in the folder of a cache.

    Attributes
    ----------
    path : str
        The file.
    kind : {"complete", "unfinished", "unreadable", "draft", "other"}
        Complete and unfinished caches; files named like caches that cannot be read; remains of kills; all else.
    bytes : int
        Its size.
    block : str
        ``backbone:level``; empty where nothing can be read.
    rows, done, failed, absent : int
        Counts of rows.
    dim : int
        Columns.
    weights : dict
        ``name``, ``sha256`` and ``seed`` of the weights, as far as they are recorded.
    key8 : str
        First digits of the key's hash, by which ``--features backbone:level@key8`` names the file.
    created : str
        ISO 8601, UTC.
    error : str
        Why an unreadable file cannot be read.
    """

    path: str
    kind: str
    bytes: int
    block: str = ""
    rows: int = 0
    done: int = 0
    failed: int = 0
    absent: int = 0
    dim: int = 0
    weights: dict[str, Any] | None = None
    key8: str = ""
    created: str = ""
    error: str = ""


def list_entries(folder: CacheFolder) -> list[CacheEntry]:
    """Return what lies in the folder, complete caches first, apart from the lock.

    Checksums are not compared: that a file is listed as complete does not say that it is sound.
    """
    order = ("complete", "unfinished", "unreadable", "draft", "other")
    paths = [path for path in folder.listing() if path.is_file() and path.name not in (LOCK, OWNER)]
    return sorted((_entry(path) for path in paths), key=lambda entry: (order.index(entry.kind), entry.path))


def is_draft(path: Path) -> bool:
    """Whether a file is what a kill left amid the making of another one."""
    return path.name.endswith((SUFFIX + PART + NEW, OWNER + NEW))


def _entry(path: Path) -> CacheEntry:
    size = path.stat().st_size
    if is_draft(path):
        return CacheEntry(str(path), "draft", size)
    if not path.name.endswith((SUFFIX, SUFFIX + PART)):
        return CacheEntry(str(path), "other", size)
    try:
        stored = open_stored(path)
    except CacheError as error:
        return CacheEntry(str(path), "unreadable", size, error=str(error))
    counts = np.bincount(stored.state, minlength=3)
    recorded = stored.record.get("weights")
    weights = recorded if isinstance(recorded, dict) else {}
    return CacheEntry(
        str(path),
        "complete" if stored.complete and path.suffix != PART else "unfinished",
        size,
        block_name(stored.backbone, stored.level),
        len(stored.rows),
        int(counts[DONE]),
        int(counts[FAILED]),
        int(counts[ABSENT]),
        stored.dim,
        {name: weights.get(name, stored.key.get(f"weights_{name}")) for name in ("name", "sha256", "seed")},
        key8(stored.key),
        stored.layout.created,
    )
