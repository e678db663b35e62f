"""A folder for the pages of a fit: room is asked for first, and nothing is left behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fusionfer.exceptions import StoreFullError
from fusionfer.memory import size

__all__ = ["scratch"]


@contextmanager
def scratch(needed: int) -> Iterator[Path]:
    """Make a folder where ``tempfile`` puts its files, and remove it with all that is in it afterwards.

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
        If the disk lacks the room.
    """
    where = Path(tempfile.gettempdir())
    free = shutil.disk_usage(where).free
    if free < needed:
        msg = (
            f"{where}: boosting beyond memory needs {size(needed)} there for temporary files, and {size(free)} are "
            "free. Free space, or name a folder on another disk in the environment variable TMPDIR."
        )
        raise StoreFullError(msg)
    with tempfile.TemporaryDirectory(prefix="fusionfer-xgb-", dir=where) as folder:
        yield Path(folder)
