"""Scratch arrays lie on a disk, leave nothing there, and say what to do where it is too small."""

import os
import shutil
import tempfile

import numpy as np
import pytest

from fusionfer.exceptions import StoreFullError
from fusionfer.matrices import scratch_array


def test_it_is_an_array_without_a_file_of_a_name(tmp_path, monkeypatch):
    """Zeros at first, what was written afterwards, in the folder of TMPDIR, where nothing can be seen of it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = scratch_array((100, 7), np.uint8, "Codes")
    assert array.shape == (100, 7)
    assert not array.any()
    array[3] = 9
    assert array[3].tolist() == [9] * 7
    assert list(tmp_path.iterdir()) == []
    assert f"{tmp_path}/" in "".join(open("/proc/self/maps"))  # noqa: SIM115


def test_nothing_of_nothing():
    """No rows are no error."""
    assert scratch_array((0, 5), np.float32, "Nothing").shape == (0, 5)


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_full_disk(monkeypatch, when):
    """A disk without the room is refused, whether that shows before or while the room is taken."""
    if when == "before":
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    else:

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreFullError, match=r"Codes need 0\.1 GB of scratch room.*Set TMPDIR to a folder on a larger"):
        scratch_array((1 << 27,), np.uint8, "Codes")
