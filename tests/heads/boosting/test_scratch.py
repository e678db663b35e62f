"""Folders for pages: nothing is left behind, by killed processes too, and nothing is taken from those that run."""

import subprocess
import sys
import tempfile

import pytest

from fusionfer.heads.boosting._scratch import scratch

pytest.importorskip("fcntl", reason="without the kernel's locks nothing is swept")

KILLED = """
import os, signal, sys, tempfile
from fusionfer.heads.boosting._scratch import scratch

tempfile.tempdir = sys.argv[1]
with scratch(0) as folder:
    (folder / "page").write_bytes(b"x" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def where(monkeypatch, tmp_path):
    """A folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_killed_processes_leave_is_swept(where):
    """The next fit removes the folder of one that is dead."""
    assert subprocess.run([sys.executable, "-c", KILLED, str(where)], check=False).returncode < 0
    (left,) = where.iterdir()
    assert (left / "page").stat().st_size == 1000
    with scratch(0) as folder:
        assert list(where.iterdir()) == [folder]
    assert list(where.iterdir()) == []


def test_what_is_in_use_stays(where):
    """Folders of fits that run, though of the same process, are not touched; nor is what is none of these folders."""
    (where / "fusionfer-xgb-of-old").mkdir()
    (where / "else").mkdir()
    (where / "else" / "in-use").touch()
    (where / "fusionfer-xgb-link").symlink_to(where / "else")
    with scratch(0) as first:
        (first / "page").touch()
        with scratch(0) as second:
            assert (first / "page").exists()
            assert second != first
        assert (first / "page").exists()
    found = sorted(path.relative_to(where).as_posix() for path in where.rglob("*"))
    assert found == ["else", "else/in-use", "fusionfer-xgb-link", "fusionfer-xgb-of-old"]
