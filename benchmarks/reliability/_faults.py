"""The n-th call that changes files fails, for every n, after SQLite's method; nothing may be lost, spoilt or believed.

Two ways of failing: streams and calls of Python's that fail (everywhere; HDF5 then writes through such a stream), and a
library preloaded before libc (Linux with a C compiler), by which HDF5's own driver meets the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import h5py

from benchmarks.reliability._judging import Wrong, check_equal, check_killed
from benchmarks.reliability._small_jobs import SmallJob
from fusionfer.exceptions import CacheError, StoreFullError

__all__ = ["FAULTS", "Fault", "Outcome", "Tally", "arm", "build_shim", "fail_everywhere", "in_child", "in_python"]

ONCE, FROM_THEN_ON, SHORT = range(3)


class Fault(NamedTuple):
    """How a call fails: with which error; once, from then on, or after half of a write (then from then on)."""

    name: str
    error: int
    how: int

    @property
    def full(self) -> bool:
        """Whether this is a full disk."""
        return self.error in (errno.ENOSPC, errno.EDQUOT)


FAULTS = (
    Fault("one input/output error", errno.EIO, ONCE),
    Fault("a disk that is full from then on", errno.ENOSPC, FROM_THEN_ON),
    Fault("a short write, then a full quota", errno.EDQUOT, SHORT),
)


class Outcome(NamedTuple):
    """What came of one attempt: whether a call failed, and the error that the library raised, if any."""

    hit: bool
    error: str


@dataclass
class Tally:
    """How many calls failed, and what was made of it."""

    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        return f"{self.calls} calls failed ({told}); all resumed and equal"


Attempt = Callable[[SmallJob, Path, int, Fault], Outcome]


def fail_everywhere(job: SmallJob, fault: Fault, folder: Path, attempt: Attempt) -> Tally:
    """Let the n-th call fail for n = 1, 2, ... until the job has no n-th call.

    Raises
    ------
    Wrong
        If a file does not open, a wrong row counts as done, an unfinished file is read, the wrong kind of error comes,
        or the job, done again, does not give what it gives undisturbed.
    """
    folder.mkdir(parents=True)
    reference = job.reference(folder / "whole")
    tally = Tally()
    while True:
        place = folder / str(tally.calls + 1)
        job.prepare(place)
        outcome = attempt(job, place, tally.calls + 1, fault)
        check_killed(place, reference, torn=fault.how == SHORT)
        if not outcome.hit:
            _require(outcome.error == "", f"{place}: {outcome.error} without a fault")
            check_equal(place, reference)
            return tally
        _require(
            outcome.error in ("", "StoreFullError" if fault.full else "CacheError"),
            f"{place}: {fault.name} became {outcome.error}",
        )
        if not outcome.error:  # a call that may fail, such as the note of the lock's owner
            check_equal(place, reference)
        tally.calls += 1
        tally.outcomes[outcome.error or "did without"] += 1
        job.run(place)
        check_equal(place, reference)
        for left in folder.glob(f"{place.name}*"):
            shutil.rmtree(left)


def _require(condition: bool, said: str) -> None:
    if not condition:
        raise Wrong(said)


def _run(job: SmallJob, folder: Path) -> str:
    """Do the job and return the name of the error that was expected; any other one is not caught."""
    try:
        job.run(folder)
    except StoreFullError:
        return "StoreFullError"
    except CacheError as error:
        return type(error).__name__
    return ""


class _Disk:
    """Counts the calls that change files below a folder, and lets some fail."""

    def __init__(self, folder: Path, n: int, fault: Fault) -> None:
        self.folder, self.n, self.fault, self.calls = str(folder), n, fault, 0

    def concerns(self, path: object) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self.folder)

    def call(self, *, writes: bool = False, frees: bool = False) -> bool:
        """Raise if this call is to fail; return whether only half of it is to be done."""
        self.calls += 1
        if self.calls == self.n and self.fault.how == SHORT and writes:
            return True
        later = self.calls > self.n and self.fault.how != ONCE and not frees
        if self.calls == self.n or later:
            raise OSError(self.fault.error, os.strerror(self.fault.error))
        return False


class _Stream(FileIO):
    """An unbuffered file on that disk."""

    def __init__(self, disk: _Disk, path: object, mode: str) -> None:
        disk.call()
        super().__init__(os.fspath(path), mode)  # type: ignore[call-overload]
        self.disk = disk

    def write(self, data: Any) -> int:
        data = memoryview(data).cast("B")
        half = self.disk.call(writes=True)
        return super().write(data[: max(1, len(data) // 2)] if half else data)

    def truncate(self, size: int | None = None) -> int:
        self.disk.call()
        return super().truncate(size)


def in_python(job: SmallJob, folder: Path, n: int, fault: Fault) -> Outcome:
    """Let the n-th call of Python's fail; HDF5 writes through a stream too, by its driver for file objects."""
    disk = _Disk(folder, n, fault)
    with _patched(disk):
        error = _run(job, folder)
    return Outcome(disk.calls >= n, error)


