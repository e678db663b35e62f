"""Scratch arrays lie on a disk, leave nothing there, and say what to do where it is too small."""

import errno
import os
import shutil
import tempfile

import numpy as np
import pytest

from fusionfer.exceptions import StoreFullError
from fusionfer.matrices import _room, scratch_array, scratch_folder


def test_it_is_an_array_without_a_file_of_a_name(tmp_path, monkeypatch):
    """Zeros at first, what was written afterwards, in the folder of TMPDIR, where nothing can be seen of it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_room, "file_system", lambda folder: "ext4")  # wherever the tests have their files
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


def _plenty(monkeypatch, free=10**12):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**12, 10**12 - free, free))


def test_a_disk_without_the_room(monkeypatch):
    """It is refused before a file is made, with both figures."""
    _plenty(monkeypatch, 10**6)
    with pytest.raises(
        StoreFullError, match=r"Codes need 0\.1 GB of scratch room, and .* has 0\.0 GB free. Set TMPDIR"
    ):
        scratch_array((1 << 27,), np.uint8, "Codes")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "is full, or your quota of it is"), (errno.EDQUOT, "is full, or your quota"),
     (errno.EFBIG, "refuses them: File too large"), (errno.EIO, "refuses them: Input/output error")],
)  # fmt: skip
def test_what_shows_while_the_room_is_taken(monkeypatch, number, said):
    """A quota, a limit of the size of files, a broken disk: the error says which."""

    def refused(*_):
        raise OSError(number, os.strerror(number))

    _plenty(monkeypatch)
    monkeypatch.setattr(os, "posix_fallocate", refused)
    with pytest.raises(StoreFullError, match=f"Codes need 0.0 GB of scratch room, and .* {said}.* Set TMPDIR") as full:
        scratch_array((1000,), np.uint8, "Codes")
    assert isinstance(full.value.__cause__, OSError)


@pytest.mark.parametrize("missing", [True, False])
def test_where_no_room_is_kept(monkeypatch, missing):
    """As on macOS, or on network file systems: the file has its size alone."""

    def refused(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if missing:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refused)
    array = scratch_array((5, 1000), np.float32, "Codes")
    array[4] = 1.0
    assert array.sum() == 1000.0


def test_folders_in_memory_are_known():
    """By the table of what is mounted."""
    assert _room.file_system("/proc") == "proc"
    assert _room.file_system("/nowhere/at/all") == ""


def test_a_folder_in_memory_is_no_room(monkeypatch, tmp_path):
    """Instead of a temporary folder in memory /var/tmp is taken; one that was named is refused, and who named it."""
    kinds = {str(tmp_path): "tmpfs", "/var/tmp": "ext4"}
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_room, "file_system", kinds.get)
    monkeypatch.setattr(os, "access", lambda *_: True)
    assert scratch_folder() == "/var/tmp"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(StoreFullError, match=r"\(TMPDIR names it\) is held in memory \(tmpfs\)"):
        scratch_array((3,), np.uint8, "Codes")
    monkeypatch.delenv("TMPDIR")
    kinds["/var/tmp"] = "tmpfs"
    with pytest.raises(StoreFullError, match=r"/var/tmp is no folder on a disk .* Set TMPDIR to a folder on a disk"):
        scratch_folder()
    kinds[str(tmp_path)] = "btrfs"
    assert scratch_folder() == str(tmp_path)
