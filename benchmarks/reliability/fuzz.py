"""``python -m benchmarks.reliability.fuzz --files 2000``: change bytes of good files and read them.

Each reader must read the file or raise an error of fusionfer, within stated time and memory. Every case has a number,
and the same number gives the same file again (``--first 123 --files 1``).

Readers run in a process of their own. If that dies, or a case takes too long, it is counted, and the next case begins
in a new process. For caches the child process of fusionfer (`fusionfer.cache._foreign`) is counted too: those that
HDF5 met, that it crashed and that it kept busy. ``--hdf5`` shows each changed cache to that child, also those whose
structure fusionfer could read or refuse by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.reliability._seeds import SEEDS, Seed, encoded
from fusionfer.exceptions import FusionferError

__all__ = ["MEMORY_BYTES", "SECONDS", "SEEDS", "Tally", "fuzz", "mutate", "peak_growth"]

SECONDS = 20.0  # for one file; a cache may wait for its child process
MEMORY_BYTES = 256 << 20  # more than before the file was read


def mutate(content: bytes, case: int) -> bytes:
    """Change 1 to 5 bytes, three of four times where there are other bytes than zero around.

    Changes are of the kinds that mean something to a parser: another byte, one bit, all bits, the numbers beside it; a
    tenth of the cases is cut off too, or gets bytes from another place.
    """
    rng = np.random.default_rng(case)
    bad = bytearray(content)
    array = np.frombuffer(content, np.uint8)
    busy = np.flatnonzero(np.convolve(array != 0, np.ones(9), "same"))
    for _ in range(rng.integers(1, 6)):
        at = int(rng.choice(busy)) if rng.random() < 0.75 else int(rng.integers(len(bad)))
        old = bad[at]
        bad[at] = (
            rng.choice([rng.integers(256), old ^ (1 << rng.integers(8)), old ^ 255, old + 1, old - 1, 0, 255]) % 256
        )
    kind = rng.random()
    if kind < 0.05:
        del bad[int(rng.integers(len(bad))) :]
    elif kind < 0.1:
        start, to, length = (int(rng.integers(len(bad))) for _ in range(3))
        piece = content[start : start + length % 64]
        bad[to : to + len(piece)] = piece
    return bytes(bad)


def peak_growth(start: bool) -> int:
    """Bytes of memory: at `start` those in use, and the peak is forgotten; afterwards the peak. 0 where unknown."""
    try:
        if start:
            Path("/proc/self/clear_refs").write_text("5")
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    name = "VmRSS:" if start else "VmHWM:"
    return int(text.split(name)[1].split()[0]) * 1024


@dataclass
class Tally:
    """What became of the files of one kind.

    Attributes
    ----------
    outcomes : Counter
        "refused", "equal", "different", "crashed", "timed out", and for anything else the error's type.
    child : Counter
        Of the child process that meets HDF5: "asked", and of these "needed" (not only for `hdf5`), "died", "timed out".
    worst : dict of str to (float, int)
        "seconds" and "bytes": the largest figure, and its case.
    """

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    child: Counter[str] = field(default_factory=Counter)
    worst: dict[str, tuple[float, int]] = field(default_factory=lambda: {"seconds": (0.0, 0), "bytes": (0, 0)})
    odd: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, case: dict) -> None:
        """Count one case."""
        self.files += 1
        self.outcomes[case["outcome"]] += 1
        self.child.update(case.get("child", []))
        for what in self.worst:
            self.worst[what] = max(self.worst[what], (case.get(what, 0), case["case"]))
        if case["outcome"] not in ("refused", "equal"):
            self.odd.append((case["case"], case["outcome"], case.get("said", "")))


def work(kind: str, first: int, files: int, hdf5: bool) -> None:
    """Read the changed files of one kind in this process; one line of JSON each, after one that says which begins."""
    seed = SEEDS[kind]
    good = seed.make()
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "seed.png").write_bytes(encoded(".png")())  # what manifests name
        path = Path(scratch, seed.name)
        path.write_bytes(good)
        expected = seed.read(path)
        asked = _count_children() if kind == "cache" else []
        for case in range(first, first + files):
            print(json.dumps({"begins": case}), flush=True)
            path.write_bytes(seed.mend(mutate(good, case)))
            asked.clear()
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, SECONDS)  # kills, as nothing else ends a loop in C
            before, started = peak_growth(True), time.perf_counter()
            found = judge(seed, path, expected)
            found |= {"seconds": time.perf_counter() - started, "bytes": peak_growth(False) - before}
            needed = asked.count("asked")
            if hdf5 and not needed:
                _ask(path)
            found["child"] = asked + ["needed"] * needed
            print(json.dumps({"case": case, **found}), flush=True)


def judge(seed: Seed, path: Path, expected: object) -> dict[str, str]:
    """Read one file and say what came of it."""
    try:
        found = seed.read(path)
    except FusionferError as error:
        return {"outcome": "refused", "said": f"{error}"[:300]}
    except BaseException as error:
        return {"outcome": type(error).__name__, "said": f"{error}"[:300]}
    if found == expected:
        return {"outcome": "equal"}
    if isinstance(found, dict) and {**found, "notes": 0} == {**expected, "notes": 0}:
        return {"outcome": "equal"}  # when and by what a cache was written is a note: nothing depends on it
    return {"outcome": "different"}


def _count_children() -> list[str]:
    """Make the cache's questions to its child process leave a note each in the list that is returned."""
    from fusionfer.cache import _foreign

    asked: list[str] = []
    ask = _foreign._ask

    def counted(*arguments: object) -> object:
        try:
            misses = ask.cache_info().misses
            answer = ask(*arguments)
            if ask.cache_info().misses > misses:
                asked.append("asked")
        except _foreign._DiedError as error:
            slow = "did not end" in str(error) or "used up" in str(error)
            asked.extend(["asked", "timed out" if slow else "died"])
            raise
        return answer

    _foreign._ask = counted
    return asked


