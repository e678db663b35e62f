"""Leftovers out of a cache, after asking."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from fusionfer.cache import CacheFolder, Prunable, find_prunable, remove_empty
from fusionfer.exceptions import CacheError, CacheLockedError, DataError

__all__ = ["prune"]


def prune(
    cache: str | Path,
    *,
    superseded: bool = False,
    confirm: Callable[[list[Prunable]], bool] | None = None,
    wait: float = 0.0,
    lock: bool = True,
) -> list[Prunable]:
    """Remove files that nothing refers to, after asking; never the only copy of a feature.

    Shards that another process writes are left alone.

    Parameters
    ----------
    cache : str or Path
        A folder of caches.
    superseded : bool
        Whether complete files count of which a newer release holds every row, by the same weights.
    confirm : callable, optional
        Called once with what would be removed, if that is anything; only True removes it. Without it this only looks.
    wait, lock
        As in `fusionfer.extraction.extract_to_cache`.

    Returns
    -------
    list of Prunable
        What was removed; without `confirm`, what would be.

    Raises
    ------
    DataError
        If there is no such folder.
    CacheError
        If a file cannot be removed, or another process writes to the cache.
    """
    folder = CacheFolder(cache)
    if not folder.path.is_dir():
        msg = f"{folder.path} is no folder of caches."
        raise DataError(msg)
    if confirm is None:
        return find_prunable(folder, superseded=superseded)
    with contextlib.ExitStack() as stack:  # of locks, so that no writer's open file counts as a leftover
        stack.enter_context(folder.lock(wait, required=lock))
        shards = [shard for shard in folder.shards() if _locked(shard, stack, lock)]
        found = find_prunable(folder, superseded=superseded, shards=shards)
        if not found or not confirm(found):
            return []
        for item in found:
            try:
                if not item.path.is_dir():
                    item.path.unlink(missing_ok=True)
            except OSError as error:
                msg = f"Cannot remove {item.path}: {error.strerror}."
                raise CacheError(msg) from error
        remove_empty(folder, shards)
    return found


def _locked(shard: CacheFolder, stack: contextlib.ExitStack, lock: bool) -> bool:
    """Whether the shard's lock is held from now on; if not, its process is at work."""
    try:
        stack.enter_context(shard.lock(required=lock))
    except CacheLockedError:
        return False
    return True
