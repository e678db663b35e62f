"""One writer a folder, with real processes."""

import errno
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import filelock
import pytest

from fusionfer.cache import CacheFolder
from fusionfer.exceptions import CacheError, CacheLockedError, ExtractionInterrupted

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
    """Fault 5: process and host are told; a death, even by SIGKILL, frees the lock at once."""
    first = holder(60)
    said = rf"being written by process {first.pid} on \S+ since 20\d\d-"
    with pytest.raises(CacheLockedError, match=said), cache.lock():
        pytest.fail("two writers met")
    first.kill()
    first.wait()
    with cache.lock():
        assert (cache.path / ".lock").exists()


def test_second_writer_waits(cache, holder):
    """Fault 5: with a timeout the second comes after the first."""
    holder(0.5)
    started = time.monotonic()
    with cache.lock(timeout=30):
        assert time.monotonic() - started > 0.1


def test_waiting_can_be_stopped(cache, holder):
    """Fault 2: whoever waits is asked to stop and stops at once; who is waited for stands in the message."""
    first, stop = holder(60), threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    said = rf"Stopped while waiting for process {first.pid} on \S+ since \S+, which writes .* Nothing was started there"
    started = time.monotonic()
    with pytest.raises(ExtractionInterrupted, match=said), cache.lock(timeout=-1, stop=stop):
        pytest.fail("two writers met")
    assert 0.2 < time.monotonic() - started < 10


def test_waiting_ends_by_itself(cache, holder):
    """Fault 5: after the time that was given the second fails by name of the first."""
    first = holder(60)
    started = time.monotonic()
    with pytest.raises(CacheLockedError, match=f"process {first.pid} on"), cache.lock(timeout=0.3):
        pytest.fail("two writers met")
    assert 0.3 <= time.monotonic() - started < 10


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
    """Fault 5: an owner's note that cannot be read changes the message and nothing else."""
    holder(60)
    (cache.path / ".lock-owner.json").write_text(text, encoding="latin-1")
    with pytest.raises(CacheLockedError, match="being written by another process"), cache.lock():
        pytest.fail("two writers met")


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def without_locks(request, monkeypatch):
    """What the kernel says where there are no locks, each in turn."""
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("earlier", [False, True])
def test_file_systems_without_locks(cache, without_locks, earlier):
    """Fault 5: it is said, and the option is named; a lock file from earlier is not taken for another writer."""
    if earlier:
        cache.path.mkdir()
        (cache.path / ".lock").touch()
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(CacheError, match=r"this file system has no locks.* --no-lock \(lock=False\)") as error,
        cache.lock(),
    ):
        pytest.fail("locked without a lock")
    assert not isinstance(error.value, CacheLockedError)


def test_going_on_without_locks(cache, without_locks, toolkit):
    """Fault 5: with the option a writer goes on, and no marker stays behind."""
    with cache.lock(required=False):
        cache.require_lock()
        assert json.loads((cache.path / ".lock-owner.json").read_text())["pid"] == os.getpid()
    with cache.lock(required=False):
        pass


def test_a_marker_file_is_no_lock(cache, monkeypatch):
    """A marker file in place of a kernel lock is refused, as it would outlive a dead owner; and it is not left."""
    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    with pytest.raises(CacheError, match="this file system has no locks"), cache.lock():
        pytest.fail("locked without a lock")
    assert not (cache.path / ".lock").exists()


def test_the_option_gives_no_lock_away(cache, holder):
    """Fault 5: where there are locks they hold, option or not."""
    first = holder(60)
    with pytest.raises(CacheLockedError, match=f"process {first.pid} on"), cache.lock(required=False):
        pytest.fail("two writers met")


def test_other_errors_of_the_lock_are_told_as_they_are(cache, monkeypatch):
    """A failing disk is not mistaken for a file system without locks."""
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(CacheError, match=r"Cannot write in .*Input/output error"), cache.lock(required=False):
        pytest.fail("locked on a failing disk")


@pytest.mark.parametrize("name", [".lock-owner.json", ".lock-owner.json.new"])
def test_the_owners_note_is_not_written_through_a_link(cache, tmp_path, name):
    """Fault 19: a link in a folder from somebody else does not get the file that it points to overwritten."""
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    cache.path.mkdir(parents=True)
    (cache.path / name).symlink_to(victim)
    with cache.lock():
        assert json.loads((cache.path / ".lock-owner.json").read_text())["pid"] == os.getpid()
    assert victim.read_text() == "mine"
