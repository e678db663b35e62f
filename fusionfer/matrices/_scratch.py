"""Arrays in scratch files: room on a disk for what is computed once and is too large for memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import numpy as np

from fusionfer.exceptions import StoreFullError

__all__ = ["scratch_array"]

_SPARE = 1 << 28  # left free on the disk, which others use too


def scratch_array(shape: tuple[int, ...], dtype: Any, what: str) -> np.ndarray:
    """Make an array in a file without a name, which is gone when the array is, or the process.

    The file lies in the folder for temporary files: ``TMPDIR`` names another, such as one on a larger disk. All of its
    room is taken at once, so that a disk that fills up later cannot end the process in the middle of a write.

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
        If the disk lacks the room.

    Examples
    --------
    >>> array = scratch_array((2, 3), np.float32, "an example")
    >>> array[1] = 1.0
    >>> float(array.sum())
    3.0
    """
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if n_bytes + _SPARE > free:
        raise _full(what, n_bytes, folder, free)
    with tempfile.TemporaryFile(dir=folder, prefix="fusionfer-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(n_bytes, 1))
        except OSError as error:
            raise _full(what, n_bytes, folder, free) from error
        # The map keeps the file alive when its descriptor is closed.
        mapped = np.memmap(file, dtype=dtype, mode="r+", shape=(max(n_bytes // dtype.itemsize, 1),))
    return np.asarray(mapped)[: n_bytes // dtype.itemsize].reshape(shape)


def _full(what: str, n_bytes: int, folder: str, free: int) -> StoreFullError:
    msg = (
        f"{what} need {n_bytes / 2**30:.1f} GB of scratch room, and {folder} has {free / 2**30:.1f} GB free. Set "
        "TMPDIR to a folder on a larger disk."
    )
    return StoreFullError(msg)
