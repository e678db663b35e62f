"""How much memory there is, how much may be used, how much is used, and what a step will take."""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from fusionfer.exceptions import DataError, MemoryLimitError

__all__ = [
    "MAPPED_FROM",
    "Estimate",
    "PeakMemory",
    "allowed_bytes",
    "anonymous_bytes",
    "asked_bytes",
    "available_bytes",
    "duration",
    "memory_limit",
    "parse_bytes",
    "planned_bytes",
    "size",
]

#: Features of more than this part of the memory that is planned with stay in their files: folds and refits copy them.
MAPPED_FROM = 0.125

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SELDOM = 20  # times as long as a look at the memory takes nobody looks again
_UNKNOWN = 4 << 30  # bytes that are taken to be there where the system does not say
#: What `memory_limit` was asked for, the innermost last: memory is the process's, not a thread's.
_limits: list[int] = []


def parse_bytes(text: str) -> int:
    """Read a size such as ``4G``, ``1.5G``, ``800M`` or ``1073741824``.

    Raises
    ------
    DataError
        If it is none, or less than 64 MiB, in which nothing fits.

    Examples
    --------
    >>> parse_bytes("4G") == 4 * 2**30, parse_bytes("512 MiB") == 2**29
    (True, True)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", text, flags=re.IGNORECASE)
    if not found:
        msg = f"A size of memory is a number with K, M, G or T, such as 4G or 800M; got {text!r}."
        raise DataError(msg)
    size_ = int(float(found[1]) * _UNITS[found[2].upper()])
    if size_ < 1 << 26:
        msg = f"A size of memory must be at least 64M, got {text!r}: nothing fits into less."
        raise DataError(msg)
    return size_


def size(n: float) -> str:
    """Say a number of bytes in words: 1.5 GB, 12 MB; powers of 1024, as --memory counts."""
    for unit in ("G", "M"):
        if n >= _UNITS[unit]:
            return f"{n / _UNITS[unit]:.1f} {unit}B" if n < 10 * _UNITS[unit] else f"{n / _UNITS[unit]:,.0f} {unit}B"
    return f"{max(n, 0) / 1024:.0f} KB"


def duration(seconds: float) -> str:
    """Say a time in words: a few seconds, 40 s, 3 min, 2.5 h."""
    if seconds < 5:
        return "a few seconds"
    if seconds < 90:
        return f"{round(seconds, -1) if seconds > 20 else round(seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def available_bytes() -> int:
    """Return what this process may still allocate.

    The least of what the machine has free, what each control group of this process has left (its limit less the memory
    of all its processes that the kernel cannot take back), and what is left of RLIMIT_DATA. What `memory_limit` says
    does not count here.
    """
    found = []
    with suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError, AttributeError, TypeError):
        text = Path("/proc/meminfo").read_text()
        found.append(1024 * int(re.search(r"MemAvailable:\s*(\d+)", text)[1]))  # type: ignore[index]
    found += [limit - _held_by(group) for group, limit in _limited_groups()]
    with suppress(ImportError, AttributeError):  # Windows has no such limits
        import resource

        soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
        if soft != resource.RLIM_INFINITY:
            found.append(soft - anonymous_bytes())
    return max(0, min(found, default=_UNKNOWN))


def _limited_groups() -> Iterator[tuple[str, int]]:
    """Yield the folders of the control groups that this process lives in and that have a limit, and the limits.

    A limit holds for all groups below it: they are looked at from the own one up to the root. Inside a container the
    own path is often that of the host and not to be seen; the root is then the container's.
    """
    own = {"": "/", "memory": "/"}  # of version 2, and of version 1, by the names of their controllers
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            own.update({name: path for name in names.split(",") if name in own})
    for name, path in own.items():
        root, file = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes") if name else ("/sys/fs/cgroup", "memory.max")
        steps = [step for step in path.split("/") if step]
        if ".." in steps:  # a group outside the container
            steps = []
        for depth in range(len(steps), -1, -1):
            group = "/".join([root, *steps[:depth]])
            with suppress(OSError, ValueError):  # "max" is no number: no limit
                yield group, int(Path(f"{group}/{file}").read_text())


def _held_by(group: str) -> int:
    """Memory of all processes of a control group that no file on a disk backs, shared memory included.

    What the group uses counts file pages as well, but these the kernel gives back.
    """
    with suppress(OSError, ValueError):
        counted = dict(line.split() for line in Path(f"{group}/memory.stat").read_text().splitlines())
        for names in (("total_rss", "total_shmem"), ("anon", "shmem")):  # version 1, version 2
            if names[0] in counted:
                return sum(int(counted.get(name, 0)) for name in names)
    return anonymous_bytes()


def anonymous_bytes() -> int:
    """Return the memory of this process that no file backs, swapped or not, as smaps_rollup counts it; 0 if unknown."""
    with suppress(OSError):
        text = Path("/proc/self/smaps_rollup").read_text()
        counted = re.findall(r"^(?:Anonymous|Swap):\s*(\d+) kB", text, flags=re.MULTILINE)
        return 1024 * sum(map(int, counted))
    return 0


def allowed_bytes() -> int:
    """Return how much memory steps may take: what `memory_limit` says, else what is available."""
    return _limits[-1] if _limits else available_bytes()


def asked_bytes() -> int | None:
    """Return what `memory_limit` says, or None where nothing was asked for."""
    return _limits[-1] if _limits else None


def planned_bytes() -> int:
    """Return by how much memory is decided what stays in files.

    That is what `memory_limit` says, else all that the machine has, or the smallest limit of a control group of this
    process. Not what is free at the moment: the same command on the same machine must go the same way every time.
    """
    return _limits[-1] if _limits else _machine_bytes()


def _machine_bytes() -> int:
    """Memory of the machine, or of the control groups that this process lives in."""
    found = [limit for _, limit in _limited_groups()]
    with suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=_UNKNOWN)


@contextmanager
def memory_limit(limit: int | None) -> Iterator[None]:
    """Let everything inside plan with so many bytes of anonymous memory; None leaves it to what is available."""
    if limit is None:
        yield
        return
    _limits.append(limit)
    try:
        yield
    finally:
        _limits.pop()


@dataclass(frozen=True)
class Estimate:
    """What a step will take, before it begins.

    Attributes
    ----------
    what : str
        The step.
    bytes : int
        Peak of anonymous memory, of the whole process.
    seconds : float
        On this machine, if nothing else runs; NaN where that is not known before, as on a GPU.
    parts : tuple of (str, int)
        What the bytes consist of, largest first.
    """

    what: str
    bytes: int
    seconds: float
    parts: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, what: str, parts: Iterable[tuple[str, int]], seconds: float) -> Estimate:
        """Sum up what a step consists of, (name, bytes) each; parts of 0 bytes are left out."""
        kept = sorted(((name, int(n)) for name, n in parts if n > 0), key=lambda part: -part[1])
        return cls(what, sum(n for _, n in kept), seconds, tuple(kept))

    def describe(self) -> str:
        """One sentence."""
        time = "a time that is not known before" if math.isnan(self.seconds) else duration(self.seconds)
        return f"{self.what}: about {size(self.bytes)} of memory and {time}."

    def require(self, limit: int | None, remedy: str = "") -> None:
        """Refuse a step that would take more than it may.

        Raises
        ------
        MemoryLimitError
            With the figure, and what it consists of.
        """
        if limit is None or self.bytes <= limit:
            return
        parts = ", ".join(f"{name} {size(n)}" for name, n in self.parts if n >= 0.02 * self.bytes)
        msg = f"{self.what} would take about {size(self.bytes)} of memory{f' ({parts})' if parts else ''}"
        msg = f"{msg}, and {size(limit)} are allowed. {remedy or 'Allow more with --memory.'}"
        raise MemoryLimitError(msg)


class PeakMemory:
    """The highest anonymous memory of the process while a block runs.

    It is looked at ten times a second, less often where a look takes long, as of large processes.

    Attributes
    ----------
    bytes : int
        So far.

    Examples
    --------
    >>> with PeakMemory() as peak:
    ...     held = bytearray(1 << 20)
    >>> peak.bytes >= 0
    True
    """

    def __init__(self, every: float = 0.1) -> None:
        self.every, self.bytes = every, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def _watch(self) -> None:
        wait = self.every
        while not self._done.wait(wait):
            begin = time.perf_counter()
            self.bytes = max(self.bytes, anonymous_bytes())
            # The kernel walks through all pages, and nobody maps any meanwhile: of a large process seldom.
            wait = max(self.every, _SELDOM * (time.perf_counter() - begin))

    def __enter__(self) -> PeakMemory:
        self.bytes = anonymous_bytes()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self.bytes = max(self.bytes, anonymous_bytes())
