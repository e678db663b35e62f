"""A folder for the pages of a fit: room is asked for first, and nothing is left behind, be it by the next fit."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fusionfer.exceptions import StoreFullError
from fusionfer.matrices import scratch_folder
from fusionfer.memory import size

__all__ = ["scratch"]

_PREFIX = "fusionfer-xgb-"
#: The kernel frees its lock when the process that holds it dies, however it does.
_LOCK = "in-use"


@contextmanager
def scratch(needed: int) -> Iterator[Path]:
    """Make a folder where ``tempfile`` puts its files, and remove it with all that is in it afterwards.

    Folders of processes of the same user that were killed are removed first.

    Parameters
    ----------
    needed : int
        Bytes that the fit will write, codes included.

    Yields
    ------
    Path

    Raises
    ------
    StoreFullError
        If the disk lacks the room, or is memory.
    """
    where = Path(scratch_folder())
    _sweep(where)
    free = shutil.disk_usage(where).free
    if free < needed:
        msg = (
            f"{where}: boosting beyond memory needs {size(needed)} there for temporary files, and {size(free)} are "
            "free. Free space, or name a folder on another disk in the environment variable TMPDIR."
        )
        raise StoreFullError(msg)
    locks: list[int] = []
    with ExitStack() as stack:
        stack.callback(_close, locks)  # after the folder: until it is gone it is in use
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where)))
        locks.extend(_hold(folder))
        yield folder


def _hold(folder: Path) -> list[int]:
    """Mark a folder as in use by a lock, where there are locks; return what must stay open."""
    with suppress(ImportError, OSError):  # Windows, and some file systems of networks, have none: nothing is swept
        import fcntl

        lock = os.open(folder / "new", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Only now it has the name that others look for, so nobody finds it without its lock.
            (folder / "new").rename(folder / _LOCK)
        except OSError:
            os.close(lock)
            raise
        return [lock]
    return []


def _close(locks: list[int]) -> None:
    for lock in locks:
        os.close(lock)


def _sweep(where: Path) -> None:
    """Remove folders whose owners were killed: their lock is free, and they are of the same user."""
    with suppress(ImportError, OSError):
        import fcntl

        for folder in where.glob(f"{_PREFIX}*"):
            with suppress(OSError):  # somebody else has swept it, or it was never one of these
                found = folder.lstat()  # a link is none: another user may have laid it there
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                    continue
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)
