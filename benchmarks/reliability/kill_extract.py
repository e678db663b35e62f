"""``python -m benchmarks.reliability.kill_extract --kills 200``: kill extraction at random moments, resume, compare.

Each job is one cache. Its process is killed by SIGKILL, started again, killed again, and at last left alone; then the
cache must equal that of a process nobody touched. Moments are drawn in two ways: from the clock, anywhere between the
start and the end of a run; and from the calls by which the cache changes files, before or after one of them, each
function that makes some as likely as any other, so that the microseconds in which files are made, marked and renamed
are hit as often as the seconds of computing.

After each kill, everything that lies in the folder must open, be intact, and hold no row that differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from benchmarks.reliability._forkserver import ForkServer
from benchmarks.reliability._fresh import freeze, start_fresh
from benchmarks.reliability._judging import Reference, Wrong, check_equal, check_killed, contents, marks, phase
from fusionfer.cache import CacheFolder
from fusionfer.images import generate_faces

__all__ = [
    "OPTIONS",
    "ForkServer",
    "Job",
    "Reference",
    "Tally",
    "Wrong",
    "check_equal",
    "check_killed",
    "contents",
    "freeze",
    "marks",
    "older_cache",
    "start_fresh",
    "torture",
    "torture_fresh",
    "undisturbed",
    "write_faces",
]

#: Two files from one quick network: long enough to be killed anywhere, short enough to be killed often.
OPTIONS = (
    "--backbone", "mobilenet_v2", "--level", "penultimate", "--level", "logits", "--weights", "none", "--size", "32",
    "--batch-size", "4", "--device", "cpu",
)  # fmt: skip
LONGEST = 600.0  # seconds; a run that takes more hangs


@dataclass(frozen=True)
class Job:
    """What is extracted, and where to."""

    data: Path
    cache: Path
    options: Sequence[str] = OPTIONS

    @property
    def arguments(self) -> list[str]:
        """What follows ``fusionfer`` on the command line."""
        return ["extract", str(self.data), "--cache", str(self.cache), *self.options]

    def into(self, cache: Path) -> Job:
        """Return the same job with another cache."""
        return Job(self.data, cache, self.options)

    def finish(self, server: ForkServer, before: str = "") -> str:
        """Run undisturbed and return what was said."""
        run = server.start(self.arguments, before)
        if run.wait(LONGEST) != 0:
            msg = f"{self.cache}: an undisturbed run ended with {run.wait(0)}:\n{server.said()}"
            raise Wrong(msg)
        return server.said()


def undisturbed(server: ForkServer, job: Job, folder: Path, older: Path | None = None) -> Reference:
    """Run the job twice into new caches, copies of `older` if there is one; the two must be equal."""
    folder.mkdir()
    caches = [folder / "once", folder / "twice"]
    for cache in caches:
        if older is not None:
            shutil.copytree(older, cache)
    counts = folder / "steps.json"
    job.into(caches[0]).finish(server, before=f"count_steps({str(counts)!r})")
    begin = time.monotonic()
    job.into(caches[1]).finish(server)
    seconds = time.monotonic() - begin
    files, before = (
        {path.name: contents(path) for path in CacheFolder(cache).files()} if cache is not None else {}
        for cache in (caches[0], older)
    )
    reference = Reference(files, before, seconds, json.loads(counts.read_text()))
    check_equal(caches[1], reference)
    return reference


@dataclass
class Tally:
    """What was done, and how often."""

    kills: int = 0
    jobs: int = 0
    unharmed: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        rows = [f"{count:6d}  {phase}" for phase, count in self.phases.most_common()]
        lines = [f"{self.kills} kills of {self.kills + self.unharmed} processes. What had been reached:", *rows]
        if self.functions:
            inside = ", ".join(f"{name} {count}" for name, count in sorted(self.functions.items()))
            lines.append(f"{sum(self.functions.values())} of them beside a call that changes files, made in: {inside}")
        return "\n".join(
            [*lines, f"Resumed and equal in every byte to an undisturbed one: {self.jobs} of {self.jobs}."]
        )


def torture(
    server: ForkServer, job: Job, reference: Reference, *, kills: int, seed: int = 0, older: Path | None = None
) -> Tally:
    """Kill and resume until there were `kills` kills and every cache that was begun is finished.

    Parameters
    ----------
    server : ForkServer
        Where the processes come from.
    job : Job
        Its cache is the folder in which the caches are made.
    reference : Reference
        Of the same job.
    kills : int
        How many.
    seed : int
        For the moments; what the clock does with it is not reproducible.
    older : Path, optional
        A cache that each job begins with.

    Raises
    ------
    Wrong
        If a cache is not what it must be; it is left there to be looked at.
    """
    draw, tally = random.Random(seed), Tally()
    while tally.kills < kills:
        one = job.into(job.cache / f"job{tally.jobs}")
        if older is not None:
            shutil.copytree(older, one.cache)
        for _ in range(min(draw.choice((1, 2, 4, 8)), kills - tally.kills)):
            before = marks(one.cache)
            code, function = _kill_once(server, one, reference, draw)
            if code == 0:
                tally.unharmed += 1
                break
            if code != -9:
                msg = f"{one.cache}: a process ended by itself with {code}:\n{server.said()}"
                raise Wrong(msg)
            check_killed(one.cache, reference)
            tally.kills += 1
            tally.phases[phase(before, one.cache, reference)] += 1
            if function:
                tally.functions[function] += 1
        one.finish(server)
        check_equal(one.cache, reference)
        shutil.rmtree(one.cache)
        tally.jobs += 1
    return tally


def _kill_once(server: ForkServer, job: Job, reference: Reference, draw: random.Random) -> tuple[int, str]:
    """Start a process and kill it; return its exit code and the function it was in, if that was drawn."""
    if draw.random() < 0.5:
        run = server.start(job.arguments)
        code = run.wait(draw.uniform(0, reference.seconds))
        return run.kill() if code is None else code, ""
    function = draw.choice(sorted(reference.steps))
    step = draw.randint(1, reference.steps[function])
    run = server.start(job.arguments, before=f"signal_at_steps({function!r}, [{step}])")
    code = run.wait(LONGEST)
    return run.kill() if code is None else code, function


def torture_fresh(server: ForkServer, job: Job, reference: Reference, *, kills: int, seed: int = 0) -> Tally:
    """Do to one cache what `torture` does, with processes that are started from nothing, as a user does.

    Every other one is killed among the rows; for the others the clock decides, mostly for a moment among the imports.
    """
    draw, tally, startup = random.Random(seed), Tally(), LONGEST
    before: dict[str, int] = {}

    def more_rows() -> bool:
        found = marks(job.cache)
        return sum(found.values()) > sum(before.values()) and all(name.endswith(".part") for name in found)

    def begin_anew() -> None:
        shutil.rmtree(job.cache)
        before.clear()

    while tally.kills < kills:
        before.update(marks(job.cache))
        if tally.kills % 2 == 0:
            begin = time.monotonic()
            process = freeze(job.arguments, more_rows, begin_anew)
            startup = min(startup, time.monotonic() - begin)
        else:
            process = start_fresh(job.arguments)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, startup))
        process.kill()
        _, said = process.communicate()
        if process.returncode == 0:
            tally.unharmed += 1
            begin_anew()
            continue
        if process.returncode != -9:
            msg = f"{job.cache}: a process ended by itself with {process.returncode}:\n{said}"
            raise Wrong(msg)
        check_killed(job.cache, reference)
        tally.kills += 1
        tally.phases[phase(before, job.cache, reference)] += 1
    job.finish(server)
    check_equal(job.cache, reference)
    tally.jobs += 1
    return tally


def write_faces(folder: Path, n: int = 126, size: int = 32) -> None:
    """Write generated faces as PNG files in class folders."""
    faces = generate_faces(n_identities=max(2, -(-n // 14)), takes=2, size=size)
    for i in range(n):
        path = folder / str(faces.labels[i]) / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels, _ = faces.load(i)
        path.write_bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes())


def older_cache(server: ForkServer, job: Job, folder: Path) -> Path:
    """Return a cache of two thirds of the job's images, spread so that hardly a block is of one kind."""
    few = folder / "few"
    for number, path in enumerate(sorted(job.data.rglob("*.png"))):
        if number % 3:
            copy = few / path.relative_to(job.data)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    older = Job(few, folder / "older", job.options)
    older.finish(server)
    return older.cache


