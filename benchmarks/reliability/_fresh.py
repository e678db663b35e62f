"""``fusionfer`` as a user starts it: a new interpreter, seen from outside, stopped and continued by signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["ONE_THREAD", "freeze", "start_fresh"]

#: Features are equal to the bit for one number of threads; one thread is what leaves most to the other processes.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
ATTEMPTS = 10


def start_fresh(arguments: Sequence[str | Path]) -> subprocess.Popen[str]:
    """Start ``python -m fusionfer ARGUMENTS``."""
    return subprocess.Popen(
        [sys.executable, "-m", "fusionfer", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ONE_THREAD},
    )


def freeze(
    arguments: Sequence[str | Path], arrived: Callable[[], bool], again: Callable[[], object]
) -> subprocess.Popen:
    """Return a process that was stopped by SIGSTOP where `arrived` was and still is true.

    A process that got further before it stood still is killed, and the next one starts after a call of `again`.
    """
    for _ in range(ATTEMPTS):
        process = start_fresh(arguments)
        while process.poll() is None and not arrived():
            time.sleep(0.004)
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if process.poll() is None and arrived():
                return process
        process.kill()
        _, said = process.communicate()
        if process.returncode > 0:
            msg = f"The process ended by itself with {process.returncode}:\n{said}"
            raise RuntimeError(msg)
        again()
    msg = f"None of {ATTEMPTS} processes could be stopped in time."
    raise RuntimeError(msg)
