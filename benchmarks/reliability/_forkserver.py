"""Many `fusionfer` processes for the price of one import: a parent that has imported everything, forked for each run.

Starting Python and torch takes seconds, which a test that kills a process two hundred times cannot spend each time.
A fork is as real a process as any: it takes the kernel's locks, gets signals, and dies of SIGKILL.

Run as a program this is the parent. It reads one request a line from stdin and answers with two lines on stdout:
the process id at once, the exit code (negative for a signal) at the end. It must stay without threads.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import IOBase
from pathlib import Path
from types import FrameType
from typing import IO, Any

__all__ = ["CRASHED", "ForkServer", "Run"]

CRASHED = 70  # exit code for an exception that the command line let through


class Run:
    """One forked process."""

    def __init__(self, pid: int, answers: IO[bytes]) -> None:
        self.pid = pid
        self._answers = answers
        self._code: int | None = None

    def wait(self, seconds: float | None = None) -> int | None:
        """Return the exit code, or None if the process still runs after `seconds`."""
        if self._code is None and select.select([self._answers], [], [], seconds)[0]:
            self._code = int(self._answers.readline())
        return self._code

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and return the exit code, which is 0 if the process was quicker."""
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        code = self.wait()
        assert code is not None
        return code

    def wait_frozen(self) -> None:
        """Return when SIGSTOP has stopped the process (Linux); fail if it ended instead."""
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert self.wait(0.002) is None, f"it ended with {self.wait(0)}"


class ForkServer:
    """The parent, as seen from the program that starts it; a context manager. One run at a time."""

    def __init__(self, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # so that select sees all that is there to be read
            start_new_session=True,  # Ctrl-C is for the program in front
            # A pool of threads would not survive a fork.
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        )
        self._run: Run | None = None

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._run is not None:
            self._run.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.kill()  # torch takes seconds to say goodbye
        self._process.wait()

    def start(self, arguments: Sequence[str | Path], before: str = "") -> Run:
        """Start ``fusionfer ARGUMENTS``, after the Python statements `before`, which see this module's names."""
        assert self._run is None or self._run.wait(0) is not None, "one run at a time"
        request = {"arguments": [str(a) for a in arguments], "before": before, "log": str(self._log)}
        pipes = self._process
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        pipes.stdin.write(json.dumps(request).encode() + b"\n")
        self._run = Run(int(pipes.stdout.readline()), pipes.stdout)
        return self._run

    def said(self) -> str:
        """Return what the last process wrote on stdout and stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")


# What follows runs in the parent and in its children.

#: What the verb imports only when it runs; the more of it is there already, the quicker a run.
_USED = ("fusionfer.extraction", "fusionfer.images", "torchvision.models.feature_extraction", "rich.table")

_last_words: list[Callable[[], object]] = []


def main() -> None:
    """Import all that a run imports, then answer requests until stdin ends."""
    from fusionfer.cli import main as command
    from fusionfer.networks import import_torchvision

    import_torchvision()
    for name in _USED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line), command)
        _answer(pid)
        _answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _answer(number: int) -> None:
    os.write(1, f"{number}\n".encode())


def _child(request: dict[str, Any], command: Callable[[], None]) -> None:
    """Be the process that is asked for; never return."""
    code = CRASHED
    try:
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for number in (1, 2):
            os.dup2(log, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["fusionfer", *request["arguments"]]
        exec(request["before"], globals())
        command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.setprofile(None)
        for say in _last_words:
            say()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def count_steps(path: str) -> None:
    """Keep in `path` how many steps each function of the cache takes, as JSON, until the process exits."""
    counts: Counter[str] = Counter()

    def count(function: str) -> None:
        counts[function] += 1

    _watch(count)
    _last_words.append(lambda: Path(path).write_text(json.dumps(counts)))


def signal_at_steps(function: str, numbers: Sequence[int], which: int = signal.SIGKILL) -> None:
    """Send this process a signal at each of the given steps, counted from 1, of one function of the cache."""
    steps = itertools.count(1)

    def step(name: str) -> None:
        if name == function and next(steps) in numbers:
            os.kill(os.getpid(), which)

    _watch(step)


def _watch(step: Callable[[str], None]) -> None:
    """Call `step` before and after each call that changes files for the cache, with who made it.

    Named is the innermost function of the cache's own code; the call itself may be made by what it uses.
    """
    import h5py

    import fusionfer.cache

    own, below = (str(Path(str(module.__file__)).parent) for module in (fusionfer.cache, h5py))

    def profile(frame: FrameType, event: str, called: Any) -> None:
        if event.startswith("c_"):
            of_system = isinstance(called.__self__, IOBase) or called.__module__ in _SYSTEM
            changes = of_system and called.__name__ in _CHANGING
        else:
            changes = frame.f_code.co_name in _CHANGING and frame.f_code.co_filename.startswith(below)
        if changes:
            name = next((f.f_code.co_name for f in _callers(frame) if f.f_code.co_filename.startswith(own)), None)
            if name is not None:
                step(name)

    sys.setprofile(profile)


_SYSTEM = frozenset({"posix", "fcntl", "io", "_io"})
_IN_HDF5 = ("make_fid", "create", "__setitem__")
_CHANGING = frozenset(
    ("open", "mkdir", "flock", "write", "replace", "unlink", "posix_fallocate", "fsync", "close", "__exit__", *_IN_HDF5)
)


def _callers(frame: FrameType) -> Iterator[FrameType]:
    caller: FrameType | None = frame
    while caller is not None:
        yield caller
        caller = caller.f_back


if __name__ == "__main__":
    main()
