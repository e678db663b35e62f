"""One writer a folder, with real processes."""

import os
import subprocess
import sys
import textwrap
import time

import filelock
import pytest

from fusionfer.cache import CacheFolder
from fusionfer.exceptions import CacheError, CacheLockedError

HOLDER = """
    import sys, time
    from fusionfer.cache import CacheFolder
    with CacheFolder(sys.argv[1]).lock():
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def holder(cache):
    """Another process that holds the lock."""
    started = []

    def hold(seconds):
        command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(cache.path), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_second_writer_fails_by_name_of_the_first(cache, holder):
    """Process and host are told; a death, even by SIGKILL, frees the lock at once."""
    first = holder(60)
    said = rf"being written by process {first.pid} on \S+ since 20\d\d-"
    with pytest.raises(CacheLockedError, match=said), cache.lock():
        pytest.fail("two writers met")
    first.kill()
    first.wait()
    with cache.lock():
        assert (cache.path / ".lock").exists()


def test_second_writer_waits(cache, holder):
    """With a timeout the second comes after the first."""
    holder(0.5)
    started = time.monotonic()
    with cache.lock(timeout=30):
        assert time.monotonic() - started > 0.1


def test_two_folders_objects_in_one_process(cache):
    """The lock is the folder's, not the object's."""
    said = f"by process {os.getpid()} on"
    with cache.lock(), pytest.raises(CacheLockedError, match=said), CacheFolder(cache.path).lock():
        pytest.fail("two writers met")


def test_released_after_errors(cache):
    """An error inside frees the lock."""
    with pytest.raises(ZeroDivisionError), cache.lock():
        raise ZeroDivisionError
    with cache.lock():
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"pid": 1}', "\xff"])
def test_who_holds_it_is_only_told(cache, holder, text):
    """An owner's note that cannot be read changes the message and nothing else."""
    holder(60)
    (cache.path / ".lock-owner.json").write_text(text, encoding="latin-1")
    with pytest.raises(CacheLockedError, match="being written by another process"), cache.lock():
        pytest.fail("two writers met")


def test_file_systems_without_locks(cache, monkeypatch):
    """A marker file in place of a kernel lock is refused, as it would outlive a dead owner."""
    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    with pytest.raises(CacheError, match="this file system has no locks"), cache.lock():
        pytest.fail("locked without a lock")