@contextlib.contextmanager
def _patched(disk: _Disk) -> Iterator[None]:
    open_path, make_file = Path.open, h5py.File

    def open_faulty(path: Path, mode: str = "r", *args: Any, **keywords: Any) -> Any:
        if disk.concerns(path) and set(mode) & set("wax+"):
            raw = _Stream(disk, path, mode.replace("t", ""))
            return raw if "b" in mode else _Text(raw)
        return open_path(path, mode, *args, **keywords)

    def make_faulty(path: Any, mode: str = "r", **keywords: Any) -> Any:
        if mode == "r" or not disk.concerns(path):
            return make_file(path, mode, **keywords)
        return _hdf5(disk, lambda stream: make_file(stream, mode, driver="fileobj", **keywords), path, mode)

    def faulty(name: str, *, frees: bool = False, of: int = 0) -> Any:
        real = getattr(os, name)

        def call(*args: Any, **keywords: Any) -> Any:
            what = args[of]
            if isinstance(what, int):
                what = Path(f"/proc/self/fd/{what}").readlink() if sys.platform == "linux" else disk.folder
            if disk.concerns(what):
                disk.call(frees=frees)
            return real(*args, **keywords)

        return mock.patch.object(os, name, call)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Path, "open", open_faulty))
        stack.enter_context(mock.patch.object(h5py, "File", make_faulty))
        for name, options in _CALLS.items():
            if hasattr(os, name):
                stack.enter_context(faulty(name, **options))
        yield


_CALLS: dict[str, dict[str, Any]] = {
    "fsync": {}, "posix_fallocate": {}, "mkdir": {}, "unlink": {"frees": True}, "replace": {"of": 1},
}  # fmt: skip


class _Text:
    """What `Path.write_text` needs."""

    def __init__(self, raw: _Stream) -> None:
        self.raw = raw

    def __enter__(self) -> _Text:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def write(self, text: str) -> int:
        self.raw.write(text.encode())
        return len(text)


@contextlib.contextmanager
def _hdf5(disk: _Disk, make: Callable[[_Stream], h5py.File], path: object, mode: str) -> Iterator[h5py.File]:
    """Let HDF5 write to a stream. After an error in it h5py goes on calling, and raises whatever comes last."""
    with _Stream(disk, path, "w+b" if mode == "w" else "r+b") as stream:
        try:
            with make(stream) as file:
                yield file
        except Exception as error:
            if disk.calls < disk.n:
                raise
            raise OSError(disk.fault.error, os.strerror(disk.fault.error)) from error


# What follows needs Linux and a C compiler.


def build_shim(folder: Path) -> Path:
    """Compile the library that is preloaded.

    Raises
    ------
    OSError
        With the reason, where that cannot be done.
    """
    if sys.platform != "linux":
        msg = f"calls are intercepted by the means of Linux; this is {sys.platform}"
        raise OSError(msg)
    library = folder / "faults.so"
    source = Path(__file__).with_name("_shim.c")
    try:
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        msg = "there is no C compiler"
        raise OSError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"the C compiler says {error.stderr[:200]!r}"
        raise OSError(msg) from error
    return library


def arm(folder: str, n: int, error: int, how: int) -> Callable[[], int]:
    """Let the n-th call below `folder` fail from now on; return a function that counts the calls. Needs the library."""
    library = ctypes.CDLL(None)
    library.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    library.faults_calls.restype = ctypes.c_long
    library.faults_arm(os.fsencode(folder), n, error, how)
    return library.faults_calls


def in_child(job: SmallJob, folder: Path, n: int, fault: Fault) -> Outcome:
    """Let the n-th call fail that libc is asked for, in a forked process; the library must be preloaded in this one."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "no answer"
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # HDF5 tells of errors that it cannot return
            calls = arm(str(folder), n, fault.error, fault.how)
            error = _run(job, folder)
            said = f"{int(calls() >= n)}{error}"
        except BaseException as error:
            said = f"1{type(error).__name__}: {error}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(pid, 0)
    if status:
        msg = f"{folder}: {fault.name} ended the process with status {status}"
        raise Wrong(msg)
    return Outcome(said[:1] == "1", said[1:])
