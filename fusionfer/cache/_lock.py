"""One writer a folder, by a lock of the kernel, which frees it when its owner dies."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import filelock

from fusionfer.cache._disk import disk_errors
from fusionfer.exceptions import CacheError, CacheLockedError, ExtractionInterrupted

__all__ = ["LOCK", "OWNER", "folder_lock"]

LOCK = ".lock"
OWNER = ".lock-owner.json"  # for the message only: nothing is ever decided by what stands there

_SECONDS_BETWEEN_LOOKS = 0.05

# What flock says where there is none: no such call, no lock daemon of a network file system, not for this kind of file.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextmanager
def folder_lock(
    folder: Path, timeout: float, *, required: bool = True, stop: threading.Event | None = None
) -> Iterator[None]:
    """Hold the lock of `folder`, which is made if need be.

    Parameters
    ----------
    folder : Path
        The folder of the cache.
    timeout : float
        Seconds to wait for another writer; 0 does not wait, a negative number waits for ever.
    required : bool, default=True
        False goes on where the file system has no locks; where it has, the lock is held all the same.
    stop : threading.Event, optional
        Waiting ends when it is set.

    Raises
    ------
    CacheLockedError
        If another process, or another part of this one, holds the lock; it is named.
    ExtractionInterrupted
        If `stop` was set while it waited.
    CacheError
        If nothing can be written there, or the file system has no locks.
    """
    with disk_errors(folder, "write in", "Nothing was computed yet. Free space and run the same command again."):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquire(folder, timeout, stop)
    if lock is None and required:
        msg = (
            f"{folder}: this file system has no locks, so nothing keeps two writers apart. Give a --cache on a local "
            "disk, or --no-lock (lock=False) if you see to it yourself that no other process writes there."
        )
        raise CacheError(msg)
    try:
        _sign(folder)
        yield
    finally:
        if lock is not None:
            lock.release()


def _acquire(folder: Path, timeout: float, stop: threading.Event | None) -> filelock.BaseFileLock | None:
    """Return the lock, held, or None where there are none; a mere marker file would outlive a dead owner."""
    lock = filelock.FileLock(str(folder / LOCK))
    try:
        with warnings.catch_warnings(action="ignore"):  # of the marker file, which is not kept
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                if isinstance(lock, filelock.SoftFileLock):  # somebody's marker, for which nobody is to wait
                    return None
                _wait(lock, folder, timeout, stop)
    except filelock.Timeout as error:
        msg = f"{folder} is being written by {_owner(folder)}. Wait until it has finished, or give another --cache."
        raise CacheLockedError(msg) from error
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    if isinstance(lock, filelock.SoftFileLock):
        lock.release()
        return None
    return lock


def _wait(lock: filelock.BaseFileLock, folder: Path, timeout: float, stop: threading.Event | None) -> None:
    """Try again and again, for so many seconds or, if they are negative, for ever; raise filelock.Timeout at last."""
    end = time.monotonic() + timeout
    while True:
        # Looked at and not waited for: a signal's handler that sets an event on which this thread waits could block.
        if stop is not None and stop.is_set():
            msg = f"Stopped while waiting for {_owner(folder)}, which writes {folder}. Nothing was started there."
            raise ExtractionInterrupted(msg)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if timeout >= 0 and end <= time.monotonic():
                raise
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        else:
            return


def _sign(folder: Path) -> None:
    """Write who holds the lock; by a rename, so that a reader never finds half of it.

    On a full disk the note is left out, since a hit, or a resume whose room is reserved, needs no more space; no name
    is better than that of an earlier owner.
    """
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
    draft = folder / (OWNER + ".new")
    try:
        draft.unlink(missing_ok=True)
        with draft.open("x", encoding="utf-8") as stream:  # a link that somebody left there is not written through
            stream.write(text)
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