def _ask(path: Path) -> None:
    from fusionfer.cache import _foreign

    with contextlib.suppress(FusionferError):
        _foreign.ask_child(path, "")


def fuzz(kind: str, files: int, first: int = 0, *, hdf5: bool = False) -> Tally:
    """Read `files` changed files of one kind, in as many processes as it takes."""
    tally = Tally()
    last = first + files
    while first < last:
        running = None
        for line in _worker(kind, first, last - first, hdf5):
            if "begins" in line:
                running = line["begins"]
            elif "case" in line:
                tally.add(line)
                running, first = None, line["case"] + 1
            else:
                if running is None:
                    msg = f"The process that reads {kind} files ended with {line['died']} between two files."
                    raise RuntimeError(msg)
                slow = line["died"] == -getattr(signal, "SIGALRM", 0)
                tally.add({"case": running, "outcome": "timed out" if slow else "crashed", "said": str(line["died"])})
                first = running + 1
    return tally


def _worker(kind: str, first: int, files: int, hdf5: bool) -> Iterator[dict]:
    """Yield the lines of one process, and at last how it died if it did."""
    command = [sys.executable, "-m", "benchmarks.reliability.fuzz", "--worker", "--kind", kind]
    command += ["--first", str(first), "--files", str(files), *(["--hdf5"] if hdf5 else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        yield {"died": process.returncode}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=1000, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--kind", action="append", choices=list(SEEDS), help="all by default")
    parser.add_argument("--hdf5", action="store_true", help="show every changed cache to HDF5")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.kind[0], given.first, given.files, given.hdf5)
        return
    print("| kind | files | refused | equal | different | crashed | timed out | other errors | slowest, s | MB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    failed = False
    for kind in given.kind or SEEDS:
        tally = fuzz(kind, given.files, given.first, hdf5=given.hdf5)
        known = ("refused", "equal", "different", "crashed", "timed out")
        counts = [tally.outcomes[name] for name in known]
        other = tally.files - sum(counts)
        seconds, memory = tally.worst["seconds"][0], tally.worst["bytes"][0] / 1e6
        print(
            f"| {kind} | {tally.files} | {' | '.join(map(str, counts))} | {other} | {seconds:.2f} | {memory:.0f} |",
            flush=True,
        )
        if tally.child:
            child = tally.child
            print(
                f"  HDF5 was shown {child['asked']} of them in a child process, {child['needed']} of necessity: ",
                end="",
            )
            print(f"{child['died']} crashed it, {child['timed out']} kept it busy beyond its limits.")
        for case, outcome, said in tally.odd:
            if outcome != "different" or kind == "cache":
                print(f"  case {case}: {outcome}: {said}")
                failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