def main() -> None:
    """Kill as often as asked, and tell what happened."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability.kill_extract",
        description="Kill `fusionfer extract` at random moments, resume it, and compare with an undisturbed run.",
    )
    parser.add_argument("--kills", type=int, default=200, help="of forked processes (%(default)s)")
    parser.add_argument("--fresh", type=int, default=0, help="of processes started from nothing, besides (%(default)s)")
    parser.add_argument("--added", type=int, default=0, help="while images are added, besides (%(default)s)")
    parser.add_argument("--faces", type=int, default=126, help="generated faces to extract (%(default)s)")
    parser.add_argument("--data", type=Path, help="real faces instead, all of them; not with --added")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help=f"for extract; by default {' '.join(OPTIONS)}")
    given = parser.parse_args()
    if min(given.kills, given.fresh, given.added) < 0 or given.faces < 3 or (given.data and given.added):
        parser.error("no negative number of kills, no fewer than 3 faces, and no --added with --data")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill_extract.") as name, ForkServer(Path(name, "log")) as server:
        folder = Path(name)
        data = given.data or folder / "faces"
        if given.data is None:
            write_faces(data, given.faces)
        job = Job(data.resolve(), folder / "killed", tuple(given.options) or OPTIONS)
        reference = undisturbed(server, job, folder / "whole")
        print(f"An undisturbed run takes {reference.seconds:.2f} s after the imports.", flush=True)
        if given.kills:
            print("\n", torture(server, job, reference, kills=given.kills, seed=given.seed), sep="", flush=True)
        if given.fresh:
            print("\nProcesses started from nothing.")
            print(torture_fresh(server, job, reference, kills=given.fresh, seed=given.seed), flush=True)
        if given.added:
            older = older_cache(server, job, folder)
            reference = undisturbed(server, job, folder / "added", older)
            print("\nA third of the images added to a cache.")
            print(torture(server, job, reference, kills=given.added, seed=given.seed, older=older), flush=True)
    print(f"\n{time.monotonic() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
