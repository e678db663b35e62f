"""Arrays in scratch files: room on a disk for what is computed once and is too large for memory."""

from __future__ import annotations

import errno
import shutil
import tempfile
from typing import Any

import numpy as np

from fusionfer.exceptions import StoreFullError
from fusionfer.matrices._room import reserve, scratch_folder

__all__ = ["scratch_array"]

_SPARE = 1 << 28  # left free on the disk, which others use too
_FULL = (errno.ENOSPC, errno.EDQUOT)


def scratch_array(shape: tuple[int, ...], dtype: Any, what: str) -> np.ndarray:
    """Make an array in a file without a name, which is gone when the array is, or the process.

    The file lies in the folder for temporary files: ``TMPDIR`` names another, such as one on a larger disk. All of its
    room is taken at once, so that a disk that fills up later cannot end the process in the middle of a write. A folder
    that is held in memory is no place for it (`scratch_folder`).

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    what : str
        What it holds, for the error.

    Returns
    -------
    ndarray
        Zeros; a writable memory map.

    Raises
    ------
    StoreFullError
        If the disk lacks the room, refuses a file of that size, or is none.

    Examples
    --------
    >>> array = scratch_array((2, 3), np.float32, "an example")
    >>> array[1] = 1.0
    >>> float(array.sum())
    3.0
    """
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    folder = scratch_folder()
    free = shutil.disk_usage(folder).free
    need = f"{what} need {n_bytes / 2**30:.1f} GB of scratch room, and {folder}"
    if n_bytes + _SPARE > free:
        msg = f"{need} has {free / 2**30:.1f} GB free. Set TMPDIR to a folder on a larger disk."
        raise StoreFullError(msg)
    with tempfile.TemporaryFile(dir=folder, prefix="fusionfer-") as file:
        try:
            reserve(file.fileno(), max(n_bytes, dtype.itemsize))
        except OSError as error:
            said = "is full, or your quota of it is" if error.errno in _FULL else f"refuses them: {error.strerror}"
            msg = f"{need} {said}. Set TMPDIR to a folder on another disk."
            raise StoreFullError(msg) from error
        # The map keeps the file alive when its descriptor is closed.
        mapped = np.memmap(file, dtype=dtype, mode="r+", shape=(max(n_bytes // dtype.itemsize, 1),))
    return np.asarray(mapped)[: n_bytes // dtype.itemsize].reshape(shape)
