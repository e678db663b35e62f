"""The disk: is there room, keep the room, and say it clearly when there is none."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fusionfer.exceptions import CacheError, FusionferError, StoreFullError

__all__ = ["disk_errors", "require_room", "reserve", "sync_folder"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RESERVATION = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@contextmanager
def disk_errors(path: Path, doing: str, advice: str) -> Iterator[None]:
    """Turn what the system says about `path` into StoreFullError or CacheError.

    Parameters
    ----------
    path : Path
        The file or folder that is written.
    doing : str
        What failed, as in "Cannot <doing> <path>".
    advice : str
        One sentence: what is intact and what to do after a full disk.
    """
    try:
        yield
    except FusionferError:
        raise
    except (OSError, RuntimeError) as error:  # h5py raises RuntimeError when closing fails
        number = getattr(error, "errno", None)
        if number in _FULL or any(f"errno = {code}," in str(error) for code in _FULL):
            msg = f"Cannot {doing} {path}: the disk, or your quota of it, is full. {advice}"
            raise StoreFullError(msg) from error
        said = getattr(error, "strerror", None) or str(error)
        msg = f"Cannot {doing} {path}: {said}. Is the folder there, yours to write in, and no file?"
        raise CacheError(msg) from error


def require_room(folder: Path, needed: int) -> None:
    """Raise StoreFullError unless `needed` bytes are free where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        msg = (
            f"{folder}: {_size(needed)} are needed for a new file and {_size(free)} are free. What is stored is "
            "untouched. Free space, or give a --cache on another disk, and run the same command again."
        )
        raise StoreFullError(msg)


def reserve(handle: int, size: int) -> None:
    """Make the file system keep `size` bytes, so that a full disk shows now and not in the middle of the work."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        if error.errno not in _NO_RESERVATION:
            raise


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure, where folders can be synchronised."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_RESERVATION:  # some network file systems refuse it for folders
            raise
    finally:
        os.close(handle)


def _size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"
