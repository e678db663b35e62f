"""One writer a folder, by a lock of the kernel, which frees it when its owner dies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import filelock

from fusionfer.cache._disk import disk_errors
from fusionfer.exceptions import CacheError, CacheLockedError

__all__ = ["LOCK", "OWNER", "folder_lock"]

LOCK = ".lock"
OWNER = ".lock-owner.json"  # for the message only: nothing is ever decided by what stands there


@contextmanager
def folder_lock(folder: Path, timeout: float) -> Iterator[None]:
    """Hold the lock of `folder`, which is made if need be.

    Parameters
    ----------
    folder : Path
        The folder of the cache.
    timeout : float
        Seconds to wait for another writer; 0 does not wait, a negative number waits for ever.

    Raises
    ------
    CacheLockedError
        If another process, or another part of this one, holds the lock; it is named.
    CacheError
        If nothing can be written there, or the file system has no locks.
    """
    with disk_errors(folder, "write in", "Nothing was computed yet. Free space and run the same command again."):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(str(folder / LOCK))
        try:
            lock.acquire(timeout=timeout)
        except filelock.Timeout as error:
            msg = f"{folder} is being written by {_owner(folder)}. Wait until it has finished, or give another --cache."
            raise CacheLockedError(msg) from error
        except NotImplementedError as error:
            raise _no_locks(folder) from error
    try:
        # Some releases of filelock fall back to a mere marker file, which outlives a dead owner.
        if isinstance(lock, filelock.SoftFileLock):
            raise _no_locks(folder)
        _sign(folder)
        yield
    finally:
        lock.release()


def _no_locks(folder: Path) -> CacheError:
    msg = f"{folder}: this file system has no locks, so two writers could meet. Give a --cache on a local disk."
    return CacheError(msg)


def _sign(folder: Path) -> None:
    """Write who holds the lock; by a rename, so that a reader never finds half of it.

    On a full disk the note is left out, since a hit, or a resume whose room is reserved, needs no more space; no name
    is better than that of an earlier owner.
    """
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
    draft = folder / (OWNER + ".new")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / OWNER)
    except OSError:
        for stale in (draft, folder / OWNER):
            with suppress(OSError):
                stale.unlink()


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
