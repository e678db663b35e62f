"""``python -m benchmarks.reliability.fail_writes``: let each single call that changes a cache fail, in each way.

For every job of `_small_jobs` and every fault of `_faults`, the n-th call fails for every n; the process then meets
the error, what lies in the folder is judged, and the same job done again must end as if nothing had been. First by
Python's own streams, then, with a preloaded library, on the real driver of HDF5.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reliability._faults import (
    FAULTS,
    Attempt,
    Fault,
    Tally,
    build_shim,
    fail_everywhere,
    in_child,
    in_python,
)
from benchmarks.reliability._small_jobs import JOBS
from benchmarks.reliability.kill_extract import (
    LONGEST,
    ForkServer,
    Job,
    Reference,
    Wrong,
    check_equal,
    check_killed,
    undisturbed,
    write_faces,
)

PRELOADED = "FUSIONFER_FAULTS_PRELOADED"
ROOT = Path(__file__).parents[2]


def main() -> None:
    """Run all, and tell the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.fail_writes", description=main.__doc__)
    parser.add_argument("--job", choices=[job.name for job in JOBS], help="only this one")
    parser.add_argument("--fault", type=int, choices=range(len(FAULTS)), help="only this one, by its number")
    parser.add_argument("--only", choices=["python", "driver", "extract"], help="only one of the three ways")
    parser.add_argument("--extract", type=int, default=100, help="calls of real extractions to fail (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of these calls (%(default)s)")
    given = parser.parse_args()
    if PRELOADED in os.environ:
        run_all("on the real driver", in_child, given.job, given.fault)
        return
    if given.only in (None, "python"):
        run_all("by streams of Python", in_python, given.job, given.fault)
    if given.only == "python":
        return
    with tempfile.TemporaryDirectory(prefix="fail_writes.") as name:
        folder = Path(name)
        try:
            library = build_shim(folder)
        except OSError as error:
            sys.exit(f"The real driver is left out: {error}.")
        if given.only in (None, "driver"):
            command = [sys.executable, "-m", "benchmarks.reliability.fail_writes", *sys.argv[1:]]
            environment = {**os.environ, "LD_PRELOAD": str(library), PRELOADED: "1", "OMP_NUM_THREADS": "1"}
            subprocess.run(command, env=environment, check=True)
        if given.only in (None, "extract"):
            write_faces(folder / "faces", 30)
            with ForkServer(folder / "log", {"LD_PRELOAD": str(library)}) as server:
                job = Job(folder / "faces", folder / "cache")
                reference = undisturbed(server, job, folder / "whole")
                tally = fail_extractions(server, job, reference, count=given.extract, seed=given.seed)
                print(f"real extractions: {tally}")


def run_all(how: str, attempt: Attempt, job_name: str | None = None, fault_number: int | None = None) -> Tally:
    """Run every job with every fault, or those that are named; print a line for each."""
    total, begin = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fail_writes.") as name:
        for job in JOBS:
            for number, fault in enumerate(FAULTS):
                if job_name in (None, job.name) and fault_number in (None, number):
                    tally = fail_everywhere(job, fault, Path(name, f"{job.name}.{number}"), attempt)
                    total.calls += tally.calls
                    total.outcomes += tally.outcomes
                    print(f"{job.name:8s} {how}, {fault.name}: {tally}", flush=True)
    print(f"{how}: {total}. {time.monotonic() - begin:.0f} s", flush=True)
    return total


def fail_extractions(server: ForkServer, job: Job, reference: Reference, *, count: int, seed: int = 0) -> Tally:
    """Let calls of real extractions fail, spread over all of a run, each fault in turn; resume after each.

    Parameters
    ----------
    server : ForkServer
        With the preloaded library.
    job : Job
        Its cache is the folder in which the caches are made.
    reference : Reference
        Of the same job.
    count : int
        How many calls.
    seed : int
        Which.
    """
    draw, tally = random.Random(seed), Tally()
    told = job.cache.with_name("calls.txt")
    whole = job.into(job.cache / "count")
    whole.finish(
        server,
        _arm(whole, 0, FAULTS[0]) + f"; _last_words.append(lambda: Path({str(told)!r}).write_text(str(calls())))",
    )
    calls = int(told.read_text())
    for number in range(count):
        n = 1 + int(calls * (number + draw.random()) / count)
        fault = FAULTS[number % len(FAULTS)]
        one = job.into(job.cache / str(number))
        run = server.start(one.arguments, before=_arm(one, n, fault))
        code, said = run.wait(LONGEST), server.said()
        if code not in (0, 1) or (code == 1 and "fusionfer: error: " not in said.splitlines()[-1]):
            msg = f"{one.cache}: {fault.name} at call {n} ended the process with {code}:\n{said}"
            raise Wrong(msg)
        check_killed(one.cache, reference, torn=True)
        one.finish(server)
        check_equal(one.cache, reference)
        shutil.rmtree(one.cache)
        tally.calls += 1
        tally.outcomes["error, in one line" if code else "did without"] += 1
    return tally


def _arm(job: Job, n: int, fault: Fault) -> str:
    """Return the statements that arm the library in a forked process."""
    return (
        f"sys.path.insert(0, {str(ROOT)!r}); from benchmarks.reliability._faults import arm; "
        f"calls = arm({str(job.cache)!r}, {n}, {fault.error}, {fault.how})"
    )


if __name__ == "__main__":
    main()
