"""Room for scratch files: in which folder they lie, and that the file system keeps it for them."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from fusionfer.exceptions import StoreFullError

__all__ = ["reserve", "scratch_folder"]

_IN_MEMORY = ("ramfs", "tmpfs")
_ELSEWHERE = "/var/tmp"
_NAMED_BY = ("TMPDIR", "TEMP", "TMP")  # where tempfile looks
_NO_RESERVATION = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def scratch_folder() -> str:
    """Return the folder for temporary files that are there because memory has no room for them.

    It is that of `tempfile`, so ``TMPDIR`` names another. Where that folder is held in memory, as ``/tmp`` of many
    systems, it is ``/var/tmp``, unless somebody named the folder.

    Returns
    -------
    str

    Raises
    ------
    StoreFullError
        If the folder was named and is held in memory, or ``/var/tmp`` is no better.

    Examples
    --------
    >>> import os
    >>> os.path.isdir(scratch_folder())
    True
    """
    folder = tempfile.gettempdir()
    kind = file_system(folder)
    if kind not in _IN_MEMORY:
        return folder
    named = next((name for name in _NAMED_BY if os.environ.get(name)), None)
    if named is None and os.access(_ELSEWHERE, os.W_OK | os.X_OK) and file_system(_ELSEWHERE) not in _IN_MEMORY:
        return _ELSEWHERE
    said = f" ({named} names it)" if named else f", and {_ELSEWHERE} is no folder on a disk that can be written to"
    msg = (
        f"{folder}{said} is held in memory ({kind}), and scratch files are there for what memory has no room for. Set "
        "TMPDIR to a folder on a disk."
    )
    raise StoreFullError(msg)


def file_system(folder: str) -> str:
    """Return the type of file system that a folder is on, such as "ext4" or "tmpfs"; empty where nobody says it."""
    with suppress(AttributeError, OSError):  # Windows has no numbers of devices
        device = Path(folder).stat().st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            place, _, about = line.partition(" - ")
            if place.split()[2] == number:
                return about.split()[0]
    return ""


def reserve(handle: int, size: int) -> None:
    """Give a file its size, and make the file system keep the room, so that a full disk shows now.

    Where no room can be kept, as on some network file systems, the file has its size alone.

    Raises
    ------
    OSError
        If there is no room, or the file may not be so large.
    """
    try:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(handle, 0, size)
            return
    except OSError as error:
        if error.errno not in _NO_RESERVATION:
            raise
    os.ftruncate(handle, size)
