"""What the system says of a disk becomes one clear error."""

import errno
import re
from pathlib import Path

import pytest

from fusionfer.cache import _disk
from fusionfer.exceptions import CacheError, DataError, StoreFullError


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Quota exceeded"),
        OSError("Can't write (file write failed: errno = 28, error message = 'No space left on device')"),
        RuntimeError("Unable to close (errno = 122, error message = 'Disk quota exceeded')"),
    ],
)
def test_full_disks(error):
    """Whether the system or HDF5 says it, and whenever HDF5 does."""
    said = re.escape("Cannot write x.h5: the disk, or your quota of it, is full. Do this.")
    with pytest.raises(StoreFullError, match=said), _disk.disk_errors(Path("x.h5"), "write", "Do this."):
        raise error


def test_other_errors():
    """Anything else is a CacheError with what the system said; our own errors pass."""
    stale = OSError(errno.ESTALE, "Stale file handle")
    with pytest.raises(CacheError, match="Cannot make x: Stale"), _disk.disk_errors(Path("x"), "make", ""):
        raise stale
    mine = DataError("mine")
    with pytest.raises(DataError, match=r"^mine$"), _disk.disk_errors(Path("x"), "make", ""):
        raise mine


@pytest.mark.parametrize(("count", "said"), [(999, "999 B"), (1500, "1.5 kB"), (2.5e6, "2.5 MB"), (12.5e9, "12.5 GB")])
def test_sizes_are_for_people(count, said):
    """Three digits and a unit."""
    assert _disk._size(count) == said


def test_reserving_needs_no_support(tmp_path, monkeypatch):
    """A file system that cannot reserve is used all the same; one that is full is not."""
    if not hasattr(_disk.os, "posix_fallocate"):
        pytest.skip("this system reserves nothing")

    def fails(number):
        def call(*_):
            raise OSError(number, "x")

        return call

    with (tmp_path / "x").open("wb") as stream:
        monkeypatch.setattr(_disk.os, "posix_fallocate", fails(errno.EOPNOTSUPP))
        _disk.reserve(stream.fileno(), 10)
        monkeypatch.setattr(_disk.os, "posix_fallocate", fails(errno.ENOSPC))
        with pytest.raises(OSError, match="x"):
            _disk.reserve(stream.fileno(), 10)
